//! Loads of single nodes.

use std::fmt;

use clap::ValueEnum;

use crate::args::Timing;
use crate::load::Shape;

/// Timing of a load, unless the run is short.
pub(super) const TIMING: Timing = Timing {
    warm_up: 2,
    measured: 10,
};

/// One publisher of video, 200 subscribers.
pub(super) const FAN_OUT: Shape = Shape {
    rooms: 1,
    subscribers: 200,
    chunk_size: 6_000,
    per_second: 30,
};

/// 20 rooms of 10 members, each with one publisher.
pub(super) const ROOMS: Shape = Shape {
    rooms: 20,
    subscribers: 9,
    chunk_size: 1_200,
    per_second: 50,
};

/// Load of a single node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SingleLoad {
    /// One publisher, 200 subscribers.
    FanOut,
    /// 20 rooms of 10 members.
    Rooms,
    /// Many silent connections.
    Idle,
}

impl fmt::Display for SingleLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FanOut => "1 publisher × 200 subscribers",
            Self::Rooms => "20 rooms of 10",
            Self::Idle => "idle connections",
        })
    }
}
