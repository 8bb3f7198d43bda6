//! Incarnations of a node, which own seats.

use std::{fmt, sync::Arc};

use rand::Rng;

/// Incarnation of a node, as Redis has it: `NODE.EPOCH`.
///
/// A process is a node with an id of its own. It starts at epoch 1, and raises it whenever its lease has expired:
/// other nodes may have given its seats away by then. A write is refused unless its incarnation is the one that the
/// seat names, or a later one of the same node. A node of an earlier version has no epoch, which counts as 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Incarnation {
    node: Arc<str>,
    epoch: u64,
}

impl Incarnation {
    /// Returns the first incarnation of a node with a new id.
    pub(crate) fn first() -> Self {
        let node = format!("{:016x}", rand::rng().random::<u64>());
        Self {
            node: node.into(),
            epoch: 1,
        }
    }

    /// Returns the incarnation after this one.
    pub(crate) fn next(&self) -> Self {
        Self {
            node: Arc::clone(&self.node),
            epoch: self.epoch + 1,
        }
    }

    /// Returns all incarnations of the node up to this one.
    pub(crate) fn all(&self) -> impl Iterator<Item = Self> + '_ {
        (1..=self.epoch).map(|epoch| Self {
            node: Arc::clone(&self.node),
            epoch,
        })
    }

    /// Parses an incarnation; one without an epoch is of an earlier version.
    pub(crate) fn parse(text: &str) -> Self {
        let (node, epoch) = text.split_once('.').unwrap_or((text, ""));
        Self {
            node: node.into(),
            epoch: epoch.parse().unwrap_or_default(),
        }
    }

    /// Id of the node.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// Whether this incarnation owns the seats of `owner`: it is the same, or a later one of its node.
    pub(crate) fn owns(&self, owner: &Self) -> bool {
        self.node == owner.node && self.epoch >= owner.epoch
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.node)?;
        match self.epoch {
            0 => Ok(()),
            epoch => write!(f, ".{epoch}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incarnations_round_trip_as_text() {
        let first = Incarnation::first();
        let second = first.next();
        for incarnation in [&first, &second] {
            assert_eq!(Incarnation::parse(&incarnation.to_string()), *incarnation);
        }
        assert_eq!(second.to_string(), format!("{}.2", first.node()));
        let earlier_version = Incarnation::parse("00ff");
        assert_eq!(earlier_version.to_string(), "00ff");
    }

    #[test]
    fn later_incarnations_own_seats_of_earlier_ones_only() {
        let first = Incarnation::first();
        let second = first.next();
        assert!(first.owns(&first) && second.owns(&first));
        assert!(!first.owns(&second));
        let other = Incarnation::first();
        assert!(!other.next().owns(&first) && !first.owns(&other));
        assert!(!first.owns(&Incarnation::parse("00ff")));
        assert!(second.all().eq([first, second.clone()]));
    }
}
