//! Loads of clusters.

use std::fmt;

use clap::ValueEnum;

use crate::load::Shape;

/// Load of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClusterLoad {
    /// 20 rooms of 9 members.
    Nines,
    /// The same at five times the rate.
    NinesFast,
    /// 30 rooms of 3 members, one on each node.
    Threes,
    /// 60 rooms of 6 members, two on each node.
    Sixes,
}

impl ClusterLoad {
    pub(super) fn shape(self) -> Shape {
        let (rooms, members, chunk_size, per_second) = match self {
            Self::Nines => (20, 9, 1_200, 30),
            Self::NinesFast => (20, 9, 1_200, 150),
            Self::Threes => (30, 3, 6_000, 30),
            Self::Sixes => (60, 6, 3_000, 60),
        };
        Shape {
            rooms,
            subscribers: members - 1,
            chunk_size,
            per_second,
        }
    }

    /// Returns whether two cores suffice for Node's adapters.
    pub(super) fn suits_node(self) -> bool {
        matches!(self, Self::Nines | Self::Threes)
    }
}

impl fmt::Display for ClusterLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape {
            rooms,
            subscribers,
            chunk_size,
            per_second,
        } = self.shape();
        let members = subscribers + 1;
        let size = chunk_size as f64 / 1e3;
        write!(
            f,
            "{rooms} rooms of {members}, {size} KB × {per_second}/s each"
        )
    }
}
