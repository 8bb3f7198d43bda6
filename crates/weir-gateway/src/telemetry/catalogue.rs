//! Catalogue of all metrics. A test compares it with the table in `docs/operations.md`.

/// Kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instrument {
    /// Sum that only grows while the process lives.
    Counter,
    /// Current value.
    Gauge,
    /// Distribution of measured values.
    Histogram,
}

/// Metric with its unit and description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// OpenTelemetry name.
    pub name: &'static str,
    /// Unit in UCUM; in braces, what a counter counts.
    pub unit: &'static str,
    /// Kind.
    pub instrument: Instrument,
    /// One-line description.
    pub description: &'static str,
}

macro_rules! metrics {
    ($($instrument:ident $name:literal $unit:literal $description:literal;)+) => {
        /// All metrics, in the order of the documentation.
        pub const METRICS: &[Metric] = &[$(Metric {
            name: $name,
            unit: $unit,
            instrument: Instrument::$instrument,
            description: $description,
        }),+];
    };
}

metrics! {
    Gauge "weir.connections" "{connection}" "Open connections to the public listener";
    Counter "weir.connection.accepted" "{connection}" "Accepted connections";
    Counter "weir.connection.refused" "{connection}" "Refused connections, by reason";
    Counter "weir.connection.closed" "{connection}" "Connections closed by the node, by reason";
    Gauge "weir.sessions" "{session}" "Connected clients";
    Gauge "weir.rooms" "{room}" "Rooms with members on this node";
    Gauge "weir.members" "{member}" "Members connected to this node";
    Gauge "weir.tracks" "{track}" "Tracks published by members of this node, by kind";
    Counter "weir.request.done" "{request}" "Successful requests";
    Counter "weir.request.failed" "{request}" "Failed requests, by error code";
    Counter "weir.ingest.chunks" "{chunk}" "Chunks received from publishers, by kind";
    Counter "weir.ingest.payload" "By" "Payload of chunks received from publishers, by kind";
    Counter "weir.ingest.refused" "{chunk}" "Chunks of publishers refused with an error, by error code";
    Counter "weir.egress.chunks" "{chunk}" "Copies of chunks sent to subscribers, written at once or queued, by kind";
    Counter "weir.egress.payload" "By" "Payload of copies sent to subscribers, by kind";
    Counter "weir.egress.dropped" "{chunk}" "Copies of chunks dropped before a subscriber, by reason and kind";
    Counter "weir.egress.gaps" "{gap}" "Gaps reported to subscribers, by kind";
    Gauge "weir.egress.queue.size" "By" "Bytes queued for all clients";
    Gauge "weir.egress.queue.sessions" "{session}" "Clients with queued frames";
    Gauge "weir.egress.queue.age" "s" "Age of the oldest queued frame of any client";
    Counter "weir.event.sent" "{event}" "Events and acknowledgements sent or queued";
    Counter "weir.event.dropped" "{event}" "Events and acknowledgements dropped because their connection had ended";
    Counter "weir.relay.chunks" "{chunk}" "Chunks published to other nodes and received from them, by kind";
    Counter "weir.relay.dropped" "{chunk}" "Chunks lost or repeated between nodes, by reason and kind";
    Counter "weir.relay.overrun" "{message}" "Chunks and signals of other nodes dropped because this node was too slow";
    Histogram "weir.chunk.hop.duration" "s" "Latency of each hop of a chunk, sampled from one chunk in 64";
    Counter "weir.bus.messages" "{message}" "Messages received from the bus";
    Counter "weir.bus.payload" "By" "Payload received from the bus";
    Counter "weir.bus.dropped" "{message}" "Bus messages dropped before publishing, undecodable (refused) or missing (missed), by reason";
    Gauge "weir.bus.outbox.messages" "{message}" "Messages queued for publishing";
    Gauge "weir.bus.outbox.size" "By" "Bytes queued for publishing";
    Gauge "weir.bus.outbox.age" "s" "Age of the oldest message queued for publishing";
    Counter "weir.bus.retries" "{signal}" "Signals published again after Redis refused them or did not answer";
    Histogram "weir.directory.operation.duration" "s" "Duration of directory operations, by operation and error";
    Counter "weir.directory.repairs" "{repair}" "Rooms reconciled with Redis after an interruption, by outcome";
    Counter "weir.directory.fenced" "{write}" "Writes refused because another node owns the member's seat";
    Counter "weir.directory.ghosts" "{seat}" "Seats that named this node, and were removed because it does not hold them";
    Gauge "weir.redis.up" "" "Whether the connection to Redis works (1) or not (0), by plane";
    Counter "weir.redis.interruptions" "{interruption}" "Lost connections to Redis and subscriptions ended by Redis, by plane and cause";
    Counter "weir.redis.resubscribed" "{channel}" "Channels subscribed again after an interruption, by plane";
    Counter "weir.redis.pushes.unexpected" "{push}" "Pushes of Redis that the node does not handle, by plane";
    Counter "weir.redis.probes" "{probe}" "Probes that the node published to itself, by plane and outcome";
    Gauge "weir.redis.probe.round_trip" "s" "Round-trip time of the last probe, by plane";
    Counter "weir.lease.renewals" "{renewal}" "Attempts to renew the node's lease, by outcome";
    Counter "weir.reaper.nodes" "{node}" "Dead nodes whose members this node removed";
    Counter "weir.reaper.members" "{member}" "Members of dead nodes that this node removed";
    Gauge "weir.ready" "" "Whether the node accepts clients (1) or not (0)";
    Gauge "weir.drain.phase" "" "Drain phase: 0 not draining, 1 waiting for balancers, 2 moving clients";
    Counter "weir.telemetry.records" "{record}" "Spans, log records and metric collections created, sent and failed, by signal and outcome; the rest was dropped from a full queue";
    Gauge "process.uptime" "s" "Time since the start of the process";
    Counter "process.cpu.time" "s" "CPU time of the process, by mode";
    Gauge "process.memory.usage" "By" "Resident memory of the process";
    Gauge "process.open_fds" "{file_descriptor}" "Open files and sockets of the process";
    Gauge "tokio.workers" "{thread}" "Worker threads of the runtime";
    Gauge "tokio.tasks" "{task}" "Live tasks";
    Gauge "tokio.queue.depth" "{task}" "Tasks waiting for a worker";
    Counter "tokio.busy.time" "s" "Busy time of all workers";
}
