//! A connected client: the library's side of it, joined with the engine's.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderMap;
use opentelemetry::{KeyValue, trace::SpanKind};
use socketioxide::{
    SocketIo, TransportType,
    extract::SocketRef,
    handler::{ConnectHandler, DisconnectHandler, FromConnectParts, MessageHandler, Value},
    socket::{DisconnectReason, Socket},
};
use tracing::debug;
use weir_cluster::trace;
use weir_engine::{Engine, Session, SessionIdentity};
use weir_protocol::{Code, Connect, Fault, Limits, event_name};

use super::{
    adapter::{Direct, DirectAdapter},
    transport::{Link, Seat},
    websocket::ack_id,
};

/// Header of the W3C Trace Context (section 3.2).
pub(crate) const TRACEPARENT: &str = "traceparent";

/// The only namespace.
pub(crate) const NAMESPACE: &str = "/";

/// One connection's client. The library keeps it with the request that the connection began with.
#[derive(Debug)]
pub(crate) struct Client {
    link: Arc<Link>,
    /// Address of the client, as reported by trusted proxies.
    address: IpAddr,
    /// The trace that its first request is part of.
    traceparent: Option<String>,
    /// Its session, from when it connects to the namespace. Locked to set it and to clone it.
    session: Mutex<Option<Arc<Session>>>,
}

impl Client {
    /// `headers` are those of its first request.
    pub(crate) fn new(link: Arc<Link>, headers: &HeaderMap, address: IpAddr) -> Self {
        let traceparent = headers.get(TRACEPARENT);
        Self {
            link,
            address,
            traceparent: traceparent.and_then(|text| text.to_str().ok().map(str::to_owned)),
            session: Mutex::default(),
        }
    }

    /// The client of a socket of the library's.
    fn of(socket: &Socket<DirectAdapter>) -> Option<&Arc<Self>> {
        socket.req_parts().extensions.get()
    }

    /// A socket's way to its client, and its session while that lasts.
    pub(crate) fn parts(socket: &Socket<DirectAdapter>) -> Option<(Arc<Link>, Arc<Session>)> {
        let client = Self::of(socket)?;
        let session = client.session().clone()?;
        Some((Arc::clone(&client.link), session))
    }

    fn session(&self) -> MutexGuard<'_, Option<Arc<Session>>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Settings of the service for clients that connect to the namespace.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) direct: Direct,
    pub(crate) engine: Engine,
    pub(crate) limits: Limits,
    /// Maximum time that a connection may stay outside the namespace.
    pub(crate) connect_timeout: Duration,
}

/// Serves clients that connect to the namespace.
pub(crate) fn serve(io: &SocketIo<DirectAdapter>, terms: Terms) {
    // All is set up before the client is told that it is connected: none of its events is lost.
    let set_up = move |socket: SocketRef<DirectAdapter>,
                       io: SocketIo<DirectAdapter>,
                       auth: Auth| {
        let connected = connect(&socket, &auth, io, &terms);
        if let Err(fault) = &connected {
            let address = Client::of(&socket).map(|client| client.address);
            let code = fault.code.as_str();
            debug!(session = %socket.id, address = address.map(tracing::field::display), code, "session refused");
        }
        std::future::ready(connected)
    };
    let connected = async |_: SocketRef<DirectAdapter>| {};
    io.ns(NAMESPACE, connected.with(set_up));
}

/// Lets a client in, or says why not.
fn connect(
    socket: &SocketRef<DirectAdapter>,
    auth: &Auth,
    io: SocketIo<DirectAdapter>,
    terms: &Terms,
) -> Result<(), Fault> {
    // Who may come in is decided by a later version; until then a token changes nothing.
    let said = Connect::parse(auth.0.as_deref(), &terms.limits)?;
    let Some(client) = Client::of(socket) else {
        return Err(Fault::new(Code::Internal, "the connection has no client"));
    };
    if client.link.is_closed() {
        let message = "this connection was closed; open another";
        return Err(Fault::new(Code::Unavailable, message));
    }
    client.link.bind(socket.id, io, terms.direct.clone());
    let traceparent = said.traceparent.or_else(|| client.traceparent.clone());
    let parent = trace::heard(traceparent.as_deref());
    let transport = match socket.transport_type() {
        TransportType::Websocket => "websocket",
        TransportType::Polling => "polling",
    };
    let address = client.address;
    debug!(session = %socket.id, %address, transport, "session started");
    let attributes = vec![
        KeyValue::new("weir.transport", transport),
        KeyValue::new("client.address", address.to_string()),
    ];
    let span = trace::begin("connect", SpanKind::Server, &parent, attributes);
    trace::end(&span, None);
    let identity = SessionIdentity {
        session: socket.id.to_string().into(),
        address,
    };
    let seat = Arc::new(Seat::new(Arc::clone(&client.link)));
    let session = terms.engine.session(Arc::clone(&seat) as _, span, identity);
    let session = Arc::new(session);
    client.link.begin(&session);
    *client.session() = Some(Arc::clone(&session));
    socket.on_fallback(Dispatch);
    socket.on_disconnect(Farewell {
        seat,
        session,
        connect_timeout: terms.connect_timeout,
    });
    Ok(())
}

/// The `auth` of a CONNECT packet, as it was sent.
struct Auth(Option<String>);

impl FromConnectParts<DirectAdapter> for Auth {
    type Error = Infallible;

    fn from_connect_parts(
        _: &Arc<Socket<DirectAdapter>>,
        auth: &Option<Value>,
    ) -> Result<Self, Infallible> {
        Ok(Self(match auth {
            Some(Value::Str(text, _)) => Some(text.to_string()),
            Some(Value::Bytes(_)) | None => None,
        }))
    }
}

/// Hands every event to the session, in the task that reads the connection, so that they keep
/// their order.
struct Dispatch;

impl MessageHandler<DirectAdapter, ()> for Dispatch {
    fn call(&self, socket: Arc<Socket<DirectAdapter>>, value: Value, ack: Option<i64>) {
        let session = Client::of(&socket).and_then(|client| client.session().clone());
        // A connection whose session is over has nobody who waits for an answer.
        let Some(session) = session else { return };
        let Value::Str(text, attachments) = value else {
            let fault = Fault::field("packet", "is not of the default parser");
            return session.refuse("", &fault, ack);
        };
        let attachments = attachments.unwrap_or_default().into();
        let name = event_name(&text);
        let ack = match ack_id::check(ack, &text) {
            Ok(ack) => ack,
            Err(fault) => return session.refuse(&name.unwrap_or_default(), &fault, None),
        };
        match name {
            Some(name) => session.receive(&name, &text, attachments, ack),
            None => {
                let fault = Fault::field("event", "the packet does not begin with a name");
                session.refuse("", &fault, ack);
            }
        }
    }
}

/// Ends a session when the library says that its client has gone, for whatever reason.
struct Farewell {
    seat: Arc<Seat>,
    session: Arc<Session>,
    connect_timeout: Duration,
}

impl DisconnectHandler<DirectAdapter, ()> for Farewell {
    fn call_with_defer(
        &self,
        socket: Arc<Socket<DirectAdapter>>,
        reason: DisconnectReason,
        defer: fn(Arc<Socket<DirectAdapter>>),
    ) {
        let link = self.seat.link();
        match link.cause() {
            Some(cause) => self.session.log_end(&cause),
            None => self.session.log_end(&reason),
        }
        if reason == DisconnectReason::ClientNSDisconnect {
            // The connection stays open, and may connect to the namespace again.
            self.seat.leave();
            tokio::spawn(Arc::clone(link).end_unless_connected(self.connect_timeout));
        } else {
            // The library may wait for a peer that no longer reads; this ends the wait.
            link.shut();
        }
        self.session.close();
        if let Some(client) = Client::of(&socket) {
            client
                .session()
                .take_if(|session| Arc::ptr_eq(session, &self.session));
        }
        defer(socket);
    }
}
