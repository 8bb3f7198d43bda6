//! Answers to requests.

use std::sync::Arc;

use weir_protocol::{Ack, Fault, Frame, Notice};

use crate::{Counters, Outlet, outlet::notify};

/// Reply to a request: an acknowledgement if the client asked for one, otherwise an `error` event
/// if the request failed.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) outlet: &'a Arc<dyn Outlet>,
    pub(crate) counters: &'a Counters,
    /// Event of the request, as the client named it.
    pub(crate) event: &'a str,
    /// Id of the requested acknowledgement.
    pub(crate) ack: Option<i64>,
}

impl Reply<'_> {
    /// Acknowledges the request.
    pub(crate) fn done(&self, ack: Ack<'_>) {
        if let Some(id) = self.ack {
            self.send(&ack.frame(id));
        }
    }

    /// Reports that the request failed.
    pub(crate) fn failed(&self, fault: &Fault) {
        let event = Some(self.event);
        match self.ack {
            Some(id) => self.send(&Ack::Failed(fault).frame(id)),
            None => self.send(
                &Notice::Error {
                    event,
                    error: fault,
                }
                .frame(),
            ),
        }
    }

    fn send(&self, frame: &Frame) {
        notify(&**self.outlet, self.counters, frame);
    }
}
