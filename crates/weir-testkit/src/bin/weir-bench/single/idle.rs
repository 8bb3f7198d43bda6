//! Load of many idle members, a few of which receive chunks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, interval_at};

use super::figures::IdleFigures;
use crate::args::Timing;
use crate::load::{LoadMember, Tally, finish, observe, warm_up};
use crate::measure::{CpuTime, resident};
use crate::servers::Servers;

/// Subscribers of the room with a publisher.
const AUDIENCE: usize = 100;
/// Members of every other room.
const ROOM: usize = 10;
/// Bytes of each chunk to the audience.
const CHUNK_SIZE: usize = 1_200;
/// Chunks per second to the audience.
const PER_SECOND: u32 = 10;
/// Rooms that fill at the same time.
const CONCURRENT: usize = 8;
/// Source addresses. One does not have enough ports.
const SOURCES: usize = 8;
/// Connections before the first reading of the memory, which exclude first-use costs.
const REHEARSAL: usize = 20;
/// Time without a change of more than 1 %, after which memory counts as stable.
const STABLE: Duration = Duration::from_secs(3);
/// Deadline for stable memory.
const STABLE_DEADLINE: Duration = Duration::from_secs(30);

/// Runs the load on a running server.
pub(crate) async fn run(
    connections: usize,
    window: Duration,
    timing: Timing,
    server: &Servers,
) -> anyhow::Result<IdleFigures> {
    let pid = server.pid();
    let rehearsal = Rc::new(Tally::new(CHUNK_SIZE));
    drop(fill(REHEARSAL, ROOM, server.listen(0), &rehearsal).await?);
    let before = stable_memory(pid).await?;

    let tally = Rc::new(Tally::new(CHUNK_SIZE));
    let cpu = CpuTime::of(pid)?;
    let mut crowd = fill(connections, AUDIENCE, server.listen(0), &tally).await?;
    let connecting = CpuTime::of(pid)?.since(&cpu);
    eprintln!(
        "  {connections} joined, {:.2} s of the server's CPU",
        connecting.as_secs_f64()
    );
    let joined = stable_memory(pid).await?;

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
    let (publisher, track, _) = LoadMember::publish(server.listen(0), Some(&room), &tally).await?;
    let period = Duration::from_secs(1) / PER_SECOND;
    crowd
        .members
        .spawn_local(publisher.send(track, Instant::now() + period, period));
    // As long as the idle window, so that it includes a heartbeat of each connection.
    let timing = Timing {
        measured: window.as_secs(),
        ..timing
    };
    warm_up(timing).await;
    let amid = observe(timing, server, &tally).await?;
    finish(&tally, AUDIENCE.min(connections) as u64).await?;

    let each = |resident: u64| (resident as f64 - before as f64) / connections as f64;
    Ok(IdleFigures {
        connections,
        memory: each(joined),
        memory_later: each(later),
        connecting,
        idling,
        heartbeats,
        amid,
    })
}

/// Connections in rooms, which listen.
struct Crowd {
    members: JoinSet<()>,
    /// Id of the first room.
    audience: String,
}

/// Opens connections: `first` of them in the first room, the others in rooms of ten.
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
        while filling.len() < CONCURRENT
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

/// Fills a room; returns its place, its id and its members.
async fn fill_room(
    place: usize,
    size: usize,
    addr: SocketAddr,
    tally: Rc<Tally>,
) -> anyhow::Result<(usize, String, Vec<LoadMember>)> {
    let mut members = Vec::with_capacity(size);
    let mut room: Option<String> = None;
    for number in 0..size {
        let last = 1 + ((place + number) % SOURCES) as u8;
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
        let (member, id) = LoadMember::join(addr, Some(source), room.as_deref(), &tally).await?;
        members.push(member);
        room = Some(id);
    }
    Ok((place, room.context("an empty room")?, members))
}

/// Returns the resident memory in KiB once it is stable.
async fn stable_memory(pid: u32) -> anyhow::Result<u64> {
    let mut polls = interval(Duration::from_millis(250));
    let start = Instant::now();
    let (mut reference, mut since) = (resident(pid)?, start);
    loop {
        polls.tick().await;
        let now = resident(pid)?;
        if now.abs_diff(reference) * 100 > reference {
            (reference, since) = (now, Instant::now());
        }
        if since.elapsed() >= STABLE || start.elapsed() >= STABLE_DEADLINE {
            return Ok(now);
        }
    }
}
