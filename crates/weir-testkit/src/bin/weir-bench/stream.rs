//! The loads that stream: rooms with one publisher each.

use std::rc::Rc;
use std::time::Duration;

use anyhow::bail;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};
use weir_testkit::Process;

use crate::args::Timing;
use crate::connection::Connection;
use crate::figures::Stream;
use crate::procfs::CpuTime;
use crate::tally::Tally;

/// Rooms of one publisher and some subscribers.
#[derive(Debug)]
pub(crate) struct Shape {
    rooms: usize,
    subscribers: usize,
    chunk_size: usize,
    per_second: u32,
}

/// One publisher of video, 200 subscribers.
pub(crate) const FAN_OUT: Shape = Shape {
    rooms: 1,
    subscribers: 200,
    chunk_size: 6_000,
    per_second: 30,
};
/// 20 rooms of 10 members, in each one publisher and nine subscribers.
pub(crate) const ROOMS: Shape = Shape {
    rooms: 20,
    subscribers: 9,
    chunk_size: 1_200,
    per_second: 50,
};

/// How long the last chunks may take after publishing has stopped.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs a load on a server that is up.
pub(crate) async fn run(shape: &Shape, timing: Timing, server: &Process) -> anyhow::Result<Stream> {
    let tally = Rc::new(Tally::new(shape.chunk_size));
    let mut connections = JoinSet::new();
    let mut publishers = Vec::new();
    for _ in 0..shape.rooms {
        let (publisher, track, room) = Connection::publish(server.listen(), None, &tally).await?;
        publishers.push((publisher, track));
        for _ in 0..shape.subscribers {
            let (subscriber, _) =
                Connection::join(server.listen(), None, Some(&room), &tally).await?;
            connections.spawn_local(subscriber.listen());
        }
    }
    let period = Duration::from_secs(1) / shape.per_second;
    let start = Instant::now() + period;
    for (place, (publisher, track)) in (0_u32..).zip(publishers) {
        // Spread over the period: people do not speak in step.
        let phase = period * place / shape.rooms as u32;
        connections.spawn_local(publisher.send(track, start + phase, period));
    }
    let taken = observe(timing, server, &tally).await?;
    finish(&tally, shape.subscribers as u64).await?;
    Ok(taken)
}

/// Lets the load run, and measures the seconds that count.
pub(crate) async fn observe(
    timing: Timing,
    server: &Process,
    tally: &Tally,
) -> anyhow::Result<Stream> {
    let second = Duration::from_secs(1);
    let mut seconds = interval_at(Instant::now() + second, second);
    for _ in 0..timing.warm_up {
        seconds.tick().await;
    }
    let own = std::process::id();
    let (began, delivered, heartbeats) = (
        Instant::now(),
        tally.delivered.get(),
        tally.heartbeats.get(),
    );
    let (cpu, own_cpu) = (CpuTime::of(server.pid())?, CpuTime::of(own)?);
    tally.recording.set(true);
    for _ in 0..timing.measured {
        seconds.tick().await;
        tally.check()?;
    }
    tally.recording.set(false);
    let used = CpuTime::of(server.pid())?.since(&cpu);
    let own_used = CpuTime::of(own)?.since(&own_cpu);
    let taken = Stream {
        cpu: used,
        deliveries: tally.delivered.get() - delivered,
        latencies: tally.latencies.take(),
    };
    eprintln!(
        "  {} deliveries and {} heartbeats in {:.1} s; server {:.2} s of CPU, {:.1} µs per \
         delivery; load generator {:.2} s",
        taken.deliveries,
        tally.heartbeats.get() - heartbeats,
        began.elapsed().as_secs_f64(),
        taken.cpu.as_secs_f64(),
        taken.cpu_per_delivery(),
        own_used.as_secs_f64(),
    );
    Ok(taken)
}

/// Stops the publishers and waits for what is on its way: each chunk reaches every subscriber.
pub(crate) async fn finish(tally: &Tally, subscribers: u64) -> anyhow::Result<()> {
    tally.stopped.set(true);
    let deadline = Instant::now() + DRAIN;
    let mut looks = interval(Duration::from_millis(50));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        tally.check()?;
        let (due, delivered) = (tally.published.get() * subscribers, tally.delivered.get());
        if delivered == due {
            return Ok(());
        }
        if delivered > due || Instant::now() > deadline {
            bail!("{due} deliveries were due, {delivered} came");
        }
    }
}
