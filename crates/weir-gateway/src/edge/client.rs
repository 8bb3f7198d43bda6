//! A connected client: joins the library's side of it with the engine's.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, OnceLock},
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
use tokio::time::timeout;
use tracing::debug;
use weir_cluster::trace;
use weir_engine::{Engine, Session, SessionIdentity};
use weir_protocol::{Code, Connect, Fault, Limits, event_name};

use super::{
    accept::gate::Permit,
    adapter::{Direct, DirectAdapter},
    current_session::CurrentSession,
    polling::sessions::{PollingSessions, SessionEntry},
    transport::{ClientTransport, SessionOutlet},
    websocket::ack_id,
};

/// The only namespace.
pub(crate) const NAMESPACE: &str = "/";

/// Header of the W3C's Trace Context (section 3.2).
pub(crate) const TRACEPARENT: &str = "traceparent";

/// A connected client. The library keeps it with the request that the connection started with.
#[derive(Debug)]
pub(crate) struct ConnectedClient {
    pub(crate) transport: Arc<ClientTransport>,
    /// Session, while the client is connected to the namespace.
    pub(crate) session: CurrentSession,
    /// Address of the client, as reported by trusted proxies.
    address: IpAddr,
    /// Trace of the client's first request.
    traceparent: Option<String>,
    /// Admission and session entry of a client that started with long-polling.
    _permit: Option<Permit>,
    entry: OnceLock<SessionEntry<Self>>,
}

impl ConnectedClient {
    /// Creates the client of a first request with these headers. A client that polls holds its
    /// permit; one on a WebSocket has it with the connection.
    pub(crate) fn new(
        transport: ClientTransport,
        headers: &HeaderMap,
        address: IpAddr,
        permit: Option<Permit>,
    ) -> Self {
        let traceparent = headers.get(TRACEPARENT);
        Self {
            transport: Arc::new(transport),
            session: CurrentSession::default(),
            address,
            traceparent: traceparent.and_then(|text| text.to_str().ok().map(str::to_owned)),
            _permit: permit,
            entry: OnceLock::new(),
        }
    }

    /// Adds the client to the sessions that poll, for as long as it lives.
    pub(crate) fn add_to(self: &Arc<Self>, sessions: &PollingSessions<Self>, id: &str) {
        // A client has one entry: its session's id never changes.
        let _ = self.entry.set(sessions.add(id, self));
    }

    /// Returns the client of the library's socket.
    pub(crate) fn of(socket: &Socket<DirectAdapter>) -> Option<&Arc<Self>> {
        socket.req_parts().extensions.get()
    }

    /// Ends a connection that has left the namespace, unless it reconnects to it in time.
    async fn end_unless_connected(self: Arc<Self>, time: Duration) {
        if timeout(time, self.session.started()).await.is_err() {
            self.transport.end();
        }
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
    // Runs before the client is told that it is connected, so that none of its events is lost.
    let set_up = move |socket: SocketRef<DirectAdapter>,
                       io: SocketIo<DirectAdapter>,
                       auth: Auth| {
        let connected = connect(&socket, &auth, io, &terms);
        if let Err(fault) = &connected {
            let address = ConnectedClient::of(&socket).map(|client| client.address);
            let code = fault.code.as_str();
            debug!(session = %socket.id, address = address.map(tracing::field::display), code, "session refused");
        }
        std::future::ready(connected)
    };
    let connected = async |_: SocketRef<DirectAdapter>| {};
    io.ns(NAMESPACE, connected.with(set_up));
}

/// Connects a client to the namespace, and starts its session.
fn connect(
    socket: &SocketRef<DirectAdapter>,
    auth: &Auth,
    io: SocketIo<DirectAdapter>,
    terms: &Terms,
) -> Result<(), Fault> {
    // Tokens are checked by a later version; until then they change nothing.
    let said = Connect::parse(auth.0.as_deref(), &terms.limits)?;
    let Some(client) = ConnectedClient::of(socket) else {
        return Err(Fault::new(Code::Internal, "the connection has no client"));
    };
    if client.transport.is_closed() {
        let message = "this connection was closed; open another";
        return Err(Fault::new(Code::Unavailable, message));
    }
    client.transport.bind(socket.id, io, terms.direct.clone());
    let traceparent = said.traceparent.or_else(|| client.traceparent.clone());
    let parent = trace::extract(traceparent.as_deref());
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
    let span = trace::start("connect", SpanKind::Server, &parent, attributes);
    trace::end(&span, None);
    let identity = SessionIdentity {
        session: socket.id.to_string().into(),
        address,
    };
    let outlet = Arc::new(client.transport.start_session());
    let session = terms
        .engine
        .session(Arc::clone(&outlet) as _, span, identity);
    let session = Arc::new(session);
    client.session.start(Arc::clone(&session));
    socket.on_fallback(Dispatch);
    socket.on_disconnect(Farewell {
        client: Arc::clone(client),
        outlet,
        session,
        connect_timeout: terms.connect_timeout,
    });
    Ok(())
}

/// `auth` of a CONNECT packet, unparsed.
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

/// Dispatches every event to the session, in the task that reads the connection, so that events keep
/// their order.
struct Dispatch;

impl MessageHandler<DirectAdapter, ()> for Dispatch {
    fn call(&self, socket: Arc<Socket<DirectAdapter>>, value: Value, ack: Option<i64>) {
        let session = ConnectedClient::of(&socket).and_then(|client| client.session.get());
        // After the end of a session, no one waits for an answer.
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

/// Ends a session when the library reports that its client has gone, for whatever reason.
struct Farewell {
    client: Arc<ConnectedClient>,
    outlet: Arc<SessionOutlet>,
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
        let client = &self.client;
        match client.transport.cause() {
            Some(cause) => self.session.log_end(&cause),
            None => self.session.log_end(&reason),
        }
        client.session.end(&self.session);
        if reason == DisconnectReason::ClientNSDisconnect {
            // The connection stays open, and may connect to the namespace again.
            self.outlet.revoke();
            tokio::spawn(Arc::clone(client).end_unless_connected(self.connect_timeout));
        } else {
            // The library may wait for a peer that no longer reads; this ends the wait.
            client.transport.shut();
        }
        self.session.close();
        defer(socket);
    }
}
