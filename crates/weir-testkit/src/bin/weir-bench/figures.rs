//! What was measured.

use std::time::Duration;

use crate::peer::Peer;

/// All figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) weir: Of,
    pub(crate) node: Of,
}

impl Figures {
    pub(crate) fn of(&mut self, peer: Peer) -> &mut Of {
        match peer {
            Peer::Weir => &mut self.weir,
            Peer::Node => &mut self.node,
        }
    }
}

/// The figures of one server.
#[derive(Debug, Default)]
pub(crate) struct Of {
    pub(crate) fan_out: Option<Stream>,
    pub(crate) rooms: Option<Stream>,
    pub(crate) idle: Option<Idle>,
}

/// The figures of one load, run once.
#[derive(Debug)]
pub(crate) enum Taken {
    FanOut(Stream),
    Rooms(Stream),
    Idle(Idle),
}

impl Of {
    /// Adds what was taken to what there is of the same load.
    pub(crate) fn add(&mut self, taken: Taken) {
        let (place, stream) = match taken {
            Taken::FanOut(stream) => (&mut self.fan_out, stream),
            Taken::Rooms(stream) => (&mut self.rooms, stream),
            Taken::Idle(idle) => {
                self.idle = Some(idle);
                return;
            }
        };
        place.get_or_insert_default().add(stream);
    }
}

/// CPU time of servers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    /// Of all nodes together.
    pub(crate) nodes: Duration,
    /// Of the Redis that joins them; none if there is one node only.
    pub(crate) redis: Duration,
}

impl Used {
    pub(crate) fn all(self) -> Duration {
        self.nodes + self.redis
    }
}

/// The steady state of a load that streams.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// CPU time of the servers.
    pub(crate) used: Used,
    /// Chunks that subscribers received meanwhile.
    pub(crate) deliveries: u64,
    /// Of each delivery, in microseconds.
    pub(crate) latencies: Vec<u32>,
}

impl Stream {
    /// Adds another run of the same load.
    pub(crate) fn add(&mut self, other: Self) {
        self.used.nodes += other.used.nodes;
        self.used.redis += other.used.redis;
        self.deliveries += other.deliveries;
        self.latencies.extend(other.latencies);
    }

    /// A part of the CPU time per delivered chunk in microseconds.
    pub(crate) fn per_delivery(&self, part: Duration) -> f64 {
        part.as_secs_f64() * 1e6 / self.deliveries.max(1) as f64
    }

    /// The 50th, 95th and 99th percentile of the latency in milliseconds.
    pub(crate) fn percentiles(&self) -> [f64; 3] {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        [50, 95, 99].map(|percent| {
            let rank = (sorted.len() * percent).div_ceil(100);
            f64::from(sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)) / 1e3
        })
    }
}

/// Many connections.
#[derive(Debug)]
pub(crate) struct Idle {
    pub(crate) connections: usize,
    /// Resident memory per connection in KiB, when all have joined and it stands still.
    pub(crate) memory: f64,
    /// The same after the idle window: V8 collects its garbage once nothing happens.
    pub(crate) memory_later: f64,
    /// CPU time of the server for connecting and joining all of them.
    pub(crate) connecting: Duration,
    /// CPU time of the server while nothing happens but heartbeats.
    pub(crate) idling: Duration,
    /// Heartbeats meanwhile.
    pub(crate) heartbeats: u64,
    /// The audience's chunks amid all others, the heartbeats of all included.
    pub(crate) amid: Stream,
}

impl Idle {
    /// CPU time to connect and join one, in microseconds.
    pub(crate) fn cpu_per_connection(&self) -> f64 {
        self.connecting.as_secs_f64() * 1e6 / self.connections as f64
    }

    /// CPU time per heartbeat in microseconds; `None` if there was none.
    pub(crate) fn cpu_per_heartbeat(&self) -> Option<f64> {
        let per_heartbeat = self.idling.as_secs_f64() * 1e6 / self.heartbeats as f64;
        (self.heartbeats > 0).then_some(per_heartbeat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let latencies = (1..=200).rev().map(|number| number * 1_000).collect();
        let stream = Stream {
            latencies,
            ..Stream::default()
        };
        assert_eq!(stream.percentiles(), [100.0, 190.0, 198.0]);
        assert_eq!(Stream::default().percentiles(), [0.0; 3]);
    }
}
