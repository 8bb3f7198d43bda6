//! A track, as far as this node has to do with it.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use opentelemetry::{KeyValue, trace::SpanContext};
use weir_cluster::{ChunkPublisher, Hop, Interest, Relayed, trace};
use weir_core::{Arrived, Beginning, Demand, Flow, Ingest, Offer, Start, Throttle};
use weir_protocol::{Frame, MemberId, Notice, Published, Track as TrackRecord, TrackId, TrackKind};

use crate::{
    Counters, Delivery, Outlet, follow::Following, keyframe, link::TrackLink, lock, member::Member,
};

/// Maximum number of chunks that are handled under one lock.
const BATCH: usize = 64;

/// A track and those of this node's members who receive it.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) id: TrackId,
    /// Who publishes it.
    pub(crate) owner: MemberId,
    kind: TrackKind,
    pub(crate) link: TrackLink,
    /// Publisher on the bus, if the track's publisher is a member of this node.
    publisher: Option<Arc<dyn ChunkPublisher>>,
    /// Held while a chunk is numbered and fanned out, so that all subscribers see one order. Nobody
    /// calls the bus with it.
    media: Mutex<Media>,
    /// Throttle of key chunk requests to its publisher.
    pub(crate) keyframes: Mutex<Throttle>,
}

#[derive(Debug)]
pub(crate) struct Media {
    source: Source,
    subscribers: Vec<Subscriber>,
}

/// Where a track's chunks come from.
#[derive(Debug)]
enum Source {
    /// A member of this node.
    Own(Box<Own>),
    /// Another node.
    Bus(Box<Following>),
}

/// What a track's publisher's node keeps of it.
#[derive(Debug)]
struct Own {
    ingest: Ingest,
    demand: Demand,
    beginning: Beginning<Relayed>,
}

#[derive(Debug)]
struct Subscriber {
    member: Arc<Member>,
    flow: Flow,
}

/// A track that lets no chunk through.
#[derive(Debug)]
pub(crate) struct Hold<'a> {
    track: &'a Arc<Track>,
    media: MutexGuard<'a, Media>,
}

impl Hold<'_> {
    /// As [`Track::subscribe`].
    pub(crate) fn subscribe(mut self, member: &Arc<Member>) {
        let Media {
            source,
            subscribers,
        } = &mut *self.media;
        if subscribers.iter().any(|one| one.member.id == member.id) {
            return;
        }
        let last = match source {
            Source::Own(own) => Some(own.ingest.last()),
            Source::Bus(following) => following.last(),
        };
        let start = match last {
            Some(0) => Start::FromBeginning,
            _ => Start::NextKey,
        };
        subscribers.push(Subscriber {
            member: Arc::clone(member),
            flow: Flow::new(start),
        });
        if let Source::Bus(following) = source {
            following.want(self.track);
        }
    }
}

impl Track {
    /// A track of a member of this node.
    pub(crate) fn own(record: &TrackRecord, link: TrackLink) -> Self {
        let own = Own {
            ingest: Ingest::new(record.spec.kind),
            demand: Demand::new(),
            beginning: Beginning::new(),
        };
        Self::new(record, link, Source::Own(Box::new(own)))
    }

    /// A track of another node; its first chunk may be yet to come.
    pub(crate) fn of_another_node(record: &TrackRecord, link: TrackLink, new: bool) -> Self {
        let following = Following::new(new);
        Self::new(record, link, Source::Bus(Box::new(following)))
    }

    fn new(record: &TrackRecord, link: TrackLink, source: Source) -> Self {
        let publisher = matches!(source, Source::Own(_)).then(|| link.publisher());
        Self {
            id: record.id,
            owner: record.member.clone(),
            kind: record.spec.kind,
            link,
            publisher,
            media: Mutex::new(Media {
                source,
                subscribers: Vec::new(),
            }),
            keyframes: Mutex::new(keyframe::throttle()),
        }
    }

    /// Has the track's chunks sent to `member`, from the beginning if there was none yet, otherwise
    /// from the next key chunk on. Changes nothing for a member that has them sent already.
    pub(crate) fn subscribe(self: &Arc<Self>, member: &Arc<Member>) {
        self.hold().subscribe(member);
    }

    /// Lets no chunk through until the hold is dropped, so that a member can be told something that
    /// comes before the first chunk that it gets, and gets every chunk after it.
    pub(crate) fn hold(self: &Arc<Self>) -> Hold<'_> {
        Hold {
            track: self,
            media: lock(&self.media),
        }
    }

    /// Sends `member` nothing more of the track.
    pub(crate) fn unsubscribe(&self, member: &MemberId) {
        let mut media = lock(&self.media);
        let Media {
            source,
            subscribers,
        } = &mut *media;
        subscribers.retain(|one| one.member.id != *member);
        if let Source::Bus(following) = source {
            following.look(subscribers.is_empty());
        }
    }

    /// Sends nobody anything more of the track, after what has come already.
    pub(crate) fn close(&self) {
        let mut media = lock(&self.media);
        while self.receive_next(&mut media) {}
        media.subscribers = Vec::new();
        if let Source::Bus(following) = &mut media.source {
            following.close();
        }
    }

    /// Does something with the way from the bus, if the track is another node's; `idle` says
    /// whether no member of this node receives the track.
    pub(crate) fn following<T>(&self, change: impl FnOnce(&mut Following, bool) -> T) -> Option<T> {
        let mut media = lock(&self.media);
        let Media {
            source,
            subscribers,
        } = &mut *media;
        match source {
            Source::Own(_) => None,
            Source::Bus(following) => Some(change(following, subscribers.is_empty())),
        }
    }

    /// Numbers a chunk of its own publisher and hands it to every subscriber here; answers with its
    /// number, and with what is to be put on the bus. `elsewhere` says whether other nodes have
    /// members in the room; the way of one in `sampling` chunks is traced.
    pub(crate) fn publish(
        &self,
        published: &Published<'_>,
        now: Duration,
        sampling: u64,
        elsewhere: bool,
        counters: &Counters,
    ) -> (u64, Option<Relayed>) {
        let mut media = lock(&self.media);
        let Media {
            source: Source::Own(own),
            subscribers,
        } = &mut *media
        else {
            // Only its publisher's node lets somebody publish it.
            return (0, None);
        };
        let (seq, counts_as_key) = own.ingest.admit(published.key);
        let bytes = published.payload.len() as u64;
        counters.chunks_received.of(self.kind).add_one();
        counters.chunk_bytes_received.of(self.kind).add(bytes);
        let sampled = (sampling > 0 && seq % sampling == 0).then(Instant::now);
        let frame = (!subscribers.is_empty()).then(|| published.frame(seq));
        if let Some(frame) = &frame {
            self.fan_out(subscribers, frame, seq, counts_as_key, bytes, counters);
        }
        // Nobody may collect traces, or not this one.
        let trace = sampled
            .map(|begun| self.traced(seq, begun.elapsed()))
            .filter(SpanContext::is_sampled);
        if !elsewhere {
            own.beginning.close();
        }
        let kept = own.beginning.is_open(now);
        let wanted = own.demand.admit(now, elsewhere, || self.interest());
        if !kept && !wanted {
            return (seq, None);
        }
        let relayed = Relayed {
            chunk: published.chunk(seq, frame.as_ref()),
            counts_as_key,
            trace,
        };
        if kept {
            let bytes = published.payload.len();
            own.beginning.keep(bytes, relayed.clone());
        }
        (seq, wanted.then_some(relayed))
    }

    /// Notes that a chunk has come, and how long it took to its subscribers here.
    fn traced(&self, seq: u64, took: Duration) -> SpanContext {
        let key = &self.link.key;
        let attributes = vec![
            KeyValue::new("weir.room", key.room.as_str().to_owned()),
            KeyValue::new("weir.track", i64::from(key.track.0)),
            KeyValue::new("weir.seq", i64::try_from(seq).unwrap_or(i64::MAX)),
        ];
        let chunk = trace::note("chunk", &SpanContext::NONE, took, attributes);
        Hop::Own.traced(&chunk, took);
        chunk
    }

    /// What it carries.
    pub(crate) fn kind(&self) -> TrackKind {
        self.kind
    }

    fn interest(&self) -> Option<usize> {
        match self.publisher.as_ref()?.interest() {
            Interest::Unknown => None,
            Interest::Nodes(nodes) => Some(nodes),
        }
    }

    /// Publishes a chunk on the bus.
    pub(crate) fn relay(&self, relayed: &Relayed) {
        let Some(publisher) = &self.publisher else {
            return;
        };
        let counters = &self.link.counters;
        match publisher.publish(relayed) {
            Ok(()) => counters.chunks_relayed.of(self.kind).add_one(),
            // Other nodes see the gap in the sequence numbers.
            Err(_) => counters.chunks_unrelayed.of(self.kind).add_one(),
        }
    }

    /// Another node wants the track: answers with the number of the last chunk, after which all
    /// are put on the bus, and with all chunks so far if they are asked for and still there. `None`
    /// if its publisher is not of this node.
    pub(crate) fn announce(&self, beginning: bool) -> Option<(u64, Vec<Relayed>)> {
        let mut media = lock(&self.media);
        let Source::Own(own) = &mut media.source else {
            return None;
        };
        own.demand.announce();
        let chunks = if beginning {
            own.beginning.chunks().to_vec()
        } else {
            Vec::new()
        };
        Some((own.ingest.last(), chunks))
    }

    /// Hands chunks that have come from the bus to the subscribers here; returns whether there may
    /// be more.
    pub(crate) fn receive(&self) -> bool {
        let mut media = lock(&self.media);
        (0..BATCH).all(|_| self.receive_next(&mut media))
    }

    /// Hands the next chunk that has come from the bus to the subscribers here; returns false if
    /// there is none.
    fn receive_next(&self, media: &mut Media) -> bool {
        let Source::Bus(following) = &mut media.source else {
            return false;
        };
        let Some((relayed, arrived)) = following.next() else {
            return false;
        };
        let (seq, trace) = (relayed.chunk.seq, relayed.trace.clone());
        if self.deliver(media, relayed) {
            self.go_on(media, None);
        }
        if let Some(arrived) = arrived {
            let took = arrived.elapsed();
            if Hop::is_measured(seq) {
                Hop::Remote.took(took);
            }
            if let Some(trace) = &trace {
                Hop::Remote.traced(trace, took);
            }
        }
        true
    }

    /// Handles the position of the publisher's node, after all chunks that have come before it.
    pub(crate) fn position(&self, last: u64, beginning: bool) {
        let mut media = lock(&self.media);
        while self.receive_next(&mut media) {}
        if let Source::Bus(following) = &media.source
            && following.expects(last, beginning)
        {
            self.go_on(&mut media, Some(last));
        }
    }

    /// Takes chunks as they come, since nobody says where they begin.
    pub(crate) fn begin(&self) {
        self.go_on(&mut lock(&self.media), None);
    }

    fn go_on(&self, media: &mut Media, position: Option<u64>) {
        let Source::Bus(following) = &mut media.source else {
            return;
        };
        for relayed in following.begin(position) {
            self.deliver(media, relayed);
        }
    }

    /// Delivers a chunk from the bus, or keeps it; true if no more can be kept.
    fn deliver(&self, media: &mut Media, relayed: Relayed) -> bool {
        let counters = &*self.link.counters;
        let Media {
            source: Source::Bus(following),
            subscribers,
        } = media
        else {
            return false;
        };
        match following.arrive(relayed) {
            None => {}
            Some(Arrived::Kept { full }) => return full,
            Some(Arrived::Repeated) => counters.chunks_repeated.of(self.kind).add_one(),
            Some(Arrived::Next { chunk, lost }) => {
                counters.chunks_arrived.of(self.kind).add_one();
                counters.chunks_lost.of(self.kind).add(lost);
                if !subscribers.is_empty() {
                    let Relayed {
                        chunk,
                        counts_as_key,
                        ..
                    } = &chunk;
                    let (frame, bytes) = (chunk.frame(), chunk.payload.len() as u64);
                    self.fan_out(
                        subscribers,
                        &frame,
                        chunk.seq,
                        *counts_as_key,
                        bytes,
                        counters,
                    );
                }
            }
        }
        false
    }

    /// Sends a chunk, with a payload of this many bytes, to every subscriber.
    fn fan_out(
        &self,
        subscribers: &mut [Subscriber],
        frame: &Frame,
        seq: u64,
        counts_as_key: bool,
        bytes: u64,
        counters: &Counters,
    ) {
        let (mut sent, mut queued) = (0, 0);
        for subscriber in subscribers {
            match self.offer(subscriber, seq, counts_as_key, frame, counters) {
                Some(Delivery::Sent) => sent += 1,
                Some(Delivery::Queued) => queued += 1,
                Some(Delivery::Full) => counters.chunks_dropped.of(self.kind).add_one(),
                Some(Delivery::Closed) => counters.chunks_closed.of(self.kind).add_one(),
                None => {}
            }
        }
        counters.chunks_sent.of(self.kind).add(sent);
        counters.chunks_queued.of(self.kind).add(queued);
        let bytes_sent = counters.chunk_bytes_sent.of(self.kind);
        bytes_sent.add((sent + queued) * bytes);
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
            Offer::SendAfterGap { from, to, reason } => {
                let track = self.id;
                let gap = Notice::Gap {
                    track,
                    from,
                    to,
                    reason,
                };
                let delivery = outlet.chunk(Some(&gap.frame()), chunk);
                if matches!(delivery, Delivery::Sent | Delivery::Queued) {
                    counters.gaps_announced.of(self.kind).add_one();
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
