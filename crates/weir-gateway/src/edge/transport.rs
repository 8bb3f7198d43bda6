//! Where one connection's frames go, whatever its transport is now.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use socketioxide::{SocketIo, TransportType};
use socketioxide_core::Sid;
use tokio::{pin, sync::Notify, time::timeout};
use weir_engine::{Delivery, Outlet, Session};
use weir_protocol::Frame;

use super::{
    accept::gate::Permit,
    adapter::{Direct, DirectAdapter},
    polling::{queue::Polling, sessions::Place},
    websocket::{upgrade::Upgrade, writer::Lane},
};

/// Cause for closing a client whose event queue is full.
const SLOW: &str = "slow";

/// A connection, seen by those who have something for it.
///
/// A WebSocket has a lane from its start. A connection that starts with long-polling sends through
/// the library, and gets a lane when it has upgraded; what comes in between waits, so that order
/// holds.
#[derive(Debug)]
pub(crate) struct Link {
    /// The way to the WebSocket, once it is open.
    lane: OnceLock<Arc<Lane>>,
    /// The way by long-polling, as long as there is no lane.
    polling: Mutex<Polling>,
    /// State of the client's upgrade.
    upgrade: Upgrade,
    /// The library's socket, once the client has connected to the namespace.
    socket: OnceLock<Bound>,
    /// Session of the client, while it is connected to the namespace. Locked to set and to clone
    /// it.
    session: Mutex<Weak<Session>>,
    /// Notification that a session has begun.
    begun: Notify,
    /// Cause if the node closed the connection.
    cause: OnceLock<&'static str>,
    /// What a connection that polls has for its life: its place among the connections that are
    /// allowed, and the one where its requests find it.
    _permit: Option<Permit>,
    place: OnceLock<Place>,
}

/// A polling request that is waiting for its answer, until this is dropped.
#[derive(Debug)]
pub(crate) struct Poll<'a>(&'a Link);

impl Poll<'_> {
    /// Takes the request back, so that the gateway can answer it. Returns false if the library
    /// already has an answer.
    pub(crate) fn take_back(&self) -> bool {
        self.0.waiting().take_back()
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        self.0.waiting().poll_ends();
    }
}

/// The library's side of a connected client.
#[derive(Clone)]
struct Bound {
    sid: Sid,
    io: SocketIo<DirectAdapter>,
    direct: Direct,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Bound").field(&self.sid).finish()
    }
}

impl Link {
    /// A connection that is a WebSocket from the start.
    pub(crate) fn websocket(lane: Arc<Lane>) -> Self {
        Self {
            lane: lane.into(),
            polling: Mutex::new(Polling::new(0, 0)),
            upgrade: Upgrade::default(),
            socket: OnceLock::new(),
            session: Mutex::default(),
            begun: Notify::new(),
            cause: OnceLock::new(),
            _permit: None,
            place: OnceLock::new(),
        }
    }

    /// Creates the link of a connection that starts with long-polling. Up to `queue_bytes` are
    /// queued for its client; the library puts no more than `answer_bytes` into one answer.
    pub(crate) fn polling(queue_bytes: usize, answer_bytes: usize, permit: Permit) -> Self {
        Self {
            lane: OnceLock::new(),
            polling: Mutex::new(Polling::new(queue_bytes, answer_bytes)),
            upgrade: Upgrade::default(),
            socket: OnceLock::new(),
            session: Mutex::default(),
            begun: Notify::new(),
            cause: OnceLock::new(),
            _permit: Some(permit),
            place: OnceLock::new(),
        }
    }

    /// Keeps the link's place for as long as the link lives.
    pub(crate) fn keep(&self, place: Place) {
        // There is one place for a link: its session's id is made once.
        let _ = self.place.set(place);
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

    fn waiting(&self) -> MutexGuard<'_, Polling> {
        self.polling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client has connected to the namespace; frames may follow.
    pub(crate) fn bind(&self, sid: Sid, io: SocketIo<DirectAdapter>, direct: Direct) {
        // A connection that leaves the namespace and reconnects to it keeps its socket id.
        let _ = self.socket.set(Bound { sid, io, direct });
        self.library_reads();
    }

    /// The client's session has begun.
    pub(crate) fn begin(&self, session: &Arc<Session>) {
        *self.current() = Arc::downgrade(session);
        self.begun.notify_waiters();
    }

    fn current(&self) -> MutexGuard<'_, Weak<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of a client that is on a WebSocket for good.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.lane.get()?;
        self.current().upgrade()
    }

    /// Whether the client has connected to the namespace.
    pub(crate) fn is_connected(&self) -> bool {
        self.socket.get().is_some()
    }

    /// Begins an upgrade probe. Returns false if the client does not poll, or is already probing.
    pub(crate) fn begin_probe(&self) -> bool {
        let waiting = self.waiting();
        self.lane.get().is_none()
            && !waiting.is_upgrading()
            && !waiting.is_closed()
            && self.upgrade.begin()
    }

    /// Returns the state of the client's upgrade.
    pub(crate) fn upgrade_state(&self) -> &Upgrade {
        &self.upgrade
    }

    /// Upgrades the client to the WebSocket behind `lane`: the library gets no more packets to
    /// answer with.
    pub(crate) fn upgrade(&self, lane: Arc<Lane>) {
        self.waiting().upgrade(lane);
    }

    /// A polling request of the client has come in: gives the library what it shall answer with.
    pub(crate) fn poll(&self) -> Poll<'_> {
        let mut waiting = self.waiting();
        waiting.poll_begins(&mut |frame| match self.socket.get() {
            Some(bound) => bound.emit(frame),
            // Nothing is queued for a client that has not connected.
            None => Err(Delivery::Closed),
        });
        drop(waiting);
        Poll(self)
    }

    /// The library reads from the socket: if it has finished an upgrade, the lane is opened.
    pub(crate) fn library_reads(&self) {
        if self.lane.get().is_none() {
            self.open_lane(&mut self.waiting());
        }
    }

    /// Moves what waits to the lane once the library says that the connection is a WebSocket.
    fn open_lane(&self, waiting: &mut Polling) {
        let upgraded = || {
            let bound = self.socket.get()?;
            let socket = bound.io.get_socket(bound.sid)?;
            Some(socket.transport_type() == TransportType::Websocket)
        };
        if waiting.is_upgrading()
            && upgraded() == Some(true)
            && let Some((lane, frames)) = waiting.finish_upgrade()
        {
            for frame in frames {
                // A lane that is closed by now says so to the next who sends.
                lane.notice(&frame, || self.set_cause(SLOW));
            }
            let _ = self.lane.set(lane);
        }
    }

    /// Closes the link unless it has a lane: the library gave up the WebSocket and ended its
    /// session.
    pub(crate) fn library_gone(&self) {
        if self.lane.get().is_none() {
            self.close();
        }
    }

    fn send(&self, before: Option<&Frame>, frame: &Frame, event: bool) -> Delivery {
        let mut waiting = self.waiting();
        self.open_lane(&mut waiting);
        if let Some(lane) = self.lane.get() {
            return if event {
                lane.notice(frame, || self.set_cause(SLOW))
            } else {
                lane.chunk(before, frame)
            };
        }
        let Some(bound) = self.socket.get() else {
            return Delivery::Closed;
        };
        let delivery = waiting.send(before, frame, event, &mut |frame| bound.emit(frame));
        drop(waiting);
        if event && delivery == Delivery::Full {
            self.set_cause(SLOW);
            self.close();
        }
        delivery
    }
}

impl Link {
    /// Whether nothing can be sent any more.
    pub(crate) fn is_closed(&self) -> bool {
        match self.lane.get() {
            Some(lane) => lane.is_closed(),
            None => self.waiting().is_closed(),
        }
    }

    /// Sends nothing more, and ends the connection if it is a WebSocket.
    pub(crate) fn shut(&self) {
        self.upgrade.end();
        let upgrading = self.waiting().close();
        if let Some(lane) = self.lane.get().or(upgrading.as_ref()) {
            lane.close();
        }
    }

    /// How many bytes wait for a WebSocket's socket, and since when some do.
    pub(crate) fn queued(&self) -> (usize, Option<Instant>) {
        self.lane.get().map_or((0, None), |lane| lane.waiting())
    }

    /// Ends the connection for good. A client on a WebSocket sees that it broke, so that it connects
    /// again by itself; one that polls is told by the library.
    pub(crate) fn end(&self) {
        if self.lane.get().is_some() {
            self.shut();
        } else {
            self.close();
        }
    }

    /// Drops what is queued for a client that has left the namespace.
    fn leave(&self) {
        *self.current() = Weak::new();
        self.waiting().forget();
        if let Some(lane) = self.lane.get() {
            lane.forget();
        }
    }

    /// Ends a connection that has left the namespace, unless it reconnects to it in time.
    pub(crate) async fn end_unless_connected(self: Arc<Self>, time: Duration) {
        let connected = async {
            let begun = self.begun.notified();
            pin!(begun);
            begun.as_mut().enable();
            if self.current().strong_count() == 0 {
                begun.await;
            }
        };
        if timeout(time, connected).await.is_err() {
            self.end();
        }
    }

    /// Sends nothing more, and has the library end the connection.
    fn close(&self) {
        self.shut();
        if let Some(bound) = self.socket.get()
            && let Some(socket) = bound.io.get_socket(bound.sid)
        {
            // Its disconnect handler may need what the caller holds.
            tokio::spawn(async move { socket.disconnect() });
        }
    }
}

/// Delivery handle of one session: valid until the session leaves the namespace. A later session on
/// the same connection receives nothing that was meant for this one.
#[derive(Debug)]
pub(crate) struct Seat {
    link: Arc<Link>,
    left: AtomicBool,
}

impl Seat {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self {
            link,
            left: AtomicBool::new(false),
        }
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Revokes the handle: the session's client has left the namespace.
    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
        self.link.leave();
    }
}

impl Outlet for Seat {
    fn notice(&self, frame: &Frame) -> Delivery {
        if self.left.load(Ordering::Relaxed) {
            return Delivery::Closed;
        }
        self.link.notice(frame)
    }

    fn chunk(&self, before: Option<&Frame>, chunk: &Frame) -> Delivery {
        if self.left.load(Ordering::Relaxed) {
            return Delivery::Closed;
        }
        self.link.chunk(before, chunk)
    }
}

impl Link {
    fn notice(&self, frame: &Frame) -> Delivery {
        match self.lane.get() {
            Some(lane) => lane.notice(frame, || self.set_cause(SLOW)),
            None => self.send(None, frame, true),
        }
    }

    fn chunk(&self, before: Option<&Frame>, chunk: &Frame) -> Delivery {
        match self.lane.get() {
            Some(lane) => lane.chunk(before, chunk),
            None => self.send(before, chunk, false),
        }
    }
}

impl Bound {
    /// Hands a frame to the library; false if its channel is full.
    fn emit(&self, frame: &Frame) -> Result<(), Delivery> {
        self.direct.emit(self.sid, frame)
    }
}
