//! The load that does nothing: many members, of whom a few get a chunk now and then.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, interval_at};

use crate::args::Timing;
use crate::connection::Connection;
use crate::figures::Idle;
use crate::procfs::{CpuTime, resident};
use crate::servers::Servers;
use crate::stream::{finish, observe, warm_up};
use crate::tally::Tally;

/// Members of the room that is published to, its publisher not counted.
const AUDIENCE: usize = 100;
/// Members of every other room.
const ROOM: usize = 10;
/// Size of the audience's chunks in bytes, and how many of them a second.
const CHUNK_SIZE: usize = 1_200;
const PER_SECOND: u32 = 10;
/// Rooms that fill at the same time.
const AT_ONCE: usize = 8;
/// Source addresses: no one has ports for all.
const SOURCES: usize = 8;
/// Connections that come and go before the memory is read first, so that code compiled and
/// tables made at the first use do not count as the connections'.
const REHEARSAL: usize = 20;
/// Memory is read when it has not moved by more than 1 % for this long, or after `UNSETTLED`.
const SETTLED: Duration = Duration::from_secs(3);
const UNSETTLED: Duration = Duration::from_secs(30);

/// Runs the load on a server that is up.
pub(crate) async fn run(
    connections: usize,
    window: Duration,
    timing: Timing,
    server: &Servers,
) -> anyhow::Result<Idle> {
    let pid = server.pid();
    let rehearsal = Rc::new(Tally::new(CHUNK_SIZE));
    drop(fill(REHEARSAL, ROOM, server.listen(0), &rehearsal).await?);
    let before = settled(pid).await?;

    let tally = Rc::new(Tally::new(CHUNK_SIZE));
    let cpu = CpuTime::of(pid)?;
    let mut crowd = fill(connections, AUDIENCE, server.listen(0), &tally).await?;
    let connecting = CpuTime::of(pid)?.since(&cpu);
    eprintln!(
        "  {connections} joined, {:.2} s of the server's CPU",
        connecting.as_secs_f64()
    );
    let joined = settled(pid).await?;

    let (cpu, heartbeats) = (CpuTime::of(pid)?, tally.heartbeats.get());
    interval_at(Instant::now() + window, window).tick().await;
    tally.check()?;
    let idling = CpuTime::of(pid)?.since(&cpu);
    let heartbeats = tally.heartbeats.get() - heartbeats;
    let later = resident(pid)?;
    eprintln!(
        "  idle for {} s: {heartbeats} heartbeats, {:.3} s of CPU; resident {before} KiB before, \
         {joined} KiB when all had joined, {later} KiB now",
        window.as_secs(),
        idling.as_secs_f64(),
    );

    let room = crowd.audience.clone();
    let (publisher, track, _) = Connection::publish(server.listen(0), Some(&room), &tally).await?;
    let period = Duration::from_secs(1) / PER_SECOND;
    crowd
        .members
        .spawn_local(publisher.send(track, Instant::now() + period, period));
    // As long as the idling, so that each connection's heartbeat falls into it too.
    let timing = Timing {
        measured: window.as_secs(),
        ..timing
    };
    warm_up(timing).await;
    let amid = observe(timing, server, &tally).await?;
    finish(&tally, AUDIENCE.min(connections) as u64).await?;

    let each = |resident: u64| (resident as f64 - before as f64) / connections as f64;
    Ok(Idle {
        connections,
        memory: each(joined),
        memory_later: each(later),
        connecting,
        idling,
        heartbeats,
        amid,
    })
}

/// Connections that listen, in rooms.
struct Crowd {
    members: JoinSet<()>,
    /// The id of the first room.
    audience: String,
}

/// Connects so many, `first` of them in the first room, all others in rooms of ten.
async fn fill(
    connections: usize,
    first: usize,
    addr: SocketAddr,
    tally: &Rc<Tally>,
) -> anyhow::Result<Crowd> {
    let mut sizes = vec![first.min(connections)];
    let mut left = connections - sizes[0];
    while left > 0 {
        sizes.push(left.min(ROOM));
        left -= left.min(ROOM);
    }
    let mut sizes = sizes.into_iter().enumerate();
    let (mut filling, mut members, mut audience) = (JoinSet::new(), JoinSet::new(), None);
    let mut progress = interval(Duration::from_secs(2));
    progress.reset();
    loop {
        while filling.len() < AT_ONCE
            && let Some((place, size)) = sizes.next()
        {
            filling.spawn_local(fill_room(place, size, addr, Rc::clone(tally)));
        }
        let filled = tokio::select! {
            filled = filling.join_next() => filled,
            _ = progress.tick() => {
                eprintln!("  {} of {connections} joined", members.len());
                continue;
            }
        };
        let Some(filled) = filled else { break };
        let (place, room, joined) = filled??;
        if place == 0 {
            audience = Some(room);
        }
        while members.try_join_next().is_some() {}
        tally.check()?;
        for member in joined {
            members.spawn_local(member.listen());
        }
    }
    Ok(Crowd {
        members,
        audience: audience.context("no room")?,
    })
}

/// Fills one room; returns its place, its id and its members.
async fn fill_room(
    place: usize,
    size: usize,
    addr: SocketAddr,
    tally: Rc<Tally>,
) -> anyhow::Result<(usize, String, Vec<Connection>)> {
    let mut members = Vec::with_capacity(size);
    let mut room: Option<String> = None;
    for number in 0..size {
        let last = 1 + ((place + number) % SOURCES) as u8;
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
        let (member, id) = Connection::join(addr, Some(source), room.as_deref(), &tally).await?;
        members.push(member);
        room = Some(id);
    }
    Ok((place, room.context("an empty room")?, members))
}

/// The resident memory in KiB once it stands still.
async fn settled(pid: u32) -> anyhow::Result<u64> {
    let mut looks = interval(Duration::from_millis(250));
    let began = Instant::now();
    let (mut reference, mut since) = (resident(pid)?, began);
    loop {
        looks.tick().await;
        let now = resident(pid)?;
        if now.abs_diff(reference) * 100 > reference {
            (reference, since) = (now, Instant::now());
        }
        if since.elapsed() >= SETTLED || began.elapsed() >= UNSETTLED {
            return Ok(now);
        }
    }
}
