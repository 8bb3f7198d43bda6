//! The way back to whoever made a request.

use std::sync::Arc;

use weir_protocol::{Ack, Fault, Frame, Notice};

use crate::{Counters, Delivery, Outlet};

/// What a request is answered through: an acknowledgement if it asked for one, and otherwise an
/// `error` event if it failed.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) outlet: &'a Arc<dyn Outlet>,
    pub(crate) counters: &'a Counters,
    /// The request's event, as the client called it.
    pub(crate) event: &'a str,
    /// The acknowledgement's number.
    pub(crate) ack: Option<i64>,
}

impl Reply<'_> {
    pub(crate) fn done(&self, ack: Ack<'_>) {
        if let Some(id) = self.ack {
            notify(&**self.outlet, self.counters, &ack.frame(id));
        }
    }

    pub(crate) fn failed(&self, fault: &Fault) {
        let frame = match self.ack {
            Some(id) => Ack::Failed(fault).frame(id),
            None => Notice::Error {
                event: Some(self.event),
                error: fault,
            }
            .frame(),
        };
        notify(&**self.outlet, self.counters, &frame);
    }
}

/// Hands an event or an acknowledgement over and counts what became of it.
pub(crate) fn notify(outlet: &dyn Outlet, counters: &Counters, frame: &Frame) {
    match outlet.notice(frame) {
        Delivery::Sent | Delivery::Queued => counters.events_sent.add_one(),
        Delivery::Full => counters.connections_closed_slow.add_one(),
        Delivery::Closed => counters.events_closed.add_one(),
    }
}
