//! Signals of one room that this node listens to.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use weir_cluster::{Signal, SignalSink};
use weir_protocol::RoomId;

use super::core::{ExchangeCore, clock};
use crate::{
    bus::{
        envelope::{self, EnvelopeError, SIGNAL},
        signals::{
            Note,
            received::{ReceivedSignals, Step},
            wire,
        },
        topic::Topic,
    },
    connection::wire::MessageSink,
};

/// Receiver of a room's channel: restores the order of signals, and requests missing ones.
pub(super) struct SignalRoom {
    pub(super) id: RoomId,
    pub(super) topic: Arc<Topic>,
    core: Arc<ExchangeCore>,
    /// Held while signals are delivered, so that they keep their order.
    received: Mutex<ReceivedSignals>,
    /// Held only to read or change the table: a sink may drop its subscription.
    sinks: Mutex<SignalSinks>,
}

/// Sinks of a room's listeners.
#[derive(Default)]
struct SignalSinks {
    next: u64,
    sinks: Vec<(u64, Arc<dyn SignalSink>)>,
}

impl fmt::Debug for SignalRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignalRoom({})", self.id)
    }
}

impl SignalRoom {
    pub(super) fn new(id: &RoomId, core: Arc<ExchangeCore>) -> Self {
        Self {
            id: id.clone(),
            topic: core.topic(id),
            received: Mutex::new(ReceivedSignals::new(core.origin)),
            core,
            sinks: Mutex::default(),
        }
    }

    /// Adds a sink, and returns its identifier.
    pub(super) fn add(&self, sink: Arc<dyn SignalSink>) -> u64 {
        let mut sinks = self.sinks.lock();
        sinks.next += 1;
        let id = sinks.next;
        sinks.sinks.push((id, sink));
        id
    }

    /// Removes a sink.
    pub(super) fn remove(&self, id: u64) {
        self.sinks.lock().sinks.retain(|(one, _)| *one != id);
    }

    fn sinks(&self) -> Vec<Arc<dyn SignalSink>> {
        let sinks = self.sinks.lock();
        sinks
            .sinks
            .iter()
            .map(|(_, sink)| Arc::clone(sink))
            .collect()
    }

    /// Records that the room's channel is subscribed to.
    pub(super) fn listening(&self, now: Duration) {
        self.received.lock().listening(now);
    }

    /// Requests the signals that were missed while the subscription was interrupted.
    pub(super) fn request_missed(&self) {
        let ask = self.received.lock().resubscribed(self.core.now());
        if let Some(ask) = ask {
            // The request is repeated while signals are missing.
            let _ = self.core.put(&self.topic, &ask);
        }
    }

    /// Repeats requests for missing signals. Returns whether any are still missing.
    pub(super) fn poll(&self) -> bool {
        let mut received = self.received.lock();
        let step = received.tick(self.core.now());
        // Malformed signals were counted on receipt.
        let _ = self.follow(&mut received, step);
        received.is_missing()
    }

    fn receive(&self, payload: &[u8]) -> Result<(), EnvelopeError> {
        let (origin, content) = envelope::open(SIGNAL, payload)?;
        if origin == self.core.origin {
            return Ok(());
        }
        let note = wire::decode(Bytes::copy_from_slice(content))?;
        if let Note::Ask {
            to,
            listening,
            known,
        } = &note
        {
            if to.is_none_or(|to| to == self.core.origin) {
                self.core.asked(&self.id, origin, *listening, known);
            }
            return Ok(());
        }
        let mut received = self.received.lock();
        let step = received.receive(origin, note, self.core.now(), clock());
        self.follow(&mut received, step)
    }

    /// Delivers signals, publishes requests, and counts losses.
    fn follow(&self, received: &mut ReceivedSignals, step: Step) -> Result<(), EnvelopeError> {
        let mut decoded = Ok(());
        for body in step.bodies {
            match envelope::signal(body) {
                Ok(signal) => self.deliver(&Arc::new(signal)),
                Err(error) => decoded = Err(error),
            }
        }
        for ask in step.asks {
            // The request is repeated while the signal is missing.
            let _ = self.core.put(&self.topic, &ask);
        }
        self.core.count_lost(received.take_lost());
        if received.is_missing() {
            self.core.watch(&self.id);
        }
        decoded
    }

    fn deliver(&self, signal: &Arc<Signal>) {
        for sink in self.sinks() {
            sink.signal(Arc::clone(signal));
        }
    }
}

impl MessageSink for SignalRoom {
    fn message(&self, payload: &[u8], _more: bool) {
        // The connection may hold this room after its last listener is gone.
        if self.sinks.lock().sinks.is_empty() {
            return;
        }
        self.core.counters.count(payload.len());
        if let Err(error) = self.receive(payload) {
            self.core.counters.count_malformed(error);
        }
    }

    fn interrupted(&self) {
        self.request_missed();
        for sink in self.sinks() {
            sink.interrupted();
        }
    }
}
