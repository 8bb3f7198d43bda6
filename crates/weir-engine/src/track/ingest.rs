//! A track that a member of this node publishes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry::{KeyValue, trace::SpanContext};
use parking_lot::{Mutex, MutexGuard};
use weir_cluster::{ChunkPublisher, EarlierChunks, Hop, Interest, Relayed, TrackKey, trace};
use weir_core::{Beginning, Demand, Ingest, Throttle};
use weir_protocol::{MemberId, Published, TrackId, TrackKind};

use super::subscribers::Subscribers;
use crate::{Counters, Outlet, relay::TrackAddress};

/// Minimum interval between key chunk requests to a publisher, per track.
const KEYFRAME_PERIOD: Duration = Duration::from_secs(1);

/// A track whose publisher is connected to this node.
#[derive(Debug)]
pub(crate) struct IngestTrack {
    pub(crate) id: TrackId,
    kind: TrackKind,
    key: TrackKey,
    counters: Arc<Counters>,
    publisher: Arc<dyn ChunkPublisher>,
    /// Whether the room has members on other nodes.
    elsewhere: Arc<AtomicBool>,
    /// Held while a chunk is numbered and fanned out, so that all subscribers see one order.
    media: Mutex<IngestMedia>,
    /// Throttle of key chunk requests to the publisher.
    pub(crate) keyframes: Mutex<Throttle>,
}

/// State of the stream.
#[derive(Debug)]
struct IngestMedia {
    ingest: Ingest,
    demand: Demand,
    beginning: Beginning<Relayed>,
    subscribers: Subscribers,
}

/// Blocks the stream of a track until it is dropped.
#[derive(Debug)]
pub(super) struct IngestHold<'a>(MutexGuard<'a, IngestMedia>);

impl IngestHold<'_> {
    /// Subscribes a member: from the beginning if there was no chunk yet, otherwise from the next
    /// key chunk.
    pub(super) fn subscribe(mut self, member: &MemberId, outlet: &Arc<dyn Outlet>) {
        let last = self.0.ingest.last();
        self.0.subscribers.add(member, outlet, Some(last));
    }
}

impl IngestTrack {
    pub(super) fn new(
        id: TrackId,
        kind: TrackKind,
        address: &TrackAddress,
        elsewhere: &Arc<AtomicBool>,
    ) -> Self {
        Self {
            id,
            kind,
            key: address.key.clone(),
            counters: Arc::clone(&address.counters),
            publisher: address.bus.publisher(&address.key),
            elsewhere: Arc::clone(elsewhere),
            media: Mutex::new(IngestMedia {
                ingest: Ingest::new(kind),
                demand: Demand::new(),
                beginning: Beginning::new(),
                subscribers: Subscribers::new(id, kind, &address.counters),
            }),
            keyframes: Mutex::new(Throttle::new(KEYFRAME_PERIOD)),
        }
    }

    /// Blocks the stream.
    pub(super) fn hold(&self) -> IngestHold<'_> {
        IngestHold(self.media.lock())
    }

    /// Unsubscribes a member.
    pub(super) fn unsubscribe(&self, member: &MemberId) {
        self.media.lock().subscribers.remove(member);
    }

    /// Unsubscribes all members.
    pub(super) fn close(&self) {
        self.media.lock().subscribers.clear();
    }

    /// Numbers a chunk, sends it to the subscribers on this node, and publishes it on the bus if
    /// other nodes want it. Returns the number. One in `sampling` chunks is traced.
    pub(crate) fn publish(&self, published: &Published<'_>, now: Duration, sampling: u64) -> u64 {
        let elsewhere = self.elsewhere.load(Ordering::Acquire);
        let bytes = published.payload.len();
        self.counters.chunks_received.of(self.kind).add_one();
        let received = self.counters.chunk_bytes_received.of(self.kind);
        received.add(bytes as u64);
        let mut media = self.media.lock();
        let IngestMedia {
            ingest,
            demand,
            beginning,
            subscribers,
        } = &mut *media;
        let (seq, counts_as_key) = ingest.admit(published.key);
        let sampled = (sampling > 0 && seq % sampling == 0).then(Instant::now);
        let frame = (!subscribers.is_empty()).then(|| published.frame(seq));
        if let Some(frame) = &frame {
            subscribers.fan_out(frame, seq, counts_as_key, bytes as u64);
        }
        let trace = sampled.and_then(|start| self.trace(seq, start.elapsed()));
        if !elsewhere {
            beginning.close();
        }
        let kept = elsewhere && beginning.is_open(now);
        let wanted = demand.admit(now, elsewhere, || self.interest());
        if !kept && !wanted {
            return seq;
        }
        let relayed = Relayed {
            chunk: published.chunk(seq, frame.as_ref()),
            counts_as_key,
            trace,
        };
        if kept {
            beginning.keep(bytes, relayed.clone());
        }
        drop(media);
        if wanted {
            self.count_relayed(self.publisher.publish(&relayed).is_ok());
        }
        seq
    }

    /// Records the span of a chunk, with the time that its fan-out on this node took. Returns its
    /// context if the trace is sampled.
    fn trace(&self, seq: u64, took: Duration) -> Option<SpanContext> {
        let attributes = vec![
            KeyValue::new("weir.room", self.key.room.as_str().to_owned()),
            KeyValue::new("weir.track", i64::from(self.key.track.0)),
            KeyValue::new("weir.seq", i64::try_from(seq).unwrap_or(i64::MAX)),
        ];
        let chunk = trace::record("chunk", &SpanContext::NONE, took, attributes);
        Hop::Own.trace(&chunk, took);
        chunk.is_sampled().then_some(chunk)
    }

    fn interest(&self) -> Option<usize> {
        match self.publisher.interest() {
            Interest::Unknown => None,
            Interest::Nodes(nodes) => Some(nodes),
        }
    }

    /// Counts a chunk for the bus. Other nodes see the gap if it was not `accepted`.
    fn count_relayed(&self, accepted: bool) {
        let counters = &self.counters;
        let counter = if accepted {
            &counters.chunks_relayed
        } else {
            &counters.chunks_unrelayed
        };
        counter.of(self.kind).add_one();
    }

    /// Records that another node wants the track. Publishes all chunks so far again, if `beginning`
    /// requests them and they are still kept. Then calls `send` with the position: the number of the
    /// last chunk, and the fate of the chunks up to it.
    ///
    /// The stream is blocked meanwhile, so that no later chunk precedes the position on the bus. A
    /// node that subscribes between the two would miss the chunk.
    pub(crate) fn announce(&self, beginning: bool, send: impl FnOnce(u64, EarlierChunks)) {
        let mut media = self.media.lock();
        media.demand.announce();
        let (last, kept) = (media.ingest.last(), media.beginning.chunks());
        let earlier = if last > kept.len() as u64 {
            EarlierChunks::Gone
        } else if beginning {
            for relayed in kept {
                self.count_relayed(self.publisher.publish(relayed).is_ok());
            }
            EarlierChunks::Republished
        } else {
            EarlierChunks::Kept
        };
        send(last, earlier);
    }
}
