//! What is done with a connection's requests: Socket.IO's, or the web app's.

use std::{convert::Infallible, fmt::Debug, net::IpAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, response::IntoResponse};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT,
        SEC_WEBSOCKET_KEY, UPGRADE,
    },
};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn, upgrade::OnUpgrade};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use socketioxide::service::SocketIoService;
use tokio::time::timeout;
use tower_service::Service;
use tracing::debug;
use tungstenite::handshake::derive_accept_key;

use crate::{
    accept::{Connection, Gate},
    ack_id,
    client::Client,
    config::Egress,
    direct::DirectAdapter,
    inbound::{Inbound, Intake, PATIENCE},
    lane::Lane,
    link::Link,
    pipe::Pipe,
    polled::Polled,
};

/// The path of Socket.IO.
pub(crate) const PATH: &str = "/socket.io";

/// The header of the W3C's Trace Context (section 3.2).
pub(crate) const TRACEPARENT: &str = "traceparent";

/// What a request's head may be long; hyper takes no less.
const HEAD_BYTES: usize = 16 * 1024;

/// Everything that a connection's requests may need. Clones are the same edge.
#[derive(Clone)]
pub(crate) struct Edge {
    /// The library, which gives the web app what is not Socket.IO's.
    pub(crate) socketio: SocketIoService<Router, DirectAdapter>,
    pub(crate) gate: Gate,
    pub(crate) intake: Intake,
    pub(crate) polled: Polled,
    pub(crate) egress: Egress,
    /// How long a connection may take to send a request's head.
    pub(crate) header_timeout: Duration,
}

impl Edge {
    /// Answers a connection's requests, until it ends or becomes a WebSocket.
    pub(crate) async fn serve(self, connection: Connection) {
        let peer = connection.peer();
        let header_timeout = self.header_timeout;
        let answer = service_fn(move |request| {
            let edge = self.clone();
            async move { Ok::<_, Infallible>(edge.answer(request, peer.ip()).await) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(connection), answer)
            .with_upgrades()
            .await;
        if let Err(error) = served {
            debug!(%error, %peer, "connection ended");
        }
    }

    async fn answer(self, request: Request<Incoming>, peer: IpAddr) -> Response<Body> {
        let path = request.uri().path();
        let socketio = path
            .strip_prefix(PATH)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if !socketio {
            return self.pass(request).await;
        }
        let mut response = self.answer_socketio(request, peer).await;
        // A cache that gave one client's session id or packets to another would break both.
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    async fn answer_socketio(self, request: Request<Incoming>, peer: IpAddr) -> Response<Body> {
        let query = Query::of(&request);
        if query.sid.is_none() && self.gate.is_draining() {
            self.gate.count_draining();
            // Whoever asks again on this connection would ask the same node.
            let headers = [(CONNECTION, "close"), (RETRY_AFTER, "1")];
            let why = "this node is draining; connect again to reach another\n";
            return (StatusCode::SERVICE_UNAVAILABLE, headers, why).into_response();
        }
        match (query.transport.as_deref(), query.sid) {
            (Some("websocket"), sid) => self.websocket(request, sid.as_deref()).await,
            (_, None) => self.open(request, peer).await,
            (_, Some(sid)) => self.poll(request, &sid).await,
        }
    }

    /// Answers a request to become a WebSocket, as a session of its own or as the one of `sid`.
    async fn websocket(self, mut request: Request<Incoming>, sid: Option<&str>) -> Response<Body> {
        let Some(accept) = accept_key(request.method(), request.headers()) else {
            return refused(StatusCode::BAD_REQUEST, "not a WebSocket handshake");
        };
        if Query::of(&request).version.as_deref() != Some("4") {
            // The library has its own words for this.
            return self.pass(request).await;
        }
        let polled = match sid.map(|sid| self.polled.find(sid)) {
            Some(Some(link)) if link.may_upgrade() => Some(link),
            Some(_) => return refused(StatusCode::BAD_REQUEST, "no such session to upgrade"),
            None => None,
        };
        let upgrade = hyper::upgrade::on(&mut request);
        // Whatever is kept of the request itself would keep its buffer.
        let mut fresh = Request::new(());
        *fresh.uri_mut() = request.uri().to_string().parse().unwrap_or_default();
        if let Some(traceparent) = request.headers().get(TRACEPARENT)
            && let Ok(copy) = HeaderValue::from_bytes(traceparent.as_bytes())
        {
            fresh.headers_mut().insert(TRACEPARENT, copy);
        }
        tokio::spawn(self.upgraded(upgrade, fresh, polled));
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        response
    }

    /// Hands a connection that has become a WebSocket to the library, on a stream of our own.
    async fn upgraded(
        self,
        upgrade: OnUpgrade,
        mut request: Request<()>,
        polled: Option<Arc<Link>>,
    ) {
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => return debug!(%error, "connection ended before it was a WebSocket"),
        };
        let parts = upgraded
            .downcast::<TokioIo<Connection>>()
            .expect("the connections that are served are these");
        let ahead = Bytes::copy_from_slice(&parts.read_buf);
        let connection = Arc::new(parts.io.into_inner());
        let lane = Lane::new(Arc::clone(&connection), self.egress.queue_bytes);
        let lane = Arc::new(lane);
        let link = if let Some(link) = polled {
            link.upgrade(Arc::clone(&lane));
            link
        } else {
            let link = Arc::new(Link::websocket(Arc::clone(&lane)));
            let client = Client::new(Arc::clone(&link), request.headers());
            request.extensions_mut().insert(Arc::new(client));
            link
        };
        let pipe = Pipe::new(connection, lane, link, Inbound::new(self.intake), ahead);
        let mut socketio = self.socketio;
        let opened = Service::<(Pipe, Request<()>)>::call(&mut socketio, (pipe, request)).await;
        if let Err(error) = opened {
            debug!(%error, "WebSocket refused");
        }
    }

    /// Answers a request without a session: one that opens one by long-polling, if it is good.
    async fn open(self, mut request: Request<Incoming>, peer: IpAddr) -> Response<Body> {
        let permit = match self.gate.admit(peer) {
            Ok(permit) => permit,
            Err(error) => return refused(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        };
        let link = Arc::new(Link::polling(self.egress.queue_bytes, permit));
        let client = Client::new(Arc::clone(&link), request.headers());
        request.extensions_mut().insert(Arc::new(client));
        let polled = self.polled.clone();
        let (head, body) = self.pass(request).await.into_parts();
        let Ok(body) = body.collect().await else {
            return refused(StatusCode::INTERNAL_SERVER_ERROR, "the answer was lost");
        };
        let body = body.to_bytes();
        if let Some(session) = Session::opened(&body) {
            polled.enter(&session.sid, &link);
        }
        Response::from_parts(head, body.into())
    }

    /// Answers a request of a session that polls.
    async fn poll(self, request: Request<Incoming>, sid: &str) -> Response<Body> {
        let link = self.polled.find(sid);
        if *request.method() == Method::GET {
            // Ended whether the request is answered or given up.
            let _polling = link.as_ref().map(|link| link.poll());
            return self.pass(request).await;
        }
        let length = request.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let _share = self.intake.take(length).await;
        // From when there is room for it: a body that never ends would keep its connection.
        match timeout(PATIENCE, self.pass(ack_id::marked(request))).await {
            Ok(response) => response,
            Err(_) => refused(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
        }
    }

    /// Has the library answer, or the web app.
    async fn pass<B>(mut self, request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes, Error = hyper::Error> + Debug + Send + Unpin + 'static,
    {
        let Ok(response) = Service::<Request<B>>::call(&mut self.socketio, request).await;
        response.map(Body::new)
    }
}

fn refused(status: StatusCode, why: &str) -> Response<Body> {
    (status, format!("{why}\n")).into_response()
}

/// The answer to a WebSocket handshake's key (RFC 6455, section 4.2.2), if it is one.
fn accept_key(method: &Method, headers: &HeaderMap) -> Option<HeaderValue> {
    let upgrade = headers.get(UPGRADE)?.to_str().ok()?;
    if *method != Method::GET || !upgrade.eq_ignore_ascii_case("websocket") {
        return None;
    }
    let key = headers.get(SEC_WEBSOCKET_KEY)?;
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()
}

/// What Engine.IO says in a request's query.
#[derive(Debug, Default)]
struct Query {
    /// `EIO`: the protocol's version.
    version: Option<String>,
    transport: Option<String>,
    /// The session's id.
    sid: Option<String>,
}

impl Query {
    fn of<B>(request: &Request<B>) -> Self {
        let mut query = Self::default();
        for pair in request.uri().query().unwrap_or_default().split('&') {
            // The first counts, as for the library.
            match pair.split_once('=') {
                Some(("EIO", value)) => query.version.get_or_insert_with(|| value.to_owned()),
                Some(("transport", value)) => {
                    query.transport.get_or_insert_with(|| value.to_owned())
                }
                Some(("sid", value)) => query.sid.get_or_insert_with(|| value.to_owned()),
                _ => continue,
            };
        }
        query
    }
}

/// What a session is opened with (Engine.IO protocol, revision 4, "Handshake").
#[derive(Debug, Deserialize)]
struct Session {
    sid: String,
}

impl Session {
    fn opened(body: &[u8]) -> Option<Self> {
        const OPEN: u8 = b'0';
        serde_json::from_slice(body.strip_prefix(&[OPEN])?).ok()
    }
}
