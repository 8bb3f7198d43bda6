//! Messages to publish: bounded in bytes, with a deadline per message.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};
use weir_cluster::{BusError, Sample};

use super::{
    drops::{DropCounters, DropReason},
    lane::{RemovedMessages, ServerLane},
    lane_table::LaneTable,
    message::{FRESH, OutboxMessage, PublishReply},
    settlement::Settlement,
};
use crate::{
    Health,
    bus::topic::ChannelKind,
    connection::{
        cluster::{ClusterView, Slot},
        failure::PAUSE,
    },
};

/// Capacity in bytes of all lanes together: a third of a second at 1 Gbit/s.
const LIMIT: usize = 32 * 1024 * 1024;

/// Messages to publish, and counters of their outcomes.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Held to enqueue a message, to process a batch, or to hand slots over.
    state: Mutex<OutboxState>,
    /// Health of all lanes.
    health: watch::Sender<Health>,
    /// Number of lost connections.
    epoch: AtomicU32,
    /// Number of established connections.
    connections: watch::Sender<u64>,
    dropped: DropCounters,
    /// Number of signal retries.
    retried: AtomicU64,
    /// Notified when a message was answered, dropped or handed over.
    done: watch::Sender<()>,
    /// Notified when a reply named a server that may have no task.
    moved: Notify,
}

#[derive(Debug)]
struct OutboxState {
    table: LaneTable,
    /// Bytes in all queues.
    bytes: usize,
}

impl Outbox {
    pub(crate) fn new(kind: ChannelKind) -> Arc<Self> {
        let table = LaneTable::new(kind);
        let health = table.health(&Health::Works);
        Arc::new(Self {
            state: Mutex::new(OutboxState { table, bytes: 0 }),
            health: watch::channel(health).0,
            epoch: AtomicU32::new(0),
            connections: watch::channel(0).0,
            dropped: DropCounters::default(),
            retried: AtomicU64::new(0),
            done: watch::channel(()).0,
            moved: Notify::new(),
        })
    }

    /// Enqueues a message. Never blocks.
    pub(crate) fn put(&self, message: OutboxMessage) -> Result<(), BusError> {
        let length = message.len();
        let mut state = self.state.lock();
        let OutboxState { table, bytes } = &mut *state;
        let lane = table.owning(message.topic.slot);
        if let Some(cause) = lane.refusal(&message) {
            self.dropped.count(DropReason::Unavailable, 1);
            let why = format!("there is no connection to Redis ({cause})");
            return Err(BusError::Unavailable(why));
        }
        if *bytes + length > LIMIT {
            self.dropped.count(DropReason::Full, 1);
            return Err(BusError::Full { limit: LIMIT });
        }
        *bytes += length;
        let filled = lane.push(message);
        drop(state);
        if let Some(filled) = filled {
            filled.notify_one();
        }
        Ok(())
    }

    /// Returns the number of connections lost so far. The interest known before is void.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Waits until all messages enqueued before for a slot are answered or dropped, but at most
    /// `FRESH`.
    pub(crate) async fn flush(&self, slot: Slot) {
        let mut done = self.done.subscribe();
        let mut wanted = self.enqueued(slot);
        let flushed = done.wait_for(|()| {
            let table = &self.state.lock().table;
            let (place, put) = wanted;
            if table.lanes[place].done < put {
                return false;
            }
            if table.owner(slot) != place {
                // The messages were handed over.
                wanted = (table.owner(slot), table.lanes[table.owner(slot)].put);
                return table.lanes[wanted.0].done >= wanted.1;
            }
            true
        });
        // A longer wait is useless: the chunks are dropped by then.
        let _ = timeout(FRESH, flushed).await;
    }

    /// Returns the lane that owns a slot, and the number of messages ever enqueued there.
    fn enqueued(&self, slot: Slot) -> (usize, u64) {
        let table = &self.state.lock().table;
        let place = table.owner(slot);
        (place, table.lanes[place].put)
    }

    /// Applies the topology of a Redis Cluster.
    pub(crate) fn set_view(&self, view: &ClusterView) {
        let mut state = self.state.lock();
        state.table.set_view(view);
        self.update_health(&state.table);
        drop(state);
        self.done.send_replace(());
    }

    /// Waits until a reply has named a server that may need a task.
    pub(crate) async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Returns the lanes, locked.
    pub(super) fn lanes(&self) -> MappedMutexGuard<'_, LaneTable> {
        MutexGuard::map(self.state.lock(), |state| &mut state.table)
    }

    /// Sets the health of a lane's connection, and returns whether it worked before.
    pub(super) fn set_health(&self, place: usize, health: &Health) -> bool {
        let mut state = self.state.lock();
        let worked = state.table.lanes[place].set_health(health);
        if worked && !health.works() {
            self.epoch.fetch_add(1, Ordering::Relaxed);
        }
        self.update_health(&state.table);
        drop(state);
        if health.works() {
            self.connections.send_modify(|count| *count += 1);
        }
        worked
    }

    fn update_health(&self, table: &LaneTable) {
        self.health.send_if_modified(|known| {
            let health = table.health(known);
            let changed = *known != health;
            *known = health;
            changed
        });
    }

    /// Removes the next batch of a lane, and drops messages past their deadline.
    pub(super) fn batch(&self, place: usize) -> Vec<OutboxMessage> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let removed = state.table.lanes[place].batch(now);
        state.bytes -= removed.bytes;
        drop(state);
        self.drop_old(removed)
    }

    /// Drops a lane's messages past their deadline.
    pub(super) fn expire(&self, place: usize) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let removed = state.table.lanes[place].expire(now);
        state.bytes -= removed.bytes;
        drop(state);
        self.drop_old(removed);
    }

    /// Drops the old messages among the removed ones, and returns the others.
    fn drop_old(&self, RemovedMessages { batch, old, .. }: RemovedMessages) -> Vec<OutboxMessage> {
        if !old.is_empty() {
            self.dropped.count(DropReason::Old, old.len());
            self.done.send_replace(());
            old.into_iter().for_each(OutboxMessage::expire);
        }
        batch
    }

    /// Records the replies of Redis to a lane's batch. Schedules a retry of rejected signals where
    /// that can help, and hands slots over that have moved. Returns whether a new connection is
    /// needed.
    pub(super) fn answered(
        &self,
        place: usize,
        messages: Vec<OutboxMessage>,
        replies: &[PublishReply],
    ) -> bool {
        let settled = Settlement::new(messages, replies, self.epoch());
        let retried = settled.retry.len() as u64;
        let moved = !settled.moved.is_empty();
        self.dropped.count(DropReason::Lost, settled.lost);
        self.dropped.count(DropReason::Rejected, settled.rejected);
        self.dropped.count(DropReason::Old, settled.old);
        for message in settled.published {
            message.settle(Ok(()));
        }
        settled.failed.into_iter().for_each(OutboxMessage::expire);
        let mut state = self.state.lock();
        let OutboxState { table, bytes } = &mut *state;
        let lane = &mut table.lanes[place];
        lane.in_flight = false;
        lane.done += settled.done;
        if retried > 0 {
            self.retried.fetch_add(retried, Ordering::Relaxed);
            let retry = settled.retry.iter().map(OutboxMessage::len);
            *bytes += retry.sum::<usize>();
            lane.push_retry(settled.retry, Instant::now() + PAUSE);
        }
        if moved {
            *bytes += table.redirect(place, settled.moved, settled.redirected);
        }
        table.hand_over(place);
        if moved {
            self.update_health(table);
        }
        drop(state);
        self.done.send_replace(());
        if moved {
            self.moved.notify_one();
        }
        settled.reconnect
    }

    /// Returns a receiver of the health of all connections.
    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Returns a receiver of the number of established connections.
    pub(crate) fn connections(&self) -> watch::Receiver<u64> {
        self.connections.subscribe()
    }

    /// Returns the metrics of the queues, the retries, and the dropped messages by reason.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let state = self.state.lock();
        let lanes = &state.table.lanes;
        let age = lanes.iter().map(ServerLane::age).max().unwrap_or_default();
        let messages = lanes.iter().map(|lane| lane.queue.len() + lane.retry.len());
        let messages = messages.sum::<usize>() as u64;
        let bytes = state.bytes as u64;
        drop(state);
        let mut samples = vec![
            Sample::new("weir.bus.outbox.messages", &[], messages),
            Sample::new("weir.bus.outbox.size", &[], bytes),
            Sample::seconds("weir.bus.outbox.age", &[], age),
            Sample::new(
                "weir.bus.retries",
                &[],
                self.retried.load(Ordering::Relaxed),
            ),
        ];
        samples.extend(self.dropped.samples());
        samples
    }
}
