//! `bare-relay`: the least that a node of a cluster must do, to compare Weir with.
//!
//! One thread waits for sockets with epoll. It publishes each chunk to Redis with one `PUBLISH`,
//! and writes each chunk, its own publisher's or one from Redis, to each subscriber with one write.
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
    let redis = env::args().nth(1).context("usage: bare-relay HOST:PORT")?;
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let interest = Interest::READABLE;
    poll.registry()
        .register(&mut listener, LISTENER, interest)?;
    let listen = listener.local_addr()?;
    let mut relay = Relay::new(poll.registry().try_clone()?, listener, &redis)?;
    eprintln!(r#"{{"message":"listening","listen":"{listen}"}}"#);
    let mut events = Events::with_capacity(1_024);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            relay.handle(event)?;
        }
    }
}
