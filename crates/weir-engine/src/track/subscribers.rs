//! Subscribers of a track on this node, and the fan-out of its chunks to them.

use std::sync::Arc;

use weir_core::{Flow, Offer, Start};
use weir_protocol::{Frame, MemberId, Notice, TrackId, TrackKind};

use crate::{Counters, Delivery, Outlet};

/// Subscribers of one track.
#[derive(Debug)]
pub(super) struct Subscribers {
    track: TrackId,
    kind: TrackKind,
    counters: Arc<Counters>,
    list: Vec<Subscriber>,
}

/// Member of this node that receives the track.
#[derive(Debug)]
struct Subscriber {
    member: MemberId,
    outlet: Arc<dyn Outlet>,
    flow: Flow,
}

/// Outcomes of one fan-out, by number of subscribers.
#[derive(Debug, Default)]
struct Outcomes {
    sent: u64,
    queued: u64,
    dropped: u64,
    closed: u64,
    gaps: u64,
}

impl Subscribers {
    /// Creates an empty list.
    pub(super) fn new(track: TrackId, kind: TrackKind, counters: &Arc<Counters>) -> Self {
        Self {
            track,
            kind,
            counters: Arc::clone(counters),
            list: Vec::new(),
        }
    }

    /// Returns whether nobody on this node is subscribed.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the number of subscribers.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Subscribes a member, unless it is subscribed. `last` is the number of the track's last chunk,
    /// if it is known: before the first chunk, the member receives the track from its beginning,
    /// otherwise from the next key chunk.
    pub(super) fn add(&mut self, member: &MemberId, outlet: &Arc<dyn Outlet>, last: Option<u64>) {
        if self.list.iter().any(|one| one.member == *member) {
            return;
        }
        let start = match last {
            Some(0) => Start::FromBeginning,
            _ => Start::NextKey,
        };
        self.list.push(Subscriber {
            member: member.clone(),
            outlet: Arc::clone(outlet),
            flow: Flow::new(start),
        });
    }

    /// Unsubscribes a member.
    pub(super) fn remove(&mut self, member: &MemberId) {
        self.list.retain(|one| one.member != *member);
    }

    /// Unsubscribes all members.
    pub(super) fn clear(&mut self) {
        self.list = Vec::new();
    }

    /// Sends chunk `seq`, with a payload of `bytes` bytes, to every subscriber. `key` says whether
    /// it counts as a key chunk.
    pub(super) fn fan_out(&mut self, chunk: &Frame, seq: u64, key: bool, bytes: u64) {
        let mut outcomes = Outcomes::default();
        for Subscriber { outlet, flow, .. } in &mut self.list {
            let delivery = match flow.offer(seq, key) {
                Offer::Send => outlet.chunk(None, chunk),
                Offer::Skip => continue,
                Offer::Drop => {
                    outcomes.dropped += 1;
                    continue;
                }
                Offer::SendAfterGap { from, to, reason } => {
                    let gap = Notice::Gap {
                        track: self.track,
                        from,
                        to,
                        reason,
                    };
                    let delivery = outlet.chunk(Some(&gap.frame()), chunk);
                    let announced = matches!(delivery, Delivery::Sent | Delivery::Queued);
                    outcomes.gaps += u64::from(announced);
                    delivery
                }
            };
            match delivery {
                Delivery::Sent => outcomes.sent += 1,
                Delivery::Queued => outcomes.queued += 1,
                Delivery::Closed => outcomes.closed += 1,
                Delivery::Full => {
                    flow.refused(seq);
                    outcomes.dropped += 1;
                }
            }
        }
        self.count(&outcomes, bytes);
    }

    fn count(&self, outcomes: &Outcomes, bytes: u64) {
        let Outcomes {
            sent,
            queued,
            dropped,
            closed,
            gaps,
        } = *outcomes;
        let (counters, kind) = (&*self.counters, self.kind);
        if sent > 0 {
            counters.chunks_sent.of(kind).add(sent);
        }
        if queued > 0 {
            counters.chunks_queued.of(kind).add(queued);
        }
        counters
            .chunk_bytes_sent
            .of(kind)
            .add((sent + queued) * bytes);
        if dropped + closed + gaps > 0 {
            counters.chunks_dropped.of(kind).add(dropped);
            counters.chunks_closed.of(kind).add(closed);
            counters.gaps_announced.of(kind).add(gaps);
        }
    }
}
