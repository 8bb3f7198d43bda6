//! Every metric of a node: its name, unit, kind and meaning. `docs/operations.md` has the same list,
//! which a test compares with this one.

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instrument {
    /// It only grows while the process lives.
    Counter,
    /// It is what it is now.
    Gauge,
    /// How often values of each size were measured.
    Histogram,
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name, as OpenTelemetry has it.
    pub name: &'static str,
    /// Its unit in UCUM, or what it counts in braces.
    pub unit: &'static str,
    /// Its kind.
    pub instrument: Instrument,
    /// What it says.
    pub description: &'static str,
}

macro_rules! metrics {
    ($($instrument:ident $name:literal $unit:literal $description:literal;)+) => {
        /// Every metric, in the order in which they are documented.
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
    Counter "weir.connection.accepted" "{connection}" "Connections that were accepted";
    Counter "weir.connection.refused" "{connection}" "Connections that were refused, by reason";
    Counter "weir.connection.closed" "{connection}" "Connections that the node closed, by reason";
    Gauge "weir.sessions" "{session}" "Connected clients";
    Gauge "weir.rooms" "{room}" "Rooms that members of this node are in";
    Gauge "weir.members" "{member}" "Members that are connected to this node";
    Gauge "weir.tracks" "{track}" "Tracks that members of this node publish, by kind";
    Counter "weir.request.done" "{request}" "Requests that were answered with success";
    Counter "weir.request.failed" "{request}" "Requests that were answered with an error, by its code";
    Counter "weir.ingest.chunks" "{chunk}" "Chunks that were taken from publishers, by kind";
    Counter "weir.ingest.payload" "By" "Payload of the chunks that were taken from publishers, by kind";
    Counter "weir.ingest.refused" "{chunk}" "Chunks of publishers that were answered with an error, by its code";
    Counter "weir.egress.chunks" "{chunk}" "Copies of chunks that were handed to subscribers' sockets, at once or through a queue, by kind";
    Counter "weir.egress.payload" "By" "Payload of these copies, by kind";
    Counter "weir.egress.dropped" "{chunk}" "Copies of chunks that subscribers did not get, by reason and kind";
    Counter "weir.egress.gaps" "{gap}" "Gaps that were announced to subscribers, by kind";
    Gauge "weir.egress.queue.size" "By" "What waits for subscribers' sockets, of all together";
    Gauge "weir.egress.queue.sessions" "{session}" "Clients whose sockets take no more";
    Gauge "weir.egress.queue.age" "s" "For how long the one of them that lags longest has";
    Counter "weir.event.sent" "{event}" "Events and acknowledgements that were sent or queued";
    Counter "weir.event.dropped" "{event}" "Events and acknowledgements for connections that had just ended";
    Counter "weir.relay.chunks" "{chunk}" "Chunks that were put on the bus for other nodes, and that came from them, by kind";
    Counter "weir.relay.dropped" "{chunk}" "Chunks that did not cross between nodes, or twice, by reason and kind";
    Counter "weir.relay.overrun" "{message}" "Chunks and signals of other nodes that were dropped since the handling of those before took too long";
    Histogram "weir.chunk.hop.duration" "s" "How long chunks take on each part of their way, of one in 64";
    Counter "weir.bus.messages" "{message}" "Messages that came over the bus";
    Counter "weir.bus.payload" "By" "Bytes of these messages";
    Counter "weir.bus.dropped" "{message}" "Messages for the bus that were dropped, or that came and were not understood (refused), or did not come (missed), by reason";
    Gauge "weir.bus.outbox.messages" "{message}" "Messages that wait to be published";
    Gauge "weir.bus.outbox.size" "By" "Bytes of these messages";
    Gauge "weir.bus.outbox.age" "s" "How long the oldest of them has waited";
    Counter "weir.bus.retries" "{signal}" "Signals that were sent again since Redis refused them, or did not answer";
    Histogram "weir.directory.operation.duration" "s" "How long operations of the directory take, by operation and error";
    Counter "weir.directory.repairs" "{repair}" "Rooms that were compared with Redis after something was missing, by outcome";
    Counter "weir.directory.fenced" "{write}" "Writes that were refused because another node owns the member's seat";
    Counter "weir.directory.ghosts" "{seat}" "Seats that named this node and were removed because it does not hold them";
    Gauge "weir.redis.up" "" "Whether the way to Redis works (1) or not (0), by plane";
    Counter "weir.redis.interruptions" "{interruption}" "Connections to Redis that were lost, and single subscriptions that Redis ended, by plane and cause";
    Counter "weir.redis.resubscribed" "{channel}" "Channels that were subscribed to again after an interruption, by plane";
    Counter "weir.redis.pushes.unexpected" "{push}" "What Redis pushed and nothing is done with, by plane";
    Counter "weir.redis.probes" "{probe}" "Messages of the node to itself that came back, and failures to get one back, by plane";
    Gauge "weir.redis.probe.round_trip" "s" "How long the last message to itself took to come back, by plane";
    Counter "weir.lease.renewals" "{renewal}" "Attempts to renew the node's lease, by outcome";
    Counter "weir.reaper.nodes" "{node}" "Dead nodes whose members this node took out";
    Counter "weir.reaper.members" "{member}" "Members of dead nodes that this node took out";
    Gauge "weir.ready" "" "Whether the node takes clients (1) or not (0)";
    Gauge "weir.drain.phase" "" "0: the node serves; 1: it drains, and waits until balancers have noticed; 2: it moves its clients";
    Counter "weir.telemetry.records" "{record}" "Spans, log records and collections of metrics for the collector, by signal and outcome; made and neither sent nor failed: too much waited";
    Gauge "process.uptime" "s" "Since the start of the process";
    Counter "process.cpu.time" "s" "CPU that the process has used, by mode";
    Gauge "process.memory.usage" "By" "Physical memory that the process holds";
    Gauge "process.open_fds" "{file_descriptor}" "Files and sockets that the process has open";
    Gauge "tokio.workers" "{thread}" "Worker threads of the runtime";
    Gauge "tokio.tasks" "{task}" "Tasks that are alive";
    Gauge "tokio.queue.depth" "{task}" "Tasks that wait for a worker";
    Counter "tokio.busy.time" "s" "How long the workers were busy, of all together";
}
