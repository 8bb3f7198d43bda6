//! Rooms, and the way of chunks through them.

use std::collections::HashMap;
use std::io;
use std::process;

use anyhow::Context as _;
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use crate::peer::{PeerInput, PeerRequest, RelayPeer};
use crate::redis::RelayRedis;
use crate::socket::ReadySocket;
use crate::stream::QueuedStream;

/// Token of the listener. Two for each shard follow, then one for each client.
pub(crate) const LISTENER: Token = Token(0);

/// Most bytes of one read.
const READ_SIZE: usize = 64 << 10;

/// State of a relay.
#[derive(Debug)]
pub(crate) struct Relay {
    registry: Registry,
    listener: TcpListener,
    redis: RelayRedis,
    /// Whether chunks of its own clients reach their room without Redis.
    local: bool,
    peers: Vec<Option<RelayPeer>>,
    rooms: Vec<RelayRoom>,
    /// Index of each room by its id, which is its channel too.
    by_id: HashMap<String, usize>,
    buffer: Box<[u8]>,
}

/// Room of a relay.
#[derive(Debug)]
struct RelayRoom {
    id: String,
    /// Index of the shard that its chunks go through.
    shard: usize,
    /// Indices of the members that receive chunks.
    members: Vec<usize>,
}

impl Relay {
    pub(crate) fn new(
        registry: Registry,
        listener: TcpListener,
        mut redis: RelayRedis,
        local: bool,
    ) -> anyhow::Result<Self> {
        for (index, shard) in redis.shards.iter_mut().enumerate() {
            register(&registry, shard.publisher.0.tcp(), 1 + 2 * index)?;
            register(&registry, shard.subscriber.0.tcp(), 2 + 2 * index)?;
        }
        Ok(Self {
            registry,
            listener,
            redis,
            local,
            peers: Vec::new(),
            rooms: Vec::new(),
            by_id: HashMap::new(),
            buffer: vec![0; READ_SIZE].into_boxed_slice(),
        })
    }

    /// Reads from, and writes to, a socket that is ready.
    pub(crate) fn handle(&mut self, event: &Event) -> anyhow::Result<()> {
        let (Token(token), first_peer) = (event.token(), self.first_peer());
        match token.checked_sub(1) {
            None => self.accept(),
            Some(_) if token >= first_peer => self.serve(token - first_peer),
            Some(socket) if socket % 2 == 0 => self.read_answers(socket / 2),
            Some(socket) => self.receive(socket / 2),
        }
    }

    /// Returns the token of the first client.
    fn first_peer(&self) -> usize {
        1 + 2 * self.redis.shards.len()
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        loop {
            let tcp = match self.listener.accept() {
                Ok((tcp, _)) => tcp,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let mut stream = QueuedStream::new(ReadySocket::new(tcp)?);
            let token = self.first_peer() + self.peers.len();
            register(&self.registry, stream.tcp(), token)?;
            self.peers.push(Some(RelayPeer::new(stream)));
        }
    }

    /// Reads the answers of a shard.
    fn read_answers(&mut self, shard: usize) -> anyhow::Result<()> {
        let publisher = &mut self.redis.shards[shard].publisher;
        publisher.0.flush()?;
        let open = publisher.read_answers(&mut self.buffer)?;
        open.then_some(()).context("Redis closed the connection")
    }

    /// Delivers the chunks that a shard has sent.
    fn receive(&mut self, shard: usize) -> anyhow::Result<()> {
        let Self {
            redis,
            peers,
            rooms,
            by_id,
            buffer,
            ..
        } = self;
        let subscriber = &mut redis.shards[shard].subscriber;
        subscriber.0.flush()?;
        let open = subscriber.read_messages(buffer, |room, chunk| {
            if let Some(room) = by_id.get(room) {
                deliver(&rooms[*room], peers, chunk);
            }
        })?;
        open.then_some(()).context("Redis closed the connection")
    }

    /// Handles what a client has sent.
    fn serve(&mut self, index: usize) -> anyhow::Result<()> {
        let Some(peer) = &mut self.peers[index] else {
            return Ok(());
        };
        let mut inputs = Vec::new();
        let flushed = peer.stream.flush();
        let open = flushed.is_ok() && matches!(peer.read(&mut self.buffer, &mut inputs), Ok(true));
        for input in inputs {
            match input {
                PeerInput::Chunk(chunk) => self.publish(index, &chunk)?,
                PeerInput::Request { id, request } => self.answer(index, id, request)?,
            }
        }
        if !open && let Some(peer) = self.peers[index].take() {
            let room = peer.room.map(|room| &mut self.rooms[room]);
            room.into_iter()
                .for_each(|room| room.members.retain(|member| *member != index));
        }
        Ok(())
    }

    /// Publishes a chunk.
    fn publish(&mut self, index: usize, chunk: &[u8]) -> anyhow::Result<()> {
        let peer = self.peers[index].as_ref().context("no peer")?;
        let room = &self.rooms[peer.room.context("no room")?];
        self.redis.publish(room.shard, &room.id, chunk)?;
        if self.local {
            deliver(room, &mut self.peers, chunk);
        }
        Ok(())
    }

    fn answer(&mut self, index: usize, id: u64, request: PeerRequest) -> anyhow::Result<()> {
        let result = match request {
            PeerRequest::Create => {
                let id = format!("{}-{}", process::id(), self.rooms.len());
                self.open(&id, !self.local)?;
                format!(r#"{{"ok":true,"room":{{"id":"{id}"}}}}"#)
            }
            PeerRequest::Join { room: id } => {
                let room = match self.by_id.get(&id) {
                    Some(room) => *room,
                    // Another relay created it.
                    None => self.open(&id, true)?,
                };
                self.rooms[room].members.push(index);
                self.peers[index].as_mut().context("no peer")?.room = Some(room);
                r#"{"ok":true}"#.to_owned()
            }
            PeerRequest::Publish => {
                let peer = self.peers[index].as_ref().context("no peer")?;
                let room = &mut self.rooms[peer.room.context("no room")?];
                // The one publisher of a room does not receive its chunks.
                room.members.retain(|member| *member != index);
                r#"{"ok":true,"track":{"id":1}}"#.to_owned()
            }
        };
        let peer = self.peers[index].as_mut().context("no peer")?;
        peer.acknowledge(id, &result)
    }

    /// Adds a room, and subscribes to it if told to; returns its index.
    fn open(&mut self, id: &str, subscribe: bool) -> anyhow::Result<usize> {
        let shard = self.redis.shard(id)?;
        if subscribe {
            self.redis.subscribe(shard, id)?;
        }
        self.rooms.push(RelayRoom {
            id: id.to_owned(),
            shard,
            members: Vec::new(),
        });
        self.by_id.insert(id.to_owned(), self.rooms.len() - 1);
        Ok(self.rooms.len() - 1)
    }
}

/// Writes a chunk to each member of a room.
fn deliver(room: &RelayRoom, peers: &mut [Option<RelayPeer>], chunk: &[u8]) {
    for member in &room.members {
        if let Some(peer) = &mut peers[*member] {
            // A broken connection is removed at its next event.
            let _ = peer.stream.send(chunk);
        }
    }
}

fn register(registry: &Registry, tcp: &mut TcpStream, token: usize) -> io::Result<()> {
    let interest = Interest::READABLE | Interest::WRITABLE;
    registry.register(tcp, Token(token), interest)
}
