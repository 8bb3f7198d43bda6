//! Members together with their seats.

use weir_protocol::Member;

use super::record::{self, RecordError};
use crate::directory::node::incarnation::Incarnation;

/// A member and its seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seated {
    pub(crate) member: Member,
    /// Incarnation that owns the seat.
    pub(crate) owner: Incarnation,
    /// Place in the order of arrival.
    pub(crate) arrival: u64,
}

impl Seated {
    /// Parses a member and its seat, `NODE.EPOCH ARRIVAL`.
    pub(crate) fn parse(member: &[u8], seat: &[u8]) -> Result<Self, RecordError> {
        let seat = record::text(seat)?.split_once(' ');
        let (owner, arrival) = seat.ok_or(RecordError("a seat"))?;
        Ok(Self {
            member: record::member(member)?,
            owner: Incarnation::parse(owner),
            arrival: arrival.parse().map_err(|_| RecordError("a seat"))?,
        })
    }

    /// Returns the seat as Redis has it.
    pub(crate) fn seat(&self) -> String {
        format!("{} {}", self.owner, self.arrival)
    }
}
