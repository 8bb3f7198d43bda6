//! Rate limits: token buckets.

use std::time::Duration;

use weir_protocol::{Code, Fault, Limits};

const NANOS: i128 = 1_000_000_000;

/// Error of an exceeded quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("over the limit of {limit} {unit} a second")]
pub struct Exceeded {
    /// Limit in units per second.
    pub limit: u64,
    /// Name of the unit, in the plural.
    pub unit: &'static str,
    /// Time until the same amount is granted, if nothing else is taken.
    pub retry_in: Duration,
}

impl From<Exceeded> for Fault {
    fn from(exceeded: Exceeded) -> Self {
        Self::new(Code::RateLimited, exceeded.to_string())
    }
}

/// Token bucket: an average rate in units per second, and a burst of units at once.
///
/// It starts full. Times are since any fixed moment; one before the last counts as the last.
#[derive(Debug, Clone)]
pub struct Quota {
    unit: &'static str,
    rate: u64,
    /// Capacity in billionths of a unit, so that a nanosecond adds `rate` of them.
    size: i128,
    /// Level in billionths of a unit; below 0 after an amount over the capacity.
    left: i128,
    at: Duration,
}

impl Quota {
    /// Creates a bucket of `rate` units per second and `burst` units at once, each at least 1.
    /// `unit` names the unit, in the plural.
    #[must_use]
    pub fn new(unit: &'static str, rate: u64, burst: u64) -> Self {
        let size = i128::from(burst.max(1)) * NANOS;
        Self {
            unit,
            rate: rate.max(1),
            size,
            left: size,
            at: Duration::ZERO,
        }
    }

    /// Creates a bucket of `rate` units per second, averaged over a second.
    #[must_use]
    pub fn averaged(unit: &'static str, rate: u64) -> Self {
        Self::new(unit, rate, rate)
    }

    /// Creates the bucket of one connection's requests.
    #[must_use]
    pub fn requests(limits: &Limits) -> Self {
        Self::new(
            "requests",
            limits.requests_per_second.into(),
            limits.request_burst.into(),
        )
    }

    /// Takes `amount` units. A full bucket grants more than its capacity, and goes into debt.
    ///
    /// # Errors
    /// If less is left; nothing is taken then.
    pub fn take(&mut self, now: Duration, amount: u64) -> Result<(), Exceeded> {
        self.check(now, amount)?;
        self.spend(amount);
        Ok(())
    }

    /// Takes `amount` units that a check has granted.
    fn spend(&mut self, amount: u64) {
        self.left -= i128::from(amount) * NANOS;
    }

    /// Refills the bucket up to `now`, and checks that `amount` units are left.
    fn check(&mut self, now: Duration, amount: u64) -> Result<(), Exceeded> {
        let rate = i128::from(self.rate);
        let elapsed = nanos(now.saturating_sub(self.at));
        self.at = self.at.max(now);
        self.left = rate
            .saturating_mul(elapsed)
            .saturating_add(self.left)
            .min(self.size);
        let short = (i128::from(amount) * NANOS).min(self.size) - self.left;
        if amount == 0 || short <= 0 {
            return Ok(());
        }
        let wait = (short + rate - 1) / rate;
        Err(Exceeded {
            limit: self.rate,
            unit: self.unit,
            retry_in: Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX)),
        })
    }
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

/// Quota of one member's media: bits and chunks, each averaged over a second.
#[derive(Debug, Clone)]
pub struct IngestQuota {
    bits: Quota,
    chunks: Quota,
}

impl IngestQuota {
    /// Creates the quota of a member that has published nothing.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            bits: Quota::averaged("bits", limits.ingest_bits_per_second),
            chunks: Quota::averaged("chunks", limits.chunks_per_second.into()),
        }
    }

    /// Takes one chunk with a payload of `payload_bytes` bytes.
    ///
    /// # Errors
    /// If a limit is exceeded, which the error names; nothing is taken then.
    pub fn take(&mut self, now: Duration, payload_bytes: usize) -> Result<(), Exceeded> {
        let bytes = u64::try_from(payload_bytes).unwrap_or(u64::MAX);
        self.chunks.check(now, 1)?;
        self.bits.take(now, bytes.saturating_mul(8))?;
        self.chunks.spend(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn grants_a_burst_then_the_rate() {
        let mut quota = Quota::new("requests", 20, 40);
        for _ in 0..40 {
            assert_eq!(quota.take(ms(7), 1), Ok(()));
        }
        let exceeded = quota.take(ms(7), 1).expect_err("the burst is used up");
        assert_eq!((exceeded.limit, exceeded.retry_in), (20, ms(50)));
        assert_eq!(quota.take(ms(57), 1), Ok(()));
        assert!(quota.take(ms(57), 1).is_err());
        assert!(quota.take(ms(106), 1).is_err(), "49 ms are not enough");
        assert_eq!(quota.take(ms(107), 1), Ok(()));
    }

    #[test]
    fn holds_at_most_the_burst() {
        let mut quota = Quota::new("requests", 20, 40);
        let late = Duration::from_secs(3_600);
        assert_eq!(quota.take(late, 40), Ok(()));
        assert!(quota.take(late, 1).is_err());
    }

    #[test]
    fn full_bucket_goes_into_debt_for_more_than_its_capacity() {
        let mut quota = Quota::averaged("bits", 1_000);
        assert_eq!(quota.take(ms(0), 3_000), Ok(()));
        let exceeded = quota.take(ms(0), 1).expect_err("two seconds in debt");
        assert_eq!(exceeded.retry_in, ms(2_001));
        assert!(quota.take(ms(2_000), 1).is_err());
        assert_eq!(quota.take(ms(2_001), 1), Ok(()));
        assert!(quota.take(ms(2_500), 3_000).is_err(), "it is not full");
        assert_eq!(quota.take(ms(3_001), 3_000), Ok(()));
    }

    #[test]
    fn time_that_goes_back_adds_nothing() {
        let mut quota = Quota::averaged("chunks", 10);
        assert_eq!(quota.take(ms(1_000), 10), Ok(()));
        assert!(quota.take(ms(0), 1).is_err());
        assert!(quota.take(ms(1_050), 1).is_err());
        assert_eq!(quota.take(ms(1_100), 1), Ok(()));
    }

    #[test]
    fn chunk_over_one_limit_takes_from_neither() {
        let limits = Limits {
            ingest_bits_per_second: 8_000,
            chunks_per_second: 3,
            ..Limits::default()
        };
        let mut quota = IngestQuota::new(&limits);
        assert_eq!(quota.take(ms(0), 900), Ok(()));
        let bits = quota.take(ms(0), 101).expect_err("8,008 bits");
        assert_eq!(bits.to_string(), "over the limit of 8000 bits a second");
        assert_eq!(quota.take(ms(0), 50), Ok(()));
        assert_eq!(quota.take(ms(0), 0), Ok(()));
        let chunks = quota.take(ms(0), 1).expect_err("the fourth chunk");
        assert_eq!(
            Fault::from(chunks).to_string(),
            "rate_limited: over the limit of 3 chunks a second"
        );
        assert_eq!(quota.take(ms(334), 50), Ok(()));
    }

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_the_rate(
            rate in 1..1_000_u64,
            burst in 1..1_000_u64,
            takes in prop::collection::vec((0..200_u64, 1..50_u64), 1..200),
        ) {
            let mut quota = Quota::new("units", rate, burst);
            let (mut now, mut taken) = (Duration::ZERO, 0);
            for (pause, amount) in takes {
                now += ms(pause);
                match quota.take(now, amount) {
                    Ok(()) => taken += amount,
                    Err(exceeded) => {
                        let mut early = quota.clone();
                        let almost = now + exceeded.retry_in - Duration::from_nanos(1);
                        prop_assert!(early.take(almost, amount).is_err());
                        let mut later = quota.clone();
                        prop_assert!(later.take(now + exceeded.retry_in, amount).is_ok());
                    }
                }
                // An amount over the size may be in debt by what it is over.
                let allowed = u128::from(burst.max(50)) * 1_000
                    + u128::from(rate) * now.as_millis();
                prop_assert!(u128::from(taken) * 1_000 <= allowed);
            }
        }

        #[test]
        fn extremes_do_not_overflow(rate: u64, burst: u64, amount: u64, seconds: u64) {
            let mut quota = Quota::new("units", rate, burst);
            let _ = quota.take(Duration::from_secs(seconds), amount);
            let _ = quota.take(Duration::MAX, u64::MAX);
            let _ = quota.take(Duration::ZERO, amount);
        }
    }
}
