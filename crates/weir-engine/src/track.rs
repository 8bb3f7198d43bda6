//! A track, as far as this node has to do with it.

use std::sync::{Arc, Mutex, MutexGuard};

use weir_core::{Flow, Ingest, Offer, Start};
use weir_protocol::{Frame, GapReason, MemberId, Notice, Published, TrackId, TrackKind};

use crate::{Counters, Delivery, Outlet, lock, member::Member};

/// A track and those of this node's members who receive it.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) id: TrackId,
    /// Who publishes it.
    pub(crate) owner: MemberId,
    /// Held while a chunk is numbered and fanned out, so that all subscribers see one order.
    media: Mutex<Media>,
}

/// A track that lets no chunk through.
#[derive(Debug)]
pub(crate) struct Hold<'a>(MutexGuard<'a, Media>);

impl Hold<'_> {
    /// As [`Track::subscribe`].
    pub(crate) fn subscribe(mut self, member: &Arc<Member>) {
        let subscribers = &self.0.subscribers;
        if subscribers.iter().any(|one| one.member.id == member.id) {
            return;
        }
        let start = match self.0.ingest.last() {
            0 => Start::FromBeginning,
            _ => Start::NextKey,
        };
        self.0.subscribers.push(Subscriber {
            member: Arc::clone(member),
            flow: Flow::new(start),
        });
    }
}

#[derive(Debug)]
struct Media {
    ingest: Ingest,
    subscribers: Vec<Subscriber>,
}

#[derive(Debug)]
struct Subscriber {
    member: Arc<Member>,
    flow: Flow,
}

impl Track {
    pub(crate) fn new(id: TrackId, owner: MemberId, kind: TrackKind) -> Self {
        Self {
            id,
            owner,
            media: Mutex::new(Media {
                ingest: Ingest::new(kind),
                subscribers: Vec::new(),
            }),
        }
    }

    /// Has the track's chunks sent to `member`, from the beginning if there was none yet, otherwise
    /// from the next key chunk on. Changes nothing for a member that has them sent already.
    pub(crate) fn subscribe(&self, member: &Arc<Member>) {
        self.hold().subscribe(member);
    }

    /// Lets no chunk through until the hold is dropped, so that a member can be told something that
    /// comes before the first chunk that it gets, and gets every chunk after it.
    pub(crate) fn hold(&self) -> Hold<'_> {
        Hold(lock(&self.media))
    }

    /// Sends `member` nothing more of the track.
    pub(crate) fn unsubscribe(&self, member: &MemberId) {
        lock(&self.media)
            .subscribers
            .retain(|one| one.member.id != *member);
    }

    /// Sends nobody anything more of the track.
    pub(crate) fn close(&self) {
        lock(&self.media).subscribers = Vec::new();
    }

    /// Numbers a chunk and hands it to every subscriber; answers with its number.
    pub(crate) fn publish(&self, published: Published, counters: &Counters) -> u64 {
        let mut media = lock(&self.media);
        let Media {
            ingest,
            subscribers,
        } = &mut *media;
        let (seq, key) = ingest.admit(published.key);
        if subscribers.is_empty() {
            return seq;
        }
        let frame = published.numbered(seq).frame();
        let (mut sent, mut queued) = (0, 0);
        for subscriber in subscribers {
            match self.offer(subscriber, seq, key, &frame, counters) {
                Some(Delivery::Sent) => sent += 1,
                Some(Delivery::Queued) => queued += 1,
                Some(Delivery::Full) => counters.chunks_dropped.add_one(),
                Some(Delivery::Closed) => counters.chunks_closed.add_one(),
                None => {}
            }
        }
        counters.chunks_sent.add(sent);
        counters.chunks_queued.add(queued);
        seq
    }

    /// Hands a chunk to one subscriber, unless it is not for it.
    fn offer(
        &self,
        subscriber: &mut Subscriber,
        seq: u64,
        key: bool,
        chunk: &Frame,
        counters: &Counters,
    ) -> Option<Delivery> {
        let outlet: &dyn Outlet = &*subscriber.member.outlet;
        let delivery = match subscriber.flow.offer(seq, key) {
            Offer::Skip => return None,
            Offer::Drop => return Some(Delivery::Full),
            Offer::Send => outlet.chunk(None, chunk),
            Offer::SendAfterGap { from, to } => {
                let gap = Notice::Gap {
                    track: self.id,
                    from,
                    to,
                    reason: GapReason::Slow,
                };
                let delivery = outlet.chunk(Some(&gap.frame()), chunk);
                if matches!(delivery, Delivery::Sent | Delivery::Queued) {
                    counters.gaps_announced.add_one();
                }
                delivery
            }
        };
        if delivery == Delivery::Full {
            subscriber.flow.refused(seq);
        }
        Some(delivery)
    }
}
