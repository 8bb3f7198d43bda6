//! Transport of one client: long-polling, a WebSocket, or the upgrade from one to the other.

use std::{
    fmt, io,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Instant,
};

use parking_lot::{Mutex, MutexGuard};
use socketioxide::{SocketIo, TransportType};
use socketioxide_core::Sid;
use weir_engine::{Delivery, Outlet};
use weir_protocol::Frame;

use super::{
    accept::connection::AcceptedConnection,
    adapter::{Direct, DirectAdapter},
    budget::FrameClass,
    polling::queue::PollingQueue,
    websocket::{
        upgrade::UpgradeState,
        writer::{Flushed, SocketWriter},
    },
};

/// Cause for closing a client whose event queue is full.
const SLOW: &str = "slow";

/// Transport of one client.
///
/// A WebSocket is written to directly. A connection that starts with long-polling sends through the
/// library until it has upgraded. Frames that are sent during the upgrade wait, so that order holds.
#[derive(Debug)]
pub(crate) struct ClientTransport {
    /// Guards the order of frames: its holder may send.
    route: Mutex<Route>,
    /// State of the client's upgrade.
    upgrade: UpgradeState,
    /// The library's socket, once the client has connected to the namespace.
    socket: OnceLock<LibrarySocket>,
    /// Cause if the node closed the connection.
    cause: OnceLock<&'static str>,
}

/// Current way of a client's frames.
#[derive(Debug)]
struct Route {
    /// Number of the session that may send. Earlier ones have left the namespace.
    session: u64,
    stage: Stage,
}

/// Stage of a connection's life.
#[derive(Debug)]
enum Stage {
    Polling(PollingQueue),
    /// The client has upgraded, but the library has not noticed yet.
    Upgrading(PollingQueue, SocketWriter),
    WebSocket(SocketWriter),
    Closed,
}

impl Route {
    fn writer(&mut self) -> Option<&mut SocketWriter> {
        match &mut self.stage {
            Stage::WebSocket(writer) | Stage::Upgrading(_, writer) => Some(writer),
            Stage::Polling(_) | Stage::Closed => None,
        }
    }

    /// Drops what is queued, and shuts a WebSocket down.
    fn close(&mut self) {
        match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::WebSocket(writer) | Stage::Upgrading(_, writer) => writer.shutdown(),
            Stage::Polling(_) | Stage::Closed => {}
        }
    }
}

/// The library's side of a connected client.
#[derive(Clone)]
struct LibrarySocket {
    sid: Sid,
    io: SocketIo<DirectAdapter>,
    direct: Direct,
}

impl fmt::Debug for LibrarySocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LibrarySocket").field(&self.sid).finish()
    }
}

/// A polling request that is being answered, until this is dropped.
#[derive(Debug)]
pub(crate) struct PendingPoll<'a>(&'a ClientTransport);

impl PendingPoll<'_> {
    /// Takes the request back, so that the gateway can answer it. Returns false if the library
    /// already has an answer.
    pub(crate) fn take_back(&self) -> bool {
        match &mut self.0.route.lock().stage {
            Stage::Polling(queue) => queue.take_back(),
            _ => false,
        }
    }
}

impl Drop for PendingPoll<'_> {
    fn drop(&mut self) {
        if let Stage::Polling(queue) = &mut self.0.route.lock().stage {
            queue.poll_ends();
        }
    }
}

impl ClientTransport {
    fn new(stage: Stage) -> Self {
        Self {
            route: Mutex::new(Route { session: 0, stage }),
            upgrade: UpgradeState::default(),
            socket: OnceLock::new(),
            cause: OnceLock::new(),
        }
    }

    /// Creates the transport of a connection that starts as a WebSocket. Up to `queue_bytes` are
    /// queued for its client.
    pub(crate) fn websocket(connection: Arc<AcceptedConnection>, queue_bytes: usize) -> Self {
        let writer = SocketWriter::new(connection, queue_bytes);
        Self::new(Stage::WebSocket(writer))
    }

    /// Creates the transport of a connection that starts with long-polling. Up to `queue_bytes` are
    /// queued for its client; the library puts no more than `answer_bytes` into one answer.
    pub(crate) fn polling(queue_bytes: usize, answer_bytes: usize) -> Self {
        Self::new(Stage::Polling(PollingQueue::new(queue_bytes, answer_bytes)))
    }

    /// Records why the node closes the connection, as in the metric `weir.connection.closed`. The
    /// first cause counts.
    pub(crate) fn set_cause(&self, cause: &'static str) {
        let _ = self.cause.set(cause);
    }

    /// Returns the cause if the node closed the connection.
    pub(crate) fn cause(&self) -> Option<&'static str> {
        self.cause.get().copied()
    }

    /// Binds the transport to the library's socket: the client has connected to the namespace.
    pub(crate) fn bind(self: &Arc<Self>, sid: Sid, io: SocketIo<DirectAdapter>, direct: Direct) {
        // A connection that leaves the namespace and reconnects to it keeps its socket id.
        let _ = self.socket.set(LibrarySocket { sid, io, direct });
        self.is_upgraded();
    }

    /// Whether the client has connected to the namespace.
    pub(crate) fn is_connected(&self) -> bool {
        self.socket.get().is_some()
    }

    /// Starts a session, and returns its outlet. The outlets of earlier sessions are revoked.
    pub(crate) fn start_session(self: &Arc<Self>) -> SessionOutlet {
        let mut route = self.route.lock();
        route.session += 1;
        SessionOutlet {
            transport: Arc::clone(self),
            session: route.session,
        }
    }

    /// Begins an upgrade probe. Returns false if the client does not poll, or is already probing.
    pub(crate) fn begin_probe(&self) -> bool {
        matches!(self.route.lock().stage, Stage::Polling(_)) && self.upgrade.begin()
    }

    /// Returns the state of the client's upgrade.
    pub(crate) fn upgrade_state(&self) -> &UpgradeState {
        &self.upgrade
    }

    /// Upgrades a client that polls to a WebSocket: the library gets no more packets to answer with.
    pub(crate) fn upgrade(&self, connection: Arc<AcceptedConnection>, queue_bytes: usize) {
        let mut route = self.route.lock();
        route.stage = match std::mem::replace(&mut route.stage, Stage::Closed) {
            Stage::Polling(mut queue) => {
                queue.poll_ends();
                Stage::Upgrading(queue, SocketWriter::new(connection, queue_bytes))
            }
            other => other,
        };
    }

    /// Whether the client is on a WebSocket for good. An upgrade ends when the library has noticed
    /// it, which the caller may cause by reading.
    pub(crate) fn is_upgraded(self: &Arc<Self>) -> bool {
        let mut route = self.route.lock();
        self.end_upgrade(&mut route);
        matches!(route.stage, Stage::WebSocket(_))
    }

    /// Moves queued frames to the WebSocket once the library has noticed the upgrade.
    fn end_upgrade(self: &Arc<Self>, route: &mut Route) {
        let noticed = || {
            let socket = self.socket.get()?;
            let socket = socket.io.get_socket(socket.sid)?;
            Some(socket.transport_type() == TransportType::Websocket)
        };
        if !matches!(route.stage, Stage::Upgrading(..)) || noticed() != Some(true) {
            return;
        }
        if let Stage::Upgrading(queue, writer) = std::mem::replace(&mut route.stage, Stage::Closed)
        {
            route.stage = Stage::WebSocket(writer);
            for frame in queue.into_frames() {
                if let Stage::WebSocket(writer) = &mut route.stage {
                    let delivery = writer.send(frame.bytes(), FrameClass::Event);
                    self.settle(route, delivery, FrameClass::Event);
                }
            }
        }
    }

    /// Starts to answer a polling request: gives the library queued frames.
    pub(crate) fn poll(&self) -> PendingPoll<'_> {
        if let Stage::Polling(queue) = &mut self.route.lock().stage {
            queue.poll_begins(&mut |frame| self.emit(frame));
        }
        PendingPoll(self)
    }

    /// Hands a frame to the library.
    fn emit(&self, frame: &Frame) -> Result<(), Delivery> {
        match self.socket.get() {
            Some(socket) => socket.direct.emit(socket.sid, frame),
            // Nothing is sent to a client that has not connected.
            None => Err(Delivery::Closed),
        }
    }

    /// Draws the consequences of a delivery: a queued frame is flushed, a broken socket is closed,
    /// and so is a client whose event found no space.
    fn settle(self: &Arc<Self>, route: &mut Route, delivery: Delivery, class: FrameClass) {
        match delivery {
            Delivery::Queued => self.start_flushing(route),
            Delivery::Full if class == FrameClass::Event => {
                self.set_cause(SLOW);
                let polls = !matches!(route.stage, Stage::WebSocket(_));
                route.close();
                if polls {
                    self.upgrade.end();
                    self.disconnect();
                }
            }
            Delivery::Closed => route.close(),
            Delivery::Sent | Delivery::Full => {}
        }
    }

    fn start_flushing(self: &Arc<Self>, route: &mut Route) {
        if let Some(connection) = route.writer().and_then(SocketWriter::start_flushing) {
            tokio::spawn(Arc::clone(self).flush(connection));
        }
    }

    /// Writes queued frames whenever the socket is writable, until none is left.
    async fn flush(self: Arc<Self>, connection: Arc<AcceptedConnection>) {
        loop {
            // An error is also an end: the next write meets it.
            let _ = connection.stream().writable().await;
            {
                let mut route = self.route.lock();
                match route.writer().map(SocketWriter::flush) {
                    None | Some(Ok(Flushed::Done)) => return,
                    Some(Ok(Flushed::Blocked)) => {}
                    Some(Err(_)) => return route.close(),
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Writes bytes of the library's own frames.
    pub(crate) fn poll_library_write(
        self: &Arc<Self>,
        connection: &AcceptedConnection,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let ready = connection.stream().poll_write_ready(context);
            let mut route = self.route.lock();
            let Some(writer) = route.writer() else {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            };
            if ready.is_pending() {
                writer.register_library(context);
            }
            ready!(ready)?;
            if let Some(written) = writer.write_library(bytes)? {
                self.start_flushing(&mut route);
                return Poll::Ready(Ok(written));
            }
        }
    }

    /// Returns the number of bytes that wait for a WebSocket's socket, and since when some do.
    pub(crate) fn queued(&self) -> (usize, Option<Instant>) {
        match &self.route.lock().stage {
            Stage::WebSocket(writer) => writer.queued(),
            _ => (0, None),
        }
    }

    /// Whether nothing can be sent any more.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.route.lock().stage, Stage::Closed)
    }

    /// Stops sending, and ends the connection if it is a WebSocket.
    pub(crate) fn shut(&self) {
        self.upgrade.end();
        self.route.lock().close();
    }

    /// Ends the connection for good. A client on a WebSocket sees that it broke, and reconnects; one
    /// that polls is told by the library.
    pub(crate) fn end(&self) {
        let polls = matches!(
            self.route.lock().stage,
            Stage::Polling(_) | Stage::Upgrading(..)
        );
        self.shut();
        if polls {
            self.disconnect();
        }
    }

    /// Closes the WebSocket whose stream the library has dropped. If the upgrade to it was not
    /// complete, the library has ended the session as well.
    pub(crate) fn stream_dropped(&self) {
        let mut route = self.route.lock();
        let upgrading = matches!(route.stage, Stage::Upgrading(..));
        route.close();
        if upgrading {
            self.upgrade.end();
            self.disconnect();
        }
    }

    /// Makes the library end the connection.
    fn disconnect(&self) {
        if let Some(socket) = self.socket.get()
            && let Some(socket) = socket.io.get_socket(socket.sid)
        {
            // Its disconnect handler may need what the caller holds.
            tokio::spawn(async move { socket.disconnect() });
        }
    }
}

/// Outlet of one session, valid until the session leaves the namespace. A later session on the same
/// connection receives nothing that was meant for this one.
#[derive(Debug)]
pub(crate) struct SessionOutlet {
    transport: Arc<ClientTransport>,
    session: u64,
}

impl SessionOutlet {
    /// Locks the route, if the session has not left the namespace.
    fn route(&self) -> Option<MutexGuard<'_, Route>> {
        let mut route = self.transport.route.lock();
        if let Stage::Upgrading(..) = route.stage {
            self.transport.end_upgrade(&mut route);
        }
        (route.session == self.session).then_some(route)
    }

    /// Revokes the outlet, and drops what is queued: the session's client has left the namespace.
    pub(crate) fn revoke(&self) {
        let Some(mut route) = self.route() else {
            return;
        };
        route.session += 1;
        match &mut route.stage {
            Stage::Polling(queue) | Stage::Upgrading(queue, _) => queue.forget(),
            Stage::WebSocket(writer) => writer.forget(),
            Stage::Closed => {}
        }
    }
}

impl Outlet for SessionOutlet {
    fn notice(&self, frame: &Frame) -> Delivery {
        let Some(mut route) = self.route() else {
            return Delivery::Closed;
        };
        let delivery = match &mut route.stage {
            Stage::WebSocket(writer) => writer.send(frame.bytes(), FrameClass::Event),
            Stage::Polling(queue) | Stage::Upgrading(queue, _) => {
                let emit = &mut |frame: &Frame| self.transport.emit(frame);
                queue.send(None, frame, FrameClass::Event, emit)
            }
            Stage::Closed => Delivery::Closed,
        };
        if delivery != Delivery::Sent {
            self.transport
                .settle(&mut route, delivery, FrameClass::Event);
        }
        delivery
    }

    fn chunk(&self, before: Option<&Frame>, chunk: &Frame) -> Delivery {
        let Some(mut route) = self.route() else {
            return Delivery::Closed;
        };
        let delivery = match (&mut route.stage, before) {
            (Stage::WebSocket(writer), None) => writer.send(chunk.bytes(), FrameClass::Chunk),
            (Stage::WebSocket(writer), Some(before)) => writer.send_pair(before, chunk),
            (Stage::Polling(queue) | Stage::Upgrading(queue, _), _) => {
                let emit = &mut |frame: &Frame| self.transport.emit(frame);
                queue.send(before, chunk, FrameClass::Chunk, emit)
            }
            (Stage::Closed, _) => Delivery::Closed,
        };
        if delivery != Delivery::Sent {
            self.transport
                .settle(&mut route, delivery, FrameClass::Chunk);
        }
        delivery
    }
}

#[cfg(test)]
mod tests;
