//! A connection's session: its requests in order, and its chunks.

use std::{
    fmt,
    net::IpAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use opentelemetry::{Context as TraceContext, context::FutureExt, trace::SpanKind};
use parking_lot::Mutex;
use tracing::debug;
use weir_cluster::{Hop, trace};
use weir_protocol::{Ack, Code, Fault, LeaveReason, Notice, Published, Request, event};

use super::{
    queue::{Job, Queue},
    reply::Reply,
};
use crate::{
    Engine, Outlet,
    outlet::notify,
    registry::RoomUse,
    room::{ConnectedMember, Publishing},
};

/// Identity of a session in the log.
#[derive(Debug)]
pub struct SessionIdentity {
    /// Session id.
    pub session: Box<str>,
    /// Client address.
    pub address: IpAddr,
}

/// A connection's session. Dropping it removes its member from the room.
#[derive(Debug)]
pub struct Session(Arc<SessionState>);

/// State of a session, shared with the task that handles its requests.
#[derive(Debug)]
pub(super) struct SessionState {
    pub(super) engine: Engine,
    pub(super) outlet: Arc<dyn Outlet>,
    pub(super) identity: SessionIdentity,
    /// True once the end of the connection is logged.
    ended: AtomicBool,
    /// Parent of the spans of its requests.
    context: TraceContext,
    /// Requests that wait. Locked to add or to remove one.
    queue: Mutex<Queue>,
    /// Locked to read or to change it, never while something is sent.
    membership: Mutex<Option<Arc<Membership>>>,
    /// Tracks that its member publishes.
    pub(super) publishing: Arc<Publishing>,
}

/// Membership of a client in a room.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) room: RoomUse,
    pub(super) member: Arc<ConnectedMember>,
}

impl Engine {
    /// Creates a session for a connection, whose frames go to `outlet`. Its requests are traced
    /// under the span of `context`, and logged with `identity`.
    pub fn session(
        &self,
        outlet: Arc<dyn Outlet>,
        context: TraceContext,
        identity: SessionIdentity,
    ) -> Session {
        let queue = Mutex::new(Queue::new(&self.options().limits));
        self.count_sessions(|count| *count += 1);
        Session(Arc::new(SessionState {
            engine: self.clone(),
            outlet,
            identity,
            ended: AtomicBool::new(false),
            context,
            queue,
            membership: Mutex::default(),
            publishing: Arc::default(),
        }))
    }
}

impl Session {
    /// Handles an event of the client. `text` is the packet's JSON array, including the event's name;
    /// `ack` is the id of the requested acknowledgement.
    ///
    /// Chunks are published before this returns. Requests are handled one after the other; if the
    /// directory is slow, a task continues with them.
    ///
    /// Every request is answered, also if it fails. Must be called in a tokio runtime.
    pub fn receive(&self, name: &str, text: &str, attachments: Vec<Bytes>, ack: Option<i64>) {
        if name == event::MEDIA {
            let payload = match &attachments[..] {
                [payload] => Some(&payload[..]),
                _ => None,
            };
            return self.receive_media(text, payload, ack);
        }
        let limits = &self.0.engine.options().limits;
        let now = self.0.engine.now();
        // The quota is checked before the request is parsed, which costs more.
        let admitted = self.0.queue.lock().admit(now);
        match admitted.and_then(|()| Request::parse(name, text, attachments, limits)) {
            Ok(request) => self.push(Job::Answer {
                event: name.into(),
                request,
                ack,
            }),
            Err(fault) => {
                self.0.count_failed(&fault);
                self.0.reply(name, ack).failed(&fault);
            }
        }
    }

    /// Publishes a chunk of the client. `array` is the packet's JSON array, including the event's
    /// name; `payload` is the packet's attachment, or `None` if it does not have exactly one.
    ///
    /// Acknowledges the chunk with its sequence number, or answers with the reason for its refusal.
    pub fn receive_media(&self, array: &str, payload: Option<&[u8]>, ack: Option<i64>) {
        let published = self.0.publish(array, payload);
        let reply = self.0.reply(event::MEDIA, ack);
        match published {
            Ok(seq) => reply.done(Ack::Seq(seq)),
            Err(fault) => {
                let refused = &self.0.engine.counters().chunks_refused;
                refused.of(fault.code).add_one();
                reply.failed(&fault);
            }
        }
    }

    /// Refuses an event that does not have the protocol's form, with an answer like any other.
    pub fn refuse(&self, name: &str, fault: &Fault, ack: Option<i64>) {
        self.0.count_failed(fault);
        self.0.reply(name, ack).failed(fault);
    }

    /// Returns whether its member publishes a track.
    #[must_use]
    pub fn publishes(&self) -> bool {
        !self.0.publishing.is_empty()
    }

    /// Notifies the client that the node drains, and when to connect to another one.
    pub fn notify_draining(&self, reconnect_in: Duration) {
        let reconnect_in_ms = u64::try_from(reconnect_in.as_millis()).unwrap_or(u64::MAX);
        let frame = Notice::Draining { reconnect_in_ms }.frame();
        notify(&*self.0.outlet, self.0.engine.counters(), &frame);
    }

    /// Logs the end of the connection with its reason, once.
    pub fn log_end(&self, reason: &dyn fmt::Display) {
        if self.0.ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let SessionIdentity { session, address } = &self.0.identity;
        match self.0.membership() {
            Ok(membership) => {
                let (room, member) = (&membership.room.address.room, &membership.member.id);
                debug!(%session, %address, %member, %room, %reason, "session ended");
            }
            Err(_) => debug!(%session, %address, %reason, "session ended"),
        }
    }

    /// Handles the end of the connection: its member leaves after the requests before.
    pub fn close(&self) {
        self.push(Job::Leave);
    }

    fn push(&self, job: Job) {
        if !self.0.queue.lock().push(job) {
            return;
        }
        let mut run = Box::pin(Arc::clone(&self.0).run());
        // Most requests complete without waiting, and need no task.
        if pin!(run.as_mut()).poll(&mut Context::from_waker(Waker::noop())) == Poll::Pending {
            tokio::spawn(run);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.0.engine.count_sessions(|count| *count -= 1);
        if tokio::runtime::Handle::try_current().is_ok() {
            self.close();
        }
    }
}

impl SessionState {
    fn reply<'a>(&'a self, event: &'a str, ack: Option<i64>) -> Reply<'a> {
        Reply {
            outlet: &self.outlet,
            counters: self.engine.counters(),
            event,
            ack,
        }
    }

    fn count_failed(&self, fault: &Fault) {
        let failed = &self.engine.counters().requests_failed;
        failed.of(fault.code).add_one();
    }

    /// Handles the queued requests.
    async fn run(self: Arc<Self>) {
        loop {
            let Some(job) = self.queue.lock().pop() else {
                return;
            };
            match job {
                Job::Answer {
                    event,
                    request,
                    ack,
                } => self.handle(&event, request, ack).await,
                Job::Leave => {
                    let span =
                        trace::start("disconnect", SpanKind::Server, &self.context, Vec::new());
                    let left = self.leave(LeaveReason::Disconnected);
                    // No client is left to be answered, and the failure is logged.
                    let _ = left.with_context(span.clone()).await;
                    trace::end(&span, None);
                }
            }
        }
    }

    /// Handles a request, and answers it.
    async fn handle(&self, event: &str, request: Request, ack: Option<i64>) {
        let reply = self.reply(event, ack);
        let name = event.to_owned();
        let span = trace::start(name, SpanKind::Server, &self.context, Vec::new());
        let answered = self.answer(request, &reply).with_context(span.clone());
        let answered = answered.await;
        let error = answered.as_ref().err();
        trace::end(&span, error.map(|fault| fault.code.as_str().to_owned()));
        match answered {
            Ok(()) => self.engine.counters().requests_done.add_one(),
            Err(fault) => {
                self.count_failed(&fault);
                reply.failed(&fault);
            }
        }
    }

    /// Publishes a chunk. Returns its sequence number.
    fn publish(&self, array: &str, payload: Option<&[u8]>) -> Result<u64, Fault> {
        let options = self.engine.options();
        let published = Published::parse(array, payload, &options.limits)?;
        let now = self.engine.now();
        let bytes = published.payload.len();
        let admitted = self.publishing.admit(published.track, now, bytes)?;
        let Some(track) = admitted else {
            return Err(self.membership()?.room.not_own(published.track));
        };
        let seq = track.publish(&published, now, options.chunk_sampling);
        if Hop::is_measured(seq) {
            Hop::Own.record(self.engine.now().saturating_sub(now));
        }
        Ok(seq)
    }

    /// Returns the client's membership.
    ///
    /// # Errors
    /// `not_joined`.
    pub(super) fn membership(&self) -> Result<Arc<Membership>, Fault> {
        self.membership
            .lock()
            .clone()
            .filter(|membership| !membership.member.is_removed())
            .ok_or_else(not_joined)
    }

    /// Sets the client's membership.
    pub(super) fn enter(&self, membership: Membership) {
        *self.membership.lock() = Some(Arc::new(membership));
    }

    /// Ends the client's membership, if it has one.
    pub(super) fn exit(&self) -> Option<Arc<Membership>> {
        let membership = self.membership.lock().take();
        self.publishing.close();
        membership
    }
}

fn not_joined() -> Fault {
    Fault::new(Code::NotJoined, "this connection is in no room")
}
