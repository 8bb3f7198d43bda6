//! Rooms, and the way of chunks through them.

use std::collections::HashMap;
use std::io;
use std::process;

use anyhow::Context as _;
use mio::event::Event;
use mio::net::TcpListener;
use mio::{Interest, Registry, Token};

use crate::peer::{PeerInput, PeerRequest, RelayPeer};
use crate::redis::RedisConnection;
use crate::stream::QueuedStream;

/// Tokens of the sockets; a client's token is its index after them.
pub(crate) const LISTENER: Token = Token(0);
const PUBLISHER: Token = Token(1);
const SUBSCRIBER: Token = Token(2);
const FIRST_PEER: usize = 3;

/// Most bytes of one read.
const READ_SIZE: usize = 64 << 10;

/// State of a relay.
#[derive(Debug)]
pub(crate) struct Relay {
    registry: Registry,
    listener: TcpListener,
    publisher: RedisConnection,
    subscriber: RedisConnection,
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
    /// Indices of the members that receive chunks.
    members: Vec<usize>,
}

impl Relay {
    pub(crate) fn new(
        registry: Registry,
        listener: TcpListener,
        redis: &str,
        local: bool,
    ) -> anyhow::Result<Self> {
        let [mut publisher, mut subscriber] = [
            RedisConnection::connect(redis)?,
            RedisConnection::connect(redis)?,
        ];
        register(&registry, &mut publisher.0, PUBLISHER)?;
        register(&registry, &mut subscriber.0, SUBSCRIBER)?;
        Ok(Self {
            registry,
            listener,
            publisher,
            subscriber,
            local,
            peers: Vec::new(),
            rooms: Vec::new(),
            by_id: HashMap::new(),
            buffer: vec![0; READ_SIZE].into_boxed_slice(),
        })
    }

    /// Reads from, and writes to, a socket that is ready.
    pub(crate) fn handle(&mut self, event: &Event) -> anyhow::Result<()> {
        match event.token() {
            LISTENER => self.accept(),
            PUBLISHER => {
                self.publisher.0.flush()?;
                let open = self.publisher.read_answers(&mut self.buffer)?;
                open.then_some(()).context("Redis closed the connection")
            }
            SUBSCRIBER => self.receive(),
            Token(token) => self.serve(token - FIRST_PEER),
        }
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        loop {
            let tcp = match self.listener.accept() {
                Ok((tcp, _)) => tcp,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let mut stream = QueuedStream::new(tcp)?;
            let token = Token(FIRST_PEER + self.peers.len());
            register(&self.registry, &mut stream, token)?;
            self.peers.push(Some(RelayPeer::new(stream)));
        }
    }

    /// Delivers chunks of other relays.
    fn receive(&mut self) -> anyhow::Result<()> {
        let Self {
            subscriber,
            peers,
            rooms,
            by_id,
            buffer,
            ..
        } = self;
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
        self.publisher.publish(&room.id, chunk)?;
        if self.local {
            deliver(room, &mut self.peers, chunk);
        }
        Ok(())
    }

    fn answer(&mut self, index: usize, id: u64, request: PeerRequest) -> anyhow::Result<()> {
        let result = match request {
            PeerRequest::Create => {
                let id = format!("{}-{}", process::id(), self.rooms.len());
                if !self.local {
                    self.subscriber.subscribe(&id)?;
                }
                self.open(&id);
                format!(r#"{{"ok":true,"room":{{"id":"{id}"}}}}"#)
            }
            PeerRequest::Join { room: id } => {
                let room = match self.by_id.get(&id) {
                    Some(room) => *room,
                    None => {
                        // Another relay created it.
                        self.subscriber.subscribe(&id)?;
                        self.open(&id)
                    }
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

    /// Adds a room; returns its index.
    fn open(&mut self, id: &str) -> usize {
        self.rooms.push(RelayRoom {
            id: id.to_owned(),
            members: Vec::new(),
        });
        self.by_id.insert(id.to_owned(), self.rooms.len() - 1);
        self.rooms.len() - 1
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

fn register(registry: &Registry, stream: &mut QueuedStream, token: Token) -> io::Result<()> {
    registry.register(
        stream.source(),
        token,
        Interest::READABLE | Interest::WRITABLE,
    )
}
