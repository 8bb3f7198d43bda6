//! A track that a member of another node publishes.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use opentelemetry::trace::SpanContext;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use weir_cluster::{EarlierChunks, Hop, Relayed};
use weir_core::{Arrivals, Arrived};
use weir_protocol::{MemberId, TrackId, TrackKind};

use super::subscribers::Subscribers;
use crate::relay::{Inflow, TrackAddress};

/// Maximum number of chunks that are handled under one lock.
const BATCH: usize = 64;

/// Maximum number of subscribers to whom a chunk is sent at once, by the task that reads the bus.
const AT_ONCE: usize = 16;

/// Chunk that has come from the bus.
#[derive(Debug)]
pub(super) struct ArrivedChunk {
    pub(super) relayed: Relayed,
    /// Time of arrival, if the latency is measured.
    pub(super) at: Option<Instant>,
}

/// Whether a track is needed on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// A member is subscribed to it, or is about to be.
    Wanted,
    /// No member is.
    Unwanted,
    /// It has ended.
    Ended,
}

/// A track whose publisher is connected to another node.
#[derive(Debug)]
pub(crate) struct RelayedTrack {
    pub(super) id: TrackId,
    kind: TrackKind,
    pub(super) address: TrackAddress,
    /// Held while chunks are ordered and fanned out, so that all subscribers see one order.
    media: Mutex<RelayedMedia>,
}

/// State of the stream.
#[derive(Debug)]
pub(super) struct RelayedMedia {
    pub(super) subscribers: Subscribers,
    arrivals: Arrivals<Relayed>,
    pub(super) need: watch::Sender<Need>,
    /// Whether chunks are delivered, rather than kept until the publisher's position is known.
    pub(super) started: watch::Sender<bool>,
    /// Number of claims.
    pub(super) claims: usize,
    /// Whether a task keeps the subscription.
    pub(super) running: bool,
    /// Whether the track has ended.
    ended: bool,
    /// Time from which the subscription is known to hold. Positions of the publisher count that have
    /// arrived since.
    pub(super) subscribed: Option<Instant>,
    /// Queue of the current subscription.
    inflow: Option<Arc<Inflow<ArrivedChunk>>>,
    /// Chunks taken from the queue and not yet handled.
    batch: VecDeque<ArrivedChunk>,
}

impl RelayedMedia {
    /// Returns the number of the last chunk: 0 before the first, `None` if it is unknown.
    pub(super) fn last(&self) -> Option<u64> {
        self.arrivals.last()
    }

    /// Sets the queue of a new subscription.
    pub(super) fn open(&mut self, inflow: &Arc<Inflow<ArrivedChunk>>) {
        self.inflow = Some(Arc::clone(inflow));
    }

    /// Expects the track from its first chunk, unless it is already being received.
    fn expect_beginning(&mut self) {
        if !self.running {
            self.arrivals = Arrivals::new(true);
        }
    }

    /// Gives the track up if no member needs it.
    pub(super) fn release(&mut self) {
        if self.subscribers.is_empty() && self.claims == 0 {
            self.need.send_if_modified(|need| {
                let changed = *need == Need::Wanted;
                if changed {
                    *need = Need::Unwanted;
                }
                changed
            });
        }
    }

    /// Ends the subscription, unless the track is needed; returns whether it has ended.
    pub(super) fn end(&mut self) -> bool {
        if *self.need.borrow() == Need::Wanted {
            return false;
        }
        self.running = false;
        self.subscribed = None;
        self.inflow = None;
        self.batch = VecDeque::new();
        self.arrivals = Arrivals::new(false);
        self.started.send_replace(false);
        true
    }

    /// Returns the next chunk that has come from the bus.
    fn next(&mut self) -> Option<ArrivedChunk> {
        if self.batch.is_empty() {
            self.inflow.as_ref()?.take(&mut self.batch);
        }
        self.batch.pop_front()
    }
}

impl RelayedTrack {
    /// Creates the track. `new` says that its first chunk may be yet to come.
    pub(super) fn new(id: TrackId, kind: TrackKind, address: TrackAddress, new: bool) -> Self {
        let subscribers = Subscribers::new(id, kind, &address.counters);
        Self {
            id,
            kind,
            address,
            media: Mutex::new(RelayedMedia {
                subscribers,
                arrivals: Arrivals::new(new),
                need: watch::Sender::new(Need::Unwanted),
                started: watch::Sender::new(false),
                claims: 0,
                running: false,
                ended: false,
                subscribed: None,
                inflow: None,
                batch: VecDeque::new(),
            }),
        }
    }

    pub(super) fn media(&self) -> MutexGuard<'_, RelayedMedia> {
        self.media.lock()
    }

    /// Expects the track from its first chunk, unless it is already being received.
    pub(super) fn expect_beginning(&self) {
        self.media().expect_beginning();
    }

    /// Unsubscribes a member.
    pub(super) fn unsubscribe(&self, member: &MemberId) {
        let mut media = self.media();
        media.subscribers.remove(member);
        media.release();
    }

    /// Ends the track, after the chunks that have come before.
    pub(super) fn close(&self) {
        let mut media = self.media();
        self.drain(&mut media);
        media.subscribers.clear();
        media.ended = true;
        media.need.send_replace(Need::Ended);
        // No claim waits any longer.
        media.started.send_replace(true);
    }

    /// Sends a batch of chunks that have come from the bus to the subscribers on this node. Returns
    /// whether there may be more.
    pub(super) fn deliver(&self) -> bool {
        let mut media = self.media();
        for _ in 0..BATCH {
            let Some(chunk) = media.next() else {
                return false;
            };
            self.arrive(&mut media, chunk);
        }
        true
    }

    /// Takes the chunk that has come from the bus last, and sends it, unless earlier chunks wait in
    /// `inflow`, the track is in use, or it has many subscribers.
    pub(super) fn deliver_at_once(
        &self,
        inflow: &Arc<Inflow<ArrivedChunk>>,
        arrived: &mut Option<ArrivedChunk>,
    ) {
        let Some(mut media) = self.media.try_lock() else {
            return;
        };
        let current = media.inflow.as_ref();
        let in_turn = current.is_some_and(|current| Arc::ptr_eq(current, inflow))
            && media.batch.is_empty()
            && inflow.is_empty();
        if in_turn
            && media.subscribers.len() <= AT_ONCE
            && let Some(chunk) = arrived.take()
        {
            self.arrive(&mut media, chunk);
        }
    }

    /// Sends all chunks that have come from the bus.
    fn drain(&self, media: &mut RelayedMedia) {
        while let Some(chunk) = media.next() {
            self.arrive(media, chunk);
        }
    }

    /// Handles the position of the publisher's node, after the chunks that have come before it.
    ///
    /// It may be the answer to another node, which subscribed earlier than this one. So it does not
    /// count if it arrived before this node was subscribed, although it is handled only now, nor
    /// while chunks are missing that this node can request.
    pub(super) fn position(&self, last: u64, earlier: EarlierChunks, arrival: Instant) {
        let mut media = self.media();
        self.drain(&mut media);
        let incomplete = earlier != EarlierChunks::Gone && media.arrivals.misses(last);
        let subscribed = media.subscribed.is_some_and(|since| since <= arrival);
        if subscribed && !incomplete {
            self.start(&mut media, Some(last));
        }
    }

    /// Delivers the kept chunks and those that come from now on. Without a `position`, chunks
    /// before the first are not missed.
    pub(super) fn start(&self, media: &mut RelayedMedia, position: Option<u64>) {
        if media.arrivals.has_started() || !media.running {
            return;
        }
        let kept = media.arrivals.start(position);
        media.started.send_replace(true);
        for (_, relayed) in kept {
            self.arrive(media, ArrivedChunk { relayed, at: None });
        }
    }

    /// Sends a chunk to the subscribers on this node, or keeps it until the position is known.
    fn arrive(&self, media: &mut RelayedMedia, arrived: ArrivedChunk) {
        let ArrivedChunk { relayed, at } = arrived;
        if !media.running || media.ended {
            return;
        }
        let measured = at.map(|at| (at, relayed.trace.clone()));
        let counters = &*self.address.counters;
        let (seq, bytes) = (relayed.chunk.seq, relayed.chunk.payload.len());
        match media.arrivals.arrive(seq, bytes, relayed) {
            Arrived::Next { chunk, lost } => {
                counters.chunks_arrived.of(self.kind).add_one();
                if lost > 0 {
                    counters.chunks_lost.of(self.kind).add(lost);
                }
                if !media.subscribers.is_empty() {
                    let (frame, key) = (chunk.chunk.frame(), chunk.counts_as_key);
                    media.subscribers.fan_out(&frame, seq, key, bytes as u64);
                }
            }
            Arrived::Kept { full: true } => self.start(media, None),
            Arrived::Kept { full: false } => {}
            Arrived::Repeated => counters.chunks_repeated.of(self.kind).add_one(),
        }
        if let Some((at, trace)) = measured {
            record_latency(at, seq, trace.as_ref());
        }
    }
}

/// Records how long a chunk took from its arrival to the subscribers.
fn record_latency(arrival: Instant, seq: u64, trace: Option<&SpanContext>) {
    let took = arrival.elapsed();
    if Hop::is_measured(seq) {
        Hop::Remote.record(took);
    }
    if let Some(trace) = trace {
        Hop::Remote.trace(trace, took);
    }
}
