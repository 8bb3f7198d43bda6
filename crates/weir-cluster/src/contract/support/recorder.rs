//! Log of what a node receives.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::RwLock;
use tokio::sync::watch;
use weir_protocol::{Change, RoomEvent, RoomId};

use crate::{ChunkSink, Inbox, Relayed, Signal, SignalSink, TrackKey};

/// Deadline for an arrival.
const PATIENCE: Duration = Duration::from_secs(10);

/// Log of the events, chunks and signals that a node receives.
#[derive(Debug)]
pub struct Recorder {
    log: RwLock<Log>,
    /// Number of entries.
    entries: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Log {
    events: HashMap<RoomId, Vec<Arc<RoomEvent>>>,
    chunks: Vec<(TrackKey, Relayed)>,
    signals: Vec<(RoomId, Arc<Signal>)>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            log: RwLock::default(),
            entries: watch::Sender::new(0),
        }
    }
}

impl Recorder {
    fn read<T>(&self, read: impl FnOnce(&Log) -> T) -> T {
        read(&self.log.read())
    }

    fn add(&self, add: impl FnOnce(&mut Log)) {
        add(&mut self.log.write());
        self.entries.send_modify(|count| *count += 1);
    }

    /// Waits until `read` finds something in the log. Panics with `wanted` after a deadline.
    async fn until<T>(&self, wanted: &str, read: impl Fn(&Log) -> Option<T>) -> T {
        let mut entries = self.entries.subscribe();
        let found = async {
            loop {
                entries.borrow_and_update();
                if let Some(found) = self.read(&read) {
                    return found;
                }
                // Cannot fail: `self` owns the sender.
                let _ = entries.changed().await;
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => found,
            Err(_) => panic!(
                "{wanted} did not come; {:#?}",
                self.read(|log| format!("{log:?}"))
            ),
        }
    }

    /// Returns the events of a room so far.
    #[must_use]
    pub fn events(&self, room: &RoomId) -> Vec<Arc<RoomEvent>> {
        self.read(|log| log.events.get(room).cloned().unwrap_or_default())
    }

    /// Returns the events of a room, once there are `count`.
    pub async fn events_until(&self, room: &RoomId, count: usize) -> Vec<Arc<RoomEvent>> {
        let wanted = format!("event number {count} of {room}");
        let enough = |log: &Log| {
            let events = log.events.get(room).map(Vec::as_slice).unwrap_or_default();
            (events.len() >= count).then(|| events.to_vec())
        };
        self.until(&wanted, enough).await
    }

    /// Returns the events of a room, once it is closed.
    pub async fn events_until_closed(&self, room: &RoomId) -> Vec<Arc<RoomEvent>> {
        let closed = |log: &Log| {
            let events = log.events.get(room)?;
            let last = &events.last()?.change;
            matches!(last, Change::RoomClosed { .. }).then(|| events.clone())
        };
        self.until(&format!("the end of {room}"), closed).await
    }

    /// Returns all chunks, once there are `count`.
    pub async fn chunks_until(&self, count: usize) -> Vec<(TrackKey, Relayed)> {
        let enough = |log: &Log| (log.chunks.len() >= count).then(|| log.chunks.clone());
        self.until(&format!("chunk number {count}"), enough).await
    }

    /// Returns all signals, once there are `count`.
    pub async fn signals_until(&self, count: usize) -> Vec<(RoomId, Arc<Signal>)> {
        let enough = |log: &Log| (log.signals.len() >= count).then(|| log.signals.clone());
        self.until(&format!("signal number {count}"), enough).await
    }
}

impl Inbox for Recorder {
    fn room_event(&self, room: &RoomId, event: &Arc<RoomEvent>) {
        self.add(|log| {
            let events = log.events.entry(room.clone()).or_default();
            events.push(Arc::clone(event));
        });
    }
}

/// Sink of one channel that adds to a node's log.
#[derive(Debug)]
struct Recording<K> {
    recorder: Arc<Recorder>,
    key: K,
}

impl Recorder {
    /// Returns a sink that logs the chunks of a track.
    #[must_use]
    pub fn chunks_of(self: &Arc<Self>, track: &TrackKey) -> Arc<dyn ChunkSink> {
        let (recorder, key) = (Arc::clone(self), track.clone());
        Arc::new(Recording { recorder, key })
    }

    /// Returns a sink that logs the signals of a room.
    #[must_use]
    pub fn signals_of(self: &Arc<Self>, room: &RoomId) -> Arc<dyn SignalSink> {
        let (recorder, key) = (Arc::clone(self), room.clone());
        Arc::new(Recording { recorder, key })
    }
}

impl ChunkSink for Recording<TrackKey> {
    fn chunk(&self, chunk: Relayed, _more: bool) {
        let entry = (self.key.clone(), chunk);
        self.recorder.add(|log| log.chunks.push(entry));
    }
}

impl SignalSink for Recording<RoomId> {
    fn signal(&self, signal: Arc<Signal>) {
        let entry = (self.key.clone(), signal);
        self.recorder.add(|log| log.signals.push(entry));
    }

    fn interrupted(&self) {}
}
