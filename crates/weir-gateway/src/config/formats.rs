//! Serialization of values that TOML has no type for.

/// Duration as a whole number of milliseconds.
pub(super) mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::config) fn serialize<S: Serializer>(
        time: &Duration,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        u64::try_from(time.as_millis())
            .unwrap_or(u64::MAX)
            .serialize(to)
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

/// Optional number, written as 0 if it is absent.
pub(super) mod zero_is_none {
    use std::num::NonZeroUsize;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::config) fn serialize<S: Serializer>(
        number: &Option<NonZeroUsize>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        number.map_or(0, NonZeroUsize::get).serialize(to)
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<NonZeroUsize>, D::Error> {
        usize::deserialize(from).map(NonZeroUsize::new)
    }
}

/// Address ranges as a list of text. A single address is a range of one.
pub(super) mod ranges {
    use std::net::IpAddr;

    use ipnet::{IpNet, Ipv4Net};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Parses a range.
    pub(in crate::config) fn parse(text: &str) -> Option<IpNet> {
        let one = || text.parse::<IpAddr>().ok().map(IpNet::from);
        text.parse().ok().or_else(one).map(canonical)
    }

    /// Returns the IPv4 range that an IPv4-mapped range stands for (RFC 4291, section 2.5.5.2). Peers
    /// of an IPv6 listener are compared in the same form.
    fn canonical(range: IpNet) -> IpNet {
        let IpNet::V6(mapped) = range else {
            return range;
        };
        let address = mapped.addr().to_ipv4_mapped();
        let length = mapped.prefix_len().checked_sub(96);
        let range_v4 = address
            .zip(length)
            .and_then(|(address, length)| Ipv4Net::new(address, length).ok());
        range_v4.map_or(range, IpNet::V4)
    }

    pub(in crate::config) fn serialize<S: Serializer>(
        ranges: &[IpNet],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(ranges.iter().map(ToString::to_string))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<IpNet>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let range = |text: &String| {
            parse(text).ok_or_else(|| Error::custom(format!("{text} is not an address range")))
        };
        texts.iter().map(range).collect()
    }
}
