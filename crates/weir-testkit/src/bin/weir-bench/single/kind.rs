//! Kinds of servers.

use std::fmt;

use clap::ValueEnum;

/// Kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SingleKind {
    /// `weir serve`, the release build.
    Weir,
    /// The same relay on Node, `tests/bench/relay.mjs`.
    Node,
}

impl fmt::Display for SingleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Weir => "Weir",
            Self::Node => "Node",
        })
    }
}
