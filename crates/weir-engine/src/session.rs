//! One connection's client: what it asks for, in the order in which it does.

use std::{
    fmt,
    net::IpAddr,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use opentelemetry::{Context as TraceContext, context::FutureExt, trace::SpanKind};
use tracing::debug;
use weir_cluster::{Hop, trace};
use weir_protocol::{Ack, Code, Fault, LeaveReason, Notice, Published, Request, event};

use crate::{
    Engine, Outlet, lock,
    member::Member,
    queue::{Job, Queue},
    registry::RoomUse,
    reply::{Reply, notify},
};

/// Identity of a session in the log.
#[derive(Debug)]
pub struct Origin {
    /// Session id.
    pub session: Box<str>,
    /// Client address.
    pub address: IpAddr,
}

/// A connection's place in the engine. Dropping it takes its member out of its room.
#[derive(Debug)]
pub struct Session(Arc<Client>);

/// What a session's steps share.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) engine: Engine,
    pub(crate) outlet: Arc<dyn Outlet>,
    pub(crate) origin: Origin,
    /// True once the end of the connection is logged.
    ended: AtomicBool,
    /// What its requests are traced below.
    context: TraceContext,
    /// The requests that wait. Locked to put one in or to take one out.
    queue: Mutex<Queue>,
    /// The room that it is in. Locked to look or to change, never while it is told something.
    membership: Mutex<Option<Arc<Membership>>>,
}

/// A room that a client is in.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) room: RoomUse,
    pub(crate) member: Arc<Member>,
}

impl Session {
    pub(crate) fn new(
        engine: Engine,
        outlet: Arc<dyn Outlet>,
        context: TraceContext,
        origin: Origin,
    ) -> Self {
        let queue = Mutex::new(Queue::new(&engine.options().limits));
        engine.count_sessions(|count| *count += 1);
        Self(Arc::new(Client {
            engine,
            outlet,
            origin,
            ended: AtomicBool::new(false),
            context,
            queue,
            membership: Mutex::default(),
        }))
    }

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
        // The quota first: whoever floods a node shall not make it parse.
        let admitted = lock(&self.0.queue).admit(now);
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

    /// Refuses an event that is none of the contract's form, with an answer like any other.
    pub fn refuse(&self, name: &str, fault: &Fault, ack: Option<i64>) {
        self.0.count_failed(fault);
        self.0.reply(name, ack).failed(fault);
    }

    /// Whether its member publishes something.
    #[must_use]
    pub fn publishes(&self) -> bool {
        let membership = self.0.membership();
        membership.is_ok_and(|membership| lock(&membership.member.publishing).publishes())
    }

    /// Tells the client that the node ends, and when it is to connect to another one.
    pub fn tell_draining(&self, reconnect_in: Duration) {
        let reconnect_in_ms = u64::try_from(reconnect_in.as_millis()).unwrap_or(u64::MAX);
        let frame = Notice::Draining { reconnect_in_ms }.frame();
        notify(&*self.0.outlet, self.0.engine.counters(), &frame);
    }

    /// Logs the end of the connection with its reason, once.
    pub fn log_end(&self, reason: &dyn fmt::Display) {
        if self.0.ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let Origin { session, address } = &self.0.origin;
        match self.0.membership() {
            Ok(membership) => {
                let (room, member) = (&membership.room.link.room, &membership.member.id);
                debug!(%session, %address, %member, %room, %reason, "session ended");
            }
            Err(_) => debug!(%session, %address, %reason, "session ended"),
        }
    }

    /// The connection is gone: what it asked for before is still done, then its member leaves.
    pub fn close(&self) {
        self.push(Job::Leave);
    }

    fn push(&self, job: Job) {
        if !lock(&self.0.queue).push(job) {
            return;
        }
        let mut run = Box::pin(Arc::clone(&self.0).run());
        // Most requests need not wait for anything, and then no task is needed.
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

impl Client {
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

    /// Handles what waits, until nothing does.
    async fn run(self: Arc<Self>) {
        loop {
            let Some(job) = lock(&self.queue).pop() else {
                return;
            };
            match job {
                Job::Answer {
                    event,
                    request,
                    ack,
                } => {
                    let reply = self.reply(&event, ack);
                    let counters = self.engine.counters();
                    let name = event.clone().into_string();
                    let span = trace::begin(name, SpanKind::Server, &self.context, Vec::new());
                    let answered = self.answer(request, &reply).with_context(span.clone());
                    let answered = answered.await;
                    let error = answered.as_ref().err();
                    trace::end(&span, error.map(|fault| fault.code.as_str().to_owned()));
                    match answered {
                        Ok(()) => counters.requests_done.add_one(),
                        Err(fault) => {
                            self.count_failed(&fault);
                            reply.failed(&fault);
                        }
                    }
                }
                Job::Leave => {
                    // Nobody is left to be told of a failure, which the engine has logged.
                    let span =
                        trace::begin("disconnect", SpanKind::Server, &self.context, Vec::new());
                    let left = self.leave(LeaveReason::Disconnected);
                    let _ = left.with_context(span.clone()).await;
                    trace::end(&span, None);
                }
            }
        }
    }

    /// Publishes a chunk. Returns its sequence number.
    fn publish(&self, array: &str, payload: Option<&[u8]>) -> Result<u64, Fault> {
        let engine = &self.engine;
        let published = Published::parse(array, payload, &engine.options().limits)?;
        let membership = self.membership()?;
        let Membership { room, member } = &*membership;
        let mut publishing = lock(&member.publishing);
        let Some(track) = publishing.track(published.track).cloned() else {
            drop(publishing);
            return Err(room.not_own(published.track));
        };
        let now = engine.now();
        publishing.quota.take(now, published.payload.len())?;
        drop(publishing);
        let counters = engine.counters();
        let sampling = engine.options().chunk_sampling;
        let elsewhere = room.is_elsewhere();
        let (seq, relayed) = track.publish(&published, now, sampling, elsewhere, counters);
        if Hop::is_measured(seq) {
            Hop::Own.took(engine.now().saturating_sub(now));
        }
        if let Some(relayed) = relayed {
            track.relay(&relayed);
        }
        Ok(seq)
    }

    /// The room that the client is in.
    pub(crate) fn membership(&self) -> Result<Arc<Membership>, Fault> {
        lock(&self.membership)
            .clone()
            .filter(|membership| !membership.member.is_gone())
            .ok_or_else(|| Fault::new(Code::NotJoined, "this connection is in no room"))
    }

    /// Puts the client into a room.
    pub(crate) fn enter(&self, membership: Membership) {
        *lock(&self.membership) = Some(Arc::new(membership));
    }

    /// Takes the client out of its room, if it is in one.
    pub(crate) fn exit(&self) -> Option<Arc<Membership>> {
        lock(&self.membership).take()
    }
}
