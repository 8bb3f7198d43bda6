//! Loads that stream: rooms with one publisher each.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{bail, ensure};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use super::member::LoadMember;
use super::tally::Tally;
use crate::args::Timing;
use crate::measure::{CpuTime, StreamFigures};
use crate::servers::Servers;

/// Rooms of one publisher and some subscribers.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Number of rooms.
    pub(crate) rooms: usize,
    /// Subscribers of each room.
    pub(crate) subscribers: usize,
    /// Bytes of each chunk.
    pub(crate) chunk_size: usize,
    /// Chunks per second of each publisher.
    pub(crate) per_second: u32,
}

/// Requirement for a subscriber's first chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstChunk {
    /// It is the publisher's first.
    First,
    /// It is any, before the end of the warm-up.
    Any,
}

/// Deadline of the last chunks after publishing has stopped.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs a load. The members of each room, and the rooms' publishers, alternate between nodes.
pub(crate) async fn run(
    shape: &Shape,
    timing: Timing,
    servers: &Servers,
    first: FirstChunk,
) -> anyhow::Result<StreamFigures> {
    let tally = Rc::new(Tally::new(shape.chunk_size));
    tally.late.set(first == FirstChunk::Any);
    let mut members = JoinSet::new();
    let mut publishers = Vec::new();
    for place in 0..shape.rooms {
        let (publisher, track, room) =
            LoadMember::publish(servers.listen(place), None, &tally).await?;
        publishers.push((publisher, track));
        for number in 1..=shape.subscribers {
            let addr = servers.listen(place + number);
            let (subscriber, _) = LoadMember::join(addr, None, Some(&room), &tally).await?;
            members.spawn_local(subscriber.listen());
        }
    }
    let period = Duration::from_secs(1) / shape.per_second;
    let start = Instant::now() + period;
    for (place, (publisher, track)) in (0_u32..).zip(publishers) {
        // Spread over the period: people do not speak in step.
        let phase = period * place / shape.rooms as u32;
        members.spawn_local(publisher.send(track, start + phase, period));
    }
    warm_up(timing).await;
    tally.check()?;
    let (started, subscribers) = (tally.started.get(), shape.rooms * shape.subscribers);
    ensure!(
        started == subscribers,
        "{started} of {subscribers} subscribers got a chunk during the warm-up"
    );
    tally.late.set(false);
    let figures = observe(timing, servers, &tally).await?;
    finish(&tally, shape.subscribers as u64).await?;
    Ok(figures)
}

/// Runs the load for the warm-up.
pub(crate) async fn warm_up(timing: Timing) {
    let time = Duration::from_secs(timing.warm_up);
    interval_at(Instant::now() + time, time).tick().await;
}

/// Runs the load for the measured time; returns its figures.
pub(crate) async fn observe(
    timing: Timing,
    servers: &Servers,
    tally: &Tally,
) -> anyhow::Result<StreamFigures> {
    let second = Duration::from_secs(1);
    let mut seconds = interval_at(Instant::now() + second, second);
    let own = std::process::id();
    let start = Instant::now();
    let (delivered, heartbeats) = (tally.delivered.get(), tally.heartbeats.get());
    let (cpu, own_cpu) = (servers.cpu()?, CpuTime::of(own)?);
    tally.recording.set(true);
    for _ in 0..timing.measured {
        seconds.tick().await;
        tally.check()?;
    }
    tally.recording.set(false);
    let used = servers.cpu()?.since(&cpu);
    let own_used = CpuTime::of(own)?.since(&own_cpu);
    let figures = StreamFigures {
        used,
        deliveries: tally.delivered.get() - delivered,
        latencies: tally.latencies.take(),
    };
    eprintln!(
        "  {} deliveries and {} heartbeats in {:.1} s; {:.2} s of CPU, {:.1} µs per \
         delivery, of it Redis {:.1}; load generator {:.2} s",
        figures.deliveries,
        tally.heartbeats.get() - heartbeats,
        start.elapsed().as_secs_f64(),
        used.total().as_secs_f64(),
        figures.per_delivery(used.total()),
        figures.per_delivery(used.redis),
        own_used.as_secs_f64(),
    );
    Ok(figures)
}

/// Stops the publishers and waits until each chunk has reached every subscriber.
pub(crate) async fn finish(tally: &Tally, subscribers: u64) -> anyhow::Result<()> {
    tally.stopped.set(true);
    let deadline = Instant::now() + DRAIN;
    let mut polls = interval(Duration::from_millis(50));
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        polls.tick().await;
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
