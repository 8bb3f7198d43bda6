//! Connections to Redis: two to each server that relays chunks.

mod connection;
mod push;
mod resp;
mod slots;
mod tls;

use std::io;
use std::net::SocketAddr;

pub(crate) use self::connection::RedisConnection;
use self::slots::SlotOwners;
use self::tls::TlsClient;
use crate::args::RelayArgs;

/// Redis of a relay.
#[derive(Debug)]
pub(crate) struct RelayRedis {
    /// One of a standalone Redis, or one per primary of a Redis Cluster.
    pub(crate) shards: Vec<RelayShard>,
    slots: SlotOwners,
    commands: PubSubCommands,
}

/// Connections to one server.
#[derive(Debug)]
pub(crate) struct RelayShard {
    pub(crate) publisher: RedisConnection,
    pub(crate) subscriber: RedisConnection,
}

/// Names of commands, as bulk strings.
#[derive(Debug, Clone, Copy)]
struct PubSubCommands {
    publish: &'static str,
    subscribe: &'static str,
}

/// Pub/sub of one server.
const PLAIN: PubSubCommands = PubSubCommands {
    publish: "$7\r\nPUBLISH",
    subscribe: "$9\r\nSUBSCRIBE",
};
/// Pub/sub within the shard that owns a channel's slot.
const SHARDED: PubSubCommands = PubSubCommands {
    publish: "$8\r\nSPUBLISH",
    subscribe: "$10\r\nSSUBSCRIBE",
};

impl RelayRedis {
    /// Connects to Redis, or to each primary of a Redis Cluster.
    pub(crate) fn connect(args: &RelayArgs) -> anyhow::Result<Self> {
        let tls = args.tls.as_deref().map(TlsClient::new).transpose()?;
        let (slots, commands) = match args.cluster {
            true => (SlotOwners::query(args.redis)?, SHARDED),
            false => (SlotOwners::standalone(args.redis), PLAIN),
        };
        let shard = |server: &SocketAddr| {
            Ok(RelayShard {
                publisher: RedisConnection::connect(*server, tls.as_ref())?,
                subscriber: RedisConnection::connect(*server, tls.as_ref())?,
            })
        };
        let shards: anyhow::Result<_> = slots.primaries.iter().map(shard).collect();
        Ok(Self {
            shards: shards?,
            slots,
            commands,
        })
    }

    /// Returns the index of a room's shard.
    pub(crate) fn shard(&self, room: &str) -> anyhow::Result<usize> {
        self.slots.owner(room)
    }

    /// Subscribes to a room.
    pub(crate) fn subscribe(&mut self, shard: usize, room: &str) -> io::Result<()> {
        let command = self.commands.subscribe;
        let subscriber = &mut self.shards[shard].subscriber;
        subscriber.send(command, &[room.as_bytes()])
    }

    /// Publishes a chunk to a room; does not wait for the answer.
    pub(crate) fn publish(&mut self, shard: usize, room: &str, chunk: &[u8]) -> io::Result<()> {
        let command = self.commands.publish;
        let publisher = &mut self.shards[shard].publisher;
        publisher.send(command, &[room.as_bytes(), chunk])
    }
}
