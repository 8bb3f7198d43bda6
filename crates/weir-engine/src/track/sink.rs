//! Sink of a track's channel on the bus.

use std::{sync::Arc, time::Instant};

use weir_cluster::{ChunkSink, Hop, Relayed};

use super::relayed::{ArrivedChunk, RelayedTrack};
use crate::relay::Inflow;

/// Sink of a track's channel. Enqueues the chunks for the track's task, or delivers one at once if
/// that is quicker than to wake the task and holds nothing up.
#[derive(Debug)]
pub(super) struct TrackSink {
    pub(super) track: Arc<RelayedTrack>,
    pub(super) inflow: Arc<Inflow<ArrivedChunk>>,
}

impl ChunkSink for TrackSink {
    fn chunk(&self, relayed: Relayed, more: bool) {
        let bytes = relayed.chunk.payload.len();
        let measured = Hop::is_measured(relayed.chunk.seq) || relayed.trace.is_some();
        let at = measured.then(Instant::now);
        let mut arrived = Some(ArrivedChunk { relayed, at });
        if !more {
            self.track.deliver_at_once(&self.inflow, &mut arrived);
        }
        if let Some(arrived) = arrived
            && !self.inflow.push(bytes, arrived)
        {
            // Subscribers see the gap in the sequence numbers.
            self.track.address.counters.chunks_overrun.add_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem;

    use bytes::Bytes;
    use parking_lot::Mutex;
    use weir_cluster::{Bus, MemoryHub, MemoryOptions};
    use weir_protocol::{Chunk, Frame, MemberId, RoomId, TrackId, TrackKind};

    use super::*;
    use crate::{Delivery, Outlet, relay::RoomAddress};

    const TRACK: TrackId = TrackId(1);

    /// Outlet that records chunks.
    #[derive(Debug, Default)]
    struct Received(Mutex<Vec<Bytes>>);

    impl Outlet for Received {
        fn notice(&self, _: &Frame) -> Delivery {
            Delivery::Sent
        }

        fn chunk(&self, _: Option<&Frame>, chunk: &Frame) -> Delivery {
            self.0.lock().push(chunk.bytes().clone());
            Delivery::Sent
        }
    }

    fn chunk(seq: u64) -> Chunk {
        Chunk {
            track: TRACK,
            seq,
            ts: 0,
            key: true,
            dur: None,
            payload: Bytes::from_static(b"payload"),
        }
    }

    /// Sink of a track with subscribers that expect it from its first chunk.
    struct Setup {
        sink: TrackSink,
        received: Vec<Arc<Received>>,
    }

    impl Setup {
        fn new(subscribers: usize) -> Self {
            let bus: Arc<dyn Bus> = Arc::new(MemoryHub::new(MemoryOptions::default()).bus());
            let room = RoomAddress::new(&RoomId::made("room"), &bus, &Arc::default());
            let track = RelayedTrack::new(TRACK, TrackKind::Video, room.track(TRACK), true);
            let (track, inflow) = (Arc::new(track), Arc::new(Inflow::new(1_000)));
            let mut media = track.media();
            media.running = true;
            media.open(&inflow);
            let add = |number| {
                let received = Arc::new(Received::default());
                let outlet: Arc<dyn Outlet> = received.clone();
                let member = MemberId::new(&format!("member-{number}"));
                media.subscribers.add(&member, &outlet, Some(0));
                received
            };
            let received = (0..subscribers).map(add).collect();
            track.start(&mut media, Some(0));
            drop(media);
            let sink = TrackSink { track, inflow };
            Self { sink, received }
        }

        fn arrive(&self, seq: u64, more: bool) {
            let relayed = Relayed {
                chunk: chunk(seq),
                counts_as_key: true,
                trace: None,
            };
            self.sink.chunk(relayed, more);
        }

        /// Asserts that every subscriber has received these chunks since the last call.
        fn assert_received(&self, seqs: impl IntoIterator<Item = u64>) {
            let frames = seqs
                .into_iter()
                .map(|seq| chunk(seq).frame().bytes().clone());
            let frames: Vec<_> = frames.collect();
            for received in &self.received {
                assert_eq!(mem::take(&mut *received.0.lock()), frames);
            }
        }
    }

    #[tokio::test]
    async fn a_chunk_with_nothing_behind_it_is_delivered_at_once() {
        let setup = Setup::new(16);
        setup.arrive(1, false);
        setup.assert_received([1]);
        setup.arrive(2, true);
        setup.assert_received([]);
    }

    #[tokio::test]
    async fn a_chunk_waits_behind_earlier_ones() {
        let setup = Setup::new(1);
        setup.arrive(1, true);
        setup.arrive(2, false);
        setup.assert_received([]);
        assert!(!setup.sink.track.deliver());
        setup.assert_received([1, 2]);
        setup.arrive(3, false);
        setup.assert_received([3]);
    }

    #[tokio::test]
    async fn a_chunk_for_many_subscribers_waits_for_the_task() {
        let setup = Setup::new(17);
        setup.arrive(1, false);
        setup.assert_received([]);
        assert!(!setup.sink.track.deliver());
        setup.assert_received([1]);
    }

    #[tokio::test]
    async fn a_chunk_waits_while_the_track_is_in_use() {
        let setup = Setup::new(1);
        let media = setup.sink.track.media();
        setup.arrive(1, false);
        drop(media);
        setup.assert_received([]);
        assert!(!setup.sink.track.deliver());
        setup.assert_received([1]);
    }

    #[tokio::test]
    async fn chunks_beyond_the_capacity_are_counted() {
        let setup = Setup::new(17);
        (1..=200).for_each(|seq| setup.arrive(seq, false));
        let overrun = &setup.sink.track.address.counters.chunks_overrun;
        let kept = 1_000 / b"payload".len() as u64;
        assert_eq!(overrun.value(), 200 - kept);
    }
}
