//! Admission control for connections.

use std::{collections::BTreeMap, net::IpAddr};

/// Limits on concurrent connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Maximum number from all addresses.
    pub total: usize,
    /// Maximum number from one source address.
    pub per_address: usize,
}

/// Reason for refusing a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// The total limit is reached.
    #[error("over the limit of {limit} connections")]
    Total {
        /// [`ConnectionLimits::total`].
        limit: usize,
    },
    /// The limit of the address is reached.
    #[error("over the limit of {limit} connections from one address")]
    PerAddress {
        /// [`ConnectionLimits::per_address`].
        limit: usize,
    },
}

/// Open connections by source address.
///
/// An IPv4-mapped IPv6 address counts as the IPv4 address.
#[derive(Debug)]
pub struct Connections {
    limits: ConnectionLimits,
    total: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

impl Connections {
    /// Creates an empty set.
    #[must_use]
    pub const fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            total: 0,
            by_address: BTreeMap::new(),
        }
    }

    /// Admits a connection from `address`, until it is [released](Self::release).
    ///
    /// # Errors
    /// If a limit is reached; the connection is not counted then, and must not be released.
    pub fn admit(&mut self, address: IpAddr) -> Result<(), Refused> {
        self.enter()?;
        self.claim(address).inspect_err(|_| self.total -= 1)
    }

    /// Releases an admitted connection. Has no effect for one that was not admitted.
    pub fn release(&mut self, address: IpAddr) {
        if self.disclaim(address) {
            self.leave();
        }
    }

    /// Admits a connection whose address is not known yet, until it [leaves](Self::leave).
    ///
    /// # Errors
    /// If the total limit is reached; the connection is not counted then, and must not leave.
    pub fn enter(&mut self) -> Result<(), Refused> {
        let limit = self.limits.total;
        if self.total >= limit {
            return Err(Refused::Total { limit });
        }
        self.total += 1;
        Ok(())
    }

    /// Releases a connection that has entered and holds no claim.
    pub const fn leave(&mut self) {
        self.total = self.total.saturating_sub(1);
    }

    /// Counts an entered connection for `address`, until it is [disclaimed](Self::disclaim).
    ///
    /// # Errors
    /// If the limit of this address is reached; the connection must not be disclaimed then.
    pub fn claim(&mut self, address: IpAddr) -> Result<(), Refused> {
        let limit = self.limits.per_address;
        if self.count(address) >= limit {
            return Err(Refused::PerAddress { limit });
        }
        *self.by_address.entry(address.to_canonical()).or_default() += 1;
        Ok(())
    }

    /// Releases a claim of `address`, and returns whether there was one.
    pub fn disclaim(&mut self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let Some(count) = self.by_address.get_mut(&address) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.by_address.remove(&address);
        }
        true
    }

    /// Returns the number of connections.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }

    /// Returns the number of connections from `address`.
    #[must_use]
    pub fn count(&self, address: IpAddr) -> usize {
        let count = self.by_address.get(&address.to_canonical());
        count.copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        net::{Ipv4Addr, Ipv6Addr},
    };

    use proptest::prelude::*;

    use super::*;

    const fn address(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    const LIMITS: ConnectionLimits = ConnectionLimits {
        total: 5,
        per_address: 2,
    };

    #[test]
    fn one_address_cannot_exhaust_the_total() {
        let mut connections = Connections::new(LIMITS);
        assert_eq!(connections.admit(address(1)), Ok(()));
        assert_eq!(connections.admit(address(1)), Ok(()));
        let refused = connections.admit(address(1)).expect_err("the third");
        assert_eq!(refused, Refused::PerAddress { limit: 2 });
        assert_eq!(
            refused.to_string(),
            "over the limit of 2 connections from one address"
        );
        assert_eq!(connections.admit(address(2)), Ok(()));
        connections.release(address(1));
        assert_eq!(connections.admit(address(1)), Ok(()));
    }

    #[test]
    fn the_total_is_limited() {
        let mut connections = Connections::new(LIMITS);
        for last in 1..=5 {
            assert_eq!(connections.admit(address(last)), Ok(()));
        }
        assert_eq!(
            connections.admit(address(6)),
            Err(Refused::Total { limit: 5 })
        );
        connections.release(address(3));
        assert_eq!(connections.admit(address(6)), Ok(()));
    }

    #[test]
    fn a_connection_may_learn_its_address_late() {
        let mut connections = Connections::new(LIMITS);
        for _ in 0..5 {
            assert_eq!(connections.enter(), Ok(()));
        }
        assert_eq!(connections.enter(), Err(Refused::Total { limit: 5 }));
        assert_eq!(connections.claim(address(1)), Ok(()));
        assert_eq!(connections.claim(address(1)), Ok(()));
        let refused = connections.claim(address(1)).expect_err("the third");
        assert_eq!(refused, Refused::PerAddress { limit: 2 });
        assert_eq!(connections.claim(address(2)), Ok(()));
        assert_eq!(connections.total(), 5, "a claim is no further connection");
        assert!(connections.disclaim(address(1)));
        connections.leave();
        assert_eq!(connections.total(), 4);
        assert_eq!(connections.admit(address(1)), Ok(()));
        assert!(!connections.disclaim(address(3)), "it had none");
    }

    #[test]
    fn mapped_address_counts_as_its_ipv4_address() {
        let mut connections = Connections::new(LIMITS);
        let mapped = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped());
        assert_eq!(connections.admit(address(1)), Ok(()));
        assert_eq!(connections.admit(mapped), Ok(()));
        assert!(connections.admit(address(1)).is_err());
        connections.release(mapped);
        connections.release(mapped);
        assert_eq!(connections.total(), 0);
        assert_eq!(connections.admit(IpAddr::V6(Ipv6Addr::LOCALHOST)), Ok(()));
    }

    proptest! {
        #[test]
        fn the_counts_are_those_of_the_open_connections(
            steps in prop::collection::vec((any::<bool>(), 0..4_u8), 0..200),
        ) {
            let mut connections = Connections::new(LIMITS);
            let mut open: HashMap<u8, usize> = HashMap::new();
            for (arrives, last) in steps {
                let total: usize = open.values().sum();
                let count = open.entry(last).or_default();
                if arrives {
                    let fits = total < LIMITS.total && *count < LIMITS.per_address;
                    prop_assert_eq!(connections.admit(address(last)).is_ok(), fits);
                    *count += usize::from(fits);
                } else {
                    connections.release(address(last));
                    *count = count.saturating_sub(1);
                }
                prop_assert_eq!(connections.count(address(last)), open[&last]);
                prop_assert_eq!(connections.total(), open.values().sum::<usize>());
            }
        }
    }
}
