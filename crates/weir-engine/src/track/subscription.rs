//! Subscription of this node to a track of another node, for as long as a member needs it.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::debug;
use weir_cluster::{Signal, Subscription};
use weir_protocol::MemberId;

use super::{
    relayed::{ArrivedChunk, Need, RelayedMedia, RelayedTrack},
    sink::TrackSink,
};
use crate::{
    Outlet,
    relay::{AbortOnDrop, Inflow},
};

/// Linger of a subscription after the last member has unsubscribed.
const LINGER: Duration = Duration::from_secs(5);

/// Capacity of the queue of chunks from the bus, in bytes.
const CHUNKS_BYTES: usize = 4 * 1024 * 1024;

/// Retry interval of a subscription that the bus has refused.
const RETRY: Duration = Duration::from_millis(500);

/// Interval of requests for the publisher's position.
const ASK: Duration = Duration::from_millis(100);

/// Maximum number of requests for the position. After them, the track starts without it.
const ASKED: usize = 10;

/// Keeps a track subscribed on behalf of a member that is about to subscribe.
#[derive(Debug)]
pub(crate) struct Claim(Arc<RelayedTrack>);

impl Claim {
    /// Claims a track.
    pub(super) fn new(track: &Arc<RelayedTrack>) -> Self {
        let mut media = track.media();
        media.claims += 1;
        need(track, &mut media);
        drop(media);
        Self(Arc::clone(track))
    }

    /// Waits until the publisher's node publishes the track on the bus, at most for `patience`.
    pub(crate) fn started(&self, patience: Duration) -> impl Future<Output = ()> + Send + use<> {
        let mut started = self.0.media().started.subscribe();
        async move {
            let _ = timeout(patience, started.wait_for(|started| *started)).await;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut media = self.0.media();
        media.claims -= 1;
        media.release();
    }
}

/// Subscribes a member to a track whose state is `media`.
pub(super) fn subscribe(
    track: &Arc<RelayedTrack>,
    media: &mut RelayedMedia,
    member: &MemberId,
    outlet: &Arc<dyn Outlet>,
) {
    let last = media.last();
    media.subscribers.add(member, outlet, last);
    need(track, media);
}

/// Marks a track as needed, and subscribes to it unless a task does so already.
fn need(track: &Arc<RelayedTrack>, media: &mut RelayedMedia) {
    media.need.send_if_modified(|need| {
        let changed = *need == Need::Unwanted;
        if changed {
            *need = Need::Wanted;
        }
        changed
    });
    if *media.need.borrow() == Need::Wanted && !media.running {
        media.running = true;
        let inflow = Arc::new(Inflow::new(CHUNKS_BYTES));
        media.open(&inflow);
        tokio::spawn(run(Arc::clone(track), inflow, media.need.subscribe()));
    }
}

/// Subscribes to a track until no member has needed it for a while.
async fn run(
    track: Arc<RelayedTrack>,
    inflow: Arc<Inflow<ArrivedChunk>>,
    mut need: watch::Receiver<Need>,
) {
    let delivering = {
        let (track, inflow) = (Arc::clone(&track), Arc::clone(&inflow));
        tokio::spawn(async move {
            loop {
                while track.deliver() {
                    tokio::task::yield_now().await;
                }
                inflow.filled().await;
            }
        })
    };
    let _delivering = AbortOnDrop(delivering.abort_handle());
    let sink = Arc::new(TrackSink {
        track: Arc::clone(&track),
        inflow,
    });
    let Some(_subscription) = until_subscribed(&track, &sink).await else {
        return;
    };
    ask_position(&track).await;
    loop {
        // Cannot fail: the track owns the sender.
        let _ = need.wait_for(|need| *need != Need::Wanted).await;
        let again = need.wait_for(|need| *need != Need::Unwanted);
        let _ = timeout(LINGER, again).await;
        if track.media().end() {
            return;
        }
    }
}

/// Subscribes to a track's channel. Returns `None` if the track is no longer needed.
async fn until_subscribed(track: &RelayedTrack, sink: &Arc<TrackSink>) -> Option<Subscription> {
    let (bus, key) = (&track.address.bus, &track.address.key);
    let mut tries = interval(RETRY);
    tries.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tries.tick().await;
        match bus.subscribe(key, sink.clone()).await {
            Ok(subscription) => return Some(subscription),
            Err(error) => debug!(%error, ?key, "subscribing to a track failed"),
        }
        if track.media().end() {
            return None;
        }
    }
}

/// Requests the position from which the publisher's node publishes the track on the bus.
async fn ask_position(track: &RelayedTrack) {
    let (mut started, beginning) = {
        let mut media = track.media();
        media.subscribed = Some(Instant::now());
        (media.started.subscribe(), media.last() == Some(0))
    };
    let wanted = Signal::Wanted {
        track: track.id,
        beginning,
    };
    for _ in 0..ASKED {
        if let Err(error) = track.address.signals.send(&wanted) {
            debug!(%error, key = ?track.address.key, "requesting a track's position failed");
        }
        let answered = started.wait_for(|started| *started);
        if timeout(ASK, answered).await.is_ok() {
            return;
        }
    }
    track.start(&mut track.media(), None);
}
