//! Figures of single nodes.

use std::time::Duration;

use super::kind::SingleKind;
use crate::measure::StreamFigures;

/// Figures of a run.
#[derive(Debug, Default)]
pub(super) struct SingleFigures {
    pub(super) weir: ServerFigures,
    pub(super) node: ServerFigures,
}

impl SingleFigures {
    pub(super) fn of(&mut self, kind: SingleKind) -> &mut ServerFigures {
        match kind {
            SingleKind::Weir => &mut self.weir,
            SingleKind::Node => &mut self.node,
        }
    }
}

/// Figures of one server.
#[derive(Debug, Default)]
pub(super) struct ServerFigures {
    pub(super) fan_out: Option<StreamFigures>,
    pub(super) rooms: Option<StreamFigures>,
    pub(super) idle: Option<IdleFigures>,
}

/// Figures of one run of a load.
#[derive(Debug)]
pub(super) enum LoadFigures {
    FanOut(StreamFigures),
    Rooms(StreamFigures),
    Idle(IdleFigures),
}

impl ServerFigures {
    /// Adds the figures of a run to those of the same load.
    pub(super) fn add(&mut self, figures: LoadFigures) {
        let (sum, stream) = match figures {
            LoadFigures::FanOut(stream) => (&mut self.fan_out, stream),
            LoadFigures::Rooms(stream) => (&mut self.rooms, stream),
            LoadFigures::Idle(idle) => {
                self.idle = Some(idle);
                return;
            }
        };
        sum.get_or_insert_default().add(stream);
    }
}

/// Figures of many connections.
#[derive(Debug)]
pub(super) struct IdleFigures {
    pub(super) connections: usize,
    /// Resident memory per connection in KiB, once all have joined and it is stable.
    pub(super) memory: f64,
    /// The same after the idle window, in which V8 collects garbage.
    pub(super) memory_later: f64,
    /// CPU time of the server to connect and join all of them.
    pub(super) connecting: Duration,
    /// CPU time of the server in the idle window.
    pub(super) idling: Duration,
    /// Heartbeats in the idle window.
    pub(super) heartbeats: u64,
    /// Chunks to the audience, including the heartbeats of all connections.
    pub(super) amid: StreamFigures,
}

impl IdleFigures {
    /// Returns the CPU time to connect and join one, in microseconds.
    pub(super) fn cpu_per_connection(&self) -> f64 {
        self.connecting.as_secs_f64() * 1e6 / self.connections as f64
    }

    /// Returns the CPU time per heartbeat in microseconds; `None` if there was none.
    pub(super) fn cpu_per_heartbeat(&self) -> Option<f64> {
        let per_heartbeat = self.idling.as_secs_f64() * 1e6 / self.heartbeats as f64;
        (self.heartbeats > 0).then_some(per_heartbeat)
    }
}
