//! Ports for servers of tests.

use std::{
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Ports of servers, below Linux' ephemeral ports (from 32,768 on).
///
/// No outgoing connection takes the port of a server that is stopped. The bus of a Redis Cluster
/// listens 10,000 higher.
const PORTS: Range<u64> = 10_000..20_000;

/// Returns a port on which nobody listens, another one at each call.
pub(super) fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU64> =
        LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(()) >> 1));
    loop {
        let index = NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start);
        let port = u16::try_from(PORTS.start + index).expect("a port");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
