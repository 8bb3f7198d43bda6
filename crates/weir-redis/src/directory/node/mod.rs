//! This node as the owner of seats: its incarnation, its lease and its ledger; and the reaper of dead nodes.

pub(crate) mod incarnation;
pub(crate) mod lease;
pub(crate) mod ledger;
pub(crate) mod reaper;
pub(crate) mod seats;
