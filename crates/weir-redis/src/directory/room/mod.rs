//! Rooms as a node knows them: their records, their mirror, and the events that keep it up to date.

pub(crate) mod event;
pub(crate) mod mirror;
pub(crate) mod record;
pub(crate) mod rooms;
pub(crate) mod seated;
pub(crate) mod watched;
