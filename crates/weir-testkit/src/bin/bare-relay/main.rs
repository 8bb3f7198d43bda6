//! `bare-relay`: a relay that does nothing else, to compare a cluster of Weir with.
//!
//! One thread waits for sockets with epoll. It publishes each chunk to Redis with one `PUBLISH`,
//! subscribes to the rooms of its members, and writes each chunk from Redis to each member with one
//! write. With `--local` it writes a chunk of its own clients to their room itself, and does not
//! subscribe to the rooms that it created.
//!
//! One connection to Redis publishes, another subscribes. Nothing is batched by waiting. There are
//! no limits, no heartbeats and no members: it answers what the benchmark's clients ask, no more.

mod frame;
mod peer;
mod redis;
mod relay;
mod stream;

use std::env;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll};

use crate::relay::{LISTENER, Relay};

fn main() -> anyhow::Result<()> {
    let mut args = env::args().skip(1);
    let redis = args
        .next()
        .context("usage: bare-relay HOST:PORT [--local]")?;
    let local = args.next().is_some_and(|option| option == "--local");
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let interest = Interest::READABLE;
    poll.registry()
        .register(&mut listener, LISTENER, interest)?;
    let listen = listener.local_addr()?;
    let mut relay = Relay::new(poll.registry().try_clone()?, listener, &redis, local)?;
    eprintln!(r#"{{"message":"listening","listen":"{listen}"}}"#);
    let mut events = Events::with_capacity(1_024);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            relay.handle(event)?;
        }
    }
}
