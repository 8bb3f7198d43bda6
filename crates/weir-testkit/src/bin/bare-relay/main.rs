//! `bare-relay`: a relay that does nothing else, to compare a cluster of Weir with.
//!
//! One thread waits for sockets with epoll. It publishes each chunk to Redis with one `PUBLISH`,
//! subscribes to the rooms of its members, and writes each chunk from Redis to each member with one
//! write. With `--local` it writes a chunk of its own clients to their room itself, and does not
//! subscribe to the rooms that it created.
//!
//! One connection to Redis publishes, another subscribes; with `--tls` both are encrypted. With
//! `--cluster` there are two to each primary of a Redis Cluster. A room's chunks go through the
//! primary that owns its slot, with `SPUBLISH` and `SSUBSCRIBE`.
//!
//! Nothing is batched by waiting. There are no limits, no heartbeats, no members and no moved slots:
//! it answers what the benchmark's clients ask, no more.

mod args;
mod frame;
mod peer;
mod redis;
mod relay;
mod socket;
mod stream;

use std::net::{Ipv4Addr, SocketAddr};

use clap::Parser as _;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll};

use crate::args::RelayArgs;
use crate::redis::RelayRedis;
use crate::relay::{LISTENER, Relay};

fn main() -> anyhow::Result<()> {
    let args = RelayArgs::parse();
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let interest = Interest::READABLE;
    poll.registry()
        .register(&mut listener, LISTENER, interest)?;
    let listen = listener.local_addr()?;
    let redis = RelayRedis::connect(&args)?;
    let registry = poll.registry().try_clone()?;
    let mut relay = Relay::new(registry, listener, redis, args.local)?;
    eprintln!(r#"{{"message":"listening","listen":"{listen}"}}"#);
    let mut events = Events::with_capacity(1_024);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            relay.handle(event)?;
        }
    }
}
