//! A track of another node: how its chunks come here while members of this node want them.

use std::{collections::VecDeque, future::Future, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::debug;
use weir_cluster::{Relayed, Signal, Subscription};
use weir_core::{Arrivals, Arrived};

use crate::{
    inflow::{AbortOnDrop, Inflow},
    link::{Arrival, InflowSink, TrackLink},
    track::Track,
};

/// How long the bus goes on to tell a track's chunks after the last member has lost interest.
const LINGER: Duration = Duration::from_secs(5);

/// What may come of a track before it is handed to its subscribers, in bytes.
const CHUNKS_BYTES: usize = 4 * 1024 * 1024;

/// How often a subscription is tried that the bus did not take.
const RETRY: Duration = Duration::from_millis(500);

/// How often the publisher's node is asked for the track's position.
const ASK: Duration = Duration::from_millis(100);

/// How often it is asked at most; then chunks are taken as they come.
const ASKED: usize = 10;

/// Whether a track is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Yes,
    No,
    /// The track has ended.
    Ended,
}

/// What this node keeps of a track of another node.
#[derive(Debug)]
pub(crate) struct Following {
    arrivals: Arrivals<Relayed>,
    wanted: watch::Sender<Wanted>,
    /// Whether chunks come in order.
    begun: watch::Sender<bool>,
    /// How many [`Claim`]s there are.
    claims: usize,
    /// A task has the bus tell the chunks.
    running: bool,
    /// The bus tells them, so a position counts.
    subscribed: bool,
    /// Queue of the current subscription.
    inflow: Option<Arc<Inflow<Arrival>>>,
    /// Chunks taken from the queue and not yet handled.
    batch: VecDeque<Arrival>,
}

impl Following {
    pub(crate) fn new(new: bool) -> Self {
        Self {
            arrivals: Arrivals::new(new),
            wanted: watch::Sender::new(Wanted::No),
            begun: watch::Sender::new(false),
            claims: 0,
            running: false,
            subscribed: false,
            inflow: None,
            batch: VecDeque::new(),
        }
    }

    /// Opens the queue of a new subscription.
    fn open(&mut self) -> Arc<Inflow<Arrival>> {
        let inflow = Arc::new(Inflow::new(CHUNKS_BYTES));
        self.inflow = Some(Arc::clone(&inflow));
        inflow
    }

    /// Returns the next chunk that has come from the bus.
    pub(crate) fn next(&mut self) -> Option<Arrival> {
        if self.batch.is_empty() {
            self.inflow.as_ref()?.take(&mut self.batch);
        }
        self.batch.pop_front()
    }

    /// The number of the last chunk; 0 if the first is yet to come; `None` if that is not known.
    pub(crate) fn last(&self) -> Option<u64> {
        self.arrivals.last()
    }

    /// Whether the bus tells the chunks.
    pub(crate) fn is_subscribed(&self) -> bool {
        self.subscribed
    }

    /// The track's beginning is wanted, unless it is under way already.
    pub(crate) fn expect_beginning(&mut self) {
        if !self.running {
            self.arrivals = Arrivals::new(true);
        }
    }

    /// Has the chunks of `track`, which this belongs to, told from now on.
    pub(crate) fn want(&mut self, track: &Arc<Track>) {
        self.wanted.send_if_modified(|wanted| {
            let changed = *wanted == Wanted::No;
            if changed {
                *wanted = Wanted::Yes;
            }
            changed
        });
        if *self.wanted.borrow() == Wanted::Yes && !self.running {
            self.running = true;
            tokio::spawn(follow(Arc::clone(track)));
        }
    }

    /// Looks whether the track is still wanted; `idle` if no member receives it.
    pub(crate) fn look(&mut self, idle: bool) {
        if idle && self.claims == 0 {
            self.wanted.send_if_modified(|wanted| {
                let changed = *wanted == Wanted::Yes;
                if changed {
                    *wanted = Wanted::No;
                }
                changed
            });
        }
    }

    /// The track has ended.
    pub(crate) fn close(&mut self) {
        self.wanted.send_replace(Wanted::Ended);
        // Nobody waits for it any more.
        self.begun.send_replace(true);
    }

    /// Takes a chunk, if it is wanted.
    pub(crate) fn arrive(&mut self, relayed: Relayed) -> Option<Arrived<Relayed>> {
        if !self.running || *self.wanted.borrow() == Wanted::Ended {
            return None;
        }
        let (seq, bytes) = (relayed.chunk.seq, relayed.chunk.payload.len());
        Some(self.arrivals.arrive(seq, bytes, relayed))
    }

    /// Whether a position that the publisher's node tells is the one that is waited for; `beginning`
    /// says whether all chunks before it were told again.
    pub(crate) fn expects(&self, position: u64, beginning: bool) -> bool {
        let missing = self.last() == Some(0) && position > 0;
        self.subscribed && (beginning || !missing)
    }

    /// Ends the keeping of chunks; answers with those that were kept, which arrive once more.
    pub(crate) fn begin(&mut self, position: Option<u64>) -> Vec<Relayed> {
        if self.arrivals.has_begun() || !self.running {
            return Vec::new();
        }
        let kept = self.arrivals.begin(position);
        self.begun.send_replace(true);
        kept.map(|(_, relayed)| relayed).collect()
    }

    /// Whether the task may end, since nobody wants the track.
    fn end(&mut self) -> bool {
        if *self.wanted.borrow() == Wanted::Yes {
            return false;
        }
        self.running = false;
        self.subscribed = false;
        self.inflow = None;
        self.batch = VecDeque::new();
        self.arrivals = Arrivals::new(false);
        self.begun.send_replace(false);
        true
    }
}

/// Wants a track on behalf of somebody who is about to subscribe, until it is dropped.
#[derive(Debug)]
pub(crate) struct Claim(Arc<Track>);

impl Claim {
    /// Wants a track, if it is another node's.
    pub(crate) fn new(track: &Arc<Track>) -> Option<Self> {
        track.following(|following, _| {
            following.claims += 1;
            following.want(track);
        })?;
        Some(Self(Arc::clone(track)))
    }

    /// Waits until the publisher's node has said that the chunks come from now on, or for so long.
    pub(crate) fn begun(&self, patience: Duration) -> impl Future<Output = ()> + Send + use<> {
        let begun = self.0.following(|following, _| following.begun.subscribe());
        async move {
            if let Some(mut begun) = begun {
                let _ = timeout(patience, begun.wait_for(|begun| *begun)).await;
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.following(|following, idle| {
            following.claims -= 1;
            following.look(idle);
        });
    }
}

/// Has the bus tell a track's chunks for as long as they are wanted.
async fn follow(track: Arc<Track>) {
    let opened = track.following(|following, _| (following.wanted.subscribe(), following.open()));
    let Some((mut wanted, inflow)) = opened else {
        return;
    };
    let (handler, drained) = (Arc::clone(&track), Arc::clone(&inflow));
    let draining = tokio::spawn(async move { drain(&handler, &drained).await });
    let _draining = AbortOnDrop(draining.abort_handle());
    let counters = Arc::clone(&track.link.counters);
    let sink = Arc::new(InflowSink { inflow, counters });
    let Some(_subscription) = subscribe(&track, &sink).await else {
        return;
    };
    ask(&track).await;
    loop {
        // Cannot fail: the track has the sender.
        let _ = wanted.wait_for(|wanted| *wanted != Wanted::Yes).await;
        let again = wanted.wait_for(|wanted| *wanted != Wanted::No);
        let _ = timeout(LINGER, again).await;
        if ends(&track) {
            return;
        }
    }
}

/// Hands chunks to the track's subscribers as they come from the bus, for ever.
async fn drain(track: &Track, inflow: &Inflow<Arrival>) {
    loop {
        while track.receive() {
            tokio::task::yield_now().await;
        }
        inflow.filled().await;
    }
}

fn ends(track: &Track) -> bool {
    track.following(|following, _| following.end()) != Some(false)
}

/// Subscribes to a track's channel; `None` if it is not wanted any more.
async fn subscribe(track: &Track, sink: &Arc<InflowSink<Arrival>>) -> Option<Subscription> {
    let TrackLink { bus, key, .. } = &track.link;
    let mut tries = interval(RETRY);
    tries.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tries.tick().await;
        match bus.subscribe(key, sink.clone()).await {
            Ok(subscription) => return Some(subscription),
            Err(error) => debug!(%error, ?key, "a track is not subscribed to yet"),
        }
        if ends(track) {
            return None;
        }
    }
}

/// Asks the publisher's node from where on it puts the chunks on the bus.
async fn ask(track: &Track) {
    let TrackLink { signals, key, .. } = &track.link;
    let Some((mut begun, beginning)) = track.following(|following, _| {
        following.subscribed = true;
        let beginning = following.last() == Some(0);
        (following.begun.subscribe(), beginning)
    }) else {
        return;
    };
    let wanted = Signal::Wanted {
        track: track.id,
        beginning,
    };
    for _ in 0..ASKED {
        if let Err(error) = signals.send(&wanted) {
            debug!(%error, ?key, "a track's position is not asked for yet");
        }
        let answered = begun.wait_for(|begun| *begun);
        if timeout(ASK, answered).await.is_ok() {
            return;
        }
    }
    track.begin();
}
