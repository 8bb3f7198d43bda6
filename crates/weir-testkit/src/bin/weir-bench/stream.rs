//! The loads that stream: rooms with one publisher each.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{bail, ensure};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use crate::args::Timing;
use crate::connection::Connection;
use crate::figures::Stream;
use crate::procfs::CpuTime;
use crate::servers::Servers;
use crate::tally::Tally;

/// Rooms of one publisher and some subscribers.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Rooms, each with one publisher.
    pub(crate) rooms: usize,
    /// Subscribers of each room.
    pub(crate) subscribers: usize,
    /// Bytes of each chunk.
    pub(crate) chunk_size: usize,
    /// Chunks of each publisher.
    pub(crate) per_second: u32,
}

/// When subscribers have to have their first chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// From the publisher's first chunk on.
    AtOnce,
    /// Before the warm-up ends, with any chunk.
    Late,
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

/// Runs a load on servers that are up: the members of each room on one after another, and so the
/// rooms' publishers.
pub(crate) async fn run(
    shape: &Shape,
    timing: Timing,
    servers: &Servers,
    begin: Begin,
) -> anyhow::Result<Stream> {
    let tally = Rc::new(Tally::new(shape.chunk_size));
    tally.late.set(begin == Begin::Late);
    let mut connections = JoinSet::new();
    let mut publishers = Vec::new();
    for place in 0..shape.rooms {
        let (publisher, track, room) =
            Connection::publish(servers.listen(place), None, &tally).await?;
        publishers.push((publisher, track));
        for number in 1..=shape.subscribers {
            let (subscriber, _) =
                Connection::join(servers.listen(place + number), None, Some(&room), &tally).await?;
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
    warm_up(timing).await;
    tally.check()?;
    let (begun, subscribers) = (tally.begun.get(), shape.rooms * shape.subscribers);
    ensure!(
        begun == subscribers,
        "{begun} of {subscribers} subscribers got a chunk within the warm-up"
    );
    tally.late.set(false);
    let taken = observe(timing, servers, &tally).await?;
    finish(&tally, shape.subscribers as u64).await?;
    Ok(taken)
}

/// Lets the load run for the seconds that do not count.
pub(crate) async fn warm_up(timing: Timing) {
    let time = Duration::from_secs(timing.warm_up);
    interval_at(Instant::now() + time, time).tick().await;
}

/// Measures the seconds that count.
pub(crate) async fn observe(
    timing: Timing,
    servers: &Servers,
    tally: &Tally,
) -> anyhow::Result<Stream> {
    let second = Duration::from_secs(1);
    let mut seconds = interval_at(Instant::now() + second, second);
    let own = std::process::id();
    let (began, delivered, heartbeats) = (
        Instant::now(),
        tally.delivered.get(),
        tally.heartbeats.get(),
    );
    let (cpu, own_cpu) = (servers.cpu()?, CpuTime::of(own)?);
    tally.recording.set(true);
    for _ in 0..timing.measured {
        seconds.tick().await;
        tally.check()?;
    }
    tally.recording.set(false);
    let used = servers.cpu()?.since(&cpu);
    let own_used = CpuTime::of(own)?.since(&own_cpu);
    let taken = Stream {
        used,
        deliveries: tally.delivered.get() - delivered,
        latencies: tally.latencies.take(),
    };
    eprintln!(
        "  {} deliveries and {} heartbeats in {:.1} s; {:.2} s of CPU, {:.1} µs per \
         delivery, of it Redis {:.1}; load generator {:.2} s",
        taken.deliveries,
        tally.heartbeats.get() - heartbeats,
        began.elapsed().as_secs_f64(),
        used.all().as_secs_f64(),
        taken.per_delivery(used.all()),
        taken.per_delivery(used.redis),
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
        let due = (tally.published.get() * subscribers).saturating_sub(tally.skipped.get());
        let delivered = tally.delivered.get();
        if delivered == due {
            return Ok(());
        }
        if delivered > due || Instant::now() > deadline {
            bail!("{due} deliveries were due, {delivered} came");
        }
    }
}
