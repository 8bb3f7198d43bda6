//! Hash slots of a Redis Cluster.

use fred::util::redis_keyslot;

/// Hash slot of a Redis Cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot(u16);

impl Slot {
    /// Number of slots.
    pub(crate) const COUNT: u16 = 16_384;

    /// Returns the slot of this number, if there is one.
    pub(crate) fn new(number: u16) -> Option<Self> {
        (number < Self::COUNT).then_some(Self(number))
    }

    /// Returns the slot of a key or channel (Redis Cluster specification, "Hash tags").
    pub(crate) fn for_key(name: &str) -> Self {
        Self(redis_keyslot(name.as_bytes()))
    }

    /// Returns all slots.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// Returns the number, as an index.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(Slot::new(16_383), Some(Slot(16_383)));
        assert_eq!(Slot::new(16_384), None);
        for (name, slot) in [
            ("123456789", 12_739),
            ("foo", 12_182),
            ("x:{foo}:y", 12_182),
        ] {
            assert_eq!(Slot::for_key(name), Slot(slot), "{name}");
        }
        assert_ne!(Slot::for_key("{}foo"), Slot::for_key("{}bar"));
    }
}
