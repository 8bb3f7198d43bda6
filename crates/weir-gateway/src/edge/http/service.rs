//! Answers the requests of a connection: Socket.IO's and the web app's.

use std::{convert::Infallible, fmt::Debug, net::IpAddr, sync::Arc};

use axum::{Router, body::Body, response::IntoResponse};
use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use socketioxide::service::SocketIoService;
use tokio::{net::TcpStream, pin, time::timeout};
use tower_http::cors::CorsLayer;
use tower_service::Service;
use tracing::debug;
use weir_core::Refused;

use super::{
    cors,
    query::{EngineIoRefusal, Query, Transport},
    timeouts::{RequestPhase, RequestTimeouts, TimedStream},
};
use crate::{
    config::EgressConfig,
    edge::{
        accept::{
            acceptor::Acceptor,
            connection::{AcceptedConnection, Admission, Source},
            gate::{Gate, Permit},
        },
        adapter::DirectAdapter,
        client::{ConnectedClient, TRACEPARENT},
        client_address::proxies::Proxies,
        polling::sessions::PollingSessions,
        transport::ClientTransport,
        websocket::{
            ack_id,
            admission::{Intake, PATIENCE},
            handshake::Handshake,
            probe::{self, ProbeTimes, UpgradeProbe},
            reader::LibraryStream,
        },
    },
};

/// Path of Socket.IO.
pub(crate) const PATH: &str = "/socket.io";

/// Maximum length of a request's head. Hyper accepts no smaller one.
const HEAD_BYTES: usize = 16 * 1024;

/// Answer to a polling request that no packet arrived for.
/// Source: Engine.IO protocol, revision 4, "Packet encoding".
const NOOP: &str = "6";

/// Service of the public listener. Clones share its state.
#[derive(Clone)]
pub(crate) struct Edge {
    /// Socket.IO library. It forwards all requests but Socket.IO's to the web app.
    pub(crate) socketio: SocketIoService<Router, DirectAdapter>,
    pub(crate) acceptor: Acceptor,
    pub(crate) intake: Intake,
    pub(crate) polled: PollingSessions<ConnectedClient>,
    pub(crate) egress: EgressConfig,
    /// Maximum length of an answer that the library combines from several packets, in bytes.
    pub(crate) answer_bytes: usize,
    pub(crate) timeouts: RequestTimeouts,
    /// CORS rules for pages of other origins that may use long-polling, if any.
    pub(crate) cors: Option<CorsLayer>,
    pub(crate) probe: ProbeTimes,
}

impl Edge {
    /// Answers the requests of a connection, until it ends or becomes a WebSocket.
    pub(crate) async fn serve(self, connection: AcceptedConnection) {
        let Some(connection) = self.acceptor.identify(connection).await else {
            return;
        };
        let (stream, admission) = connection.into_parts();
        let (peer, source) = (admission.peer(), admission.source());
        let requests = RequestPhase::new();
        let stream = TimedStream::new((stream, admission), self.timeouts, requests.clone());
        let answer = service_fn(move |request| {
            let (edge, active) = (self.clone(), requests.begin());
            async move {
                let answer = edge.answer(request, source).await;
                drop(active);
                Ok::<_, Infallible>(answer)
            }
        });
        let served = http1::Builder::new()
            // The stream enforces the timeouts.
            .header_read_timeout(None)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), answer)
            .with_upgrades()
            .await;
        if let Err(error) = served {
            debug!(%error, %peer, "connection ended");
        }
    }

    async fn answer(self, request: Request<Incoming>, source: Source) -> Response<Body> {
        if below(&request).is_none() {
            return self.forward(request).await;
        }
        let mut response = match self.cors.clone() {
            Some(layer) => {
                let answer = |request| self.clone().answer_socketio(request, source);
                cors::answer(&layer, request, answer).await
            }
            None => self.answer_socketio(request, source).await,
        };
        // A cache that served one client's session id or packets to another would break both.
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// Answers a request for a path under Socket.IO's.
    async fn answer_socketio(self, request: Request<Incoming>, source: Source) -> Response<Body> {
        match below(&request) {
            None | Some("" | "/") => self.answer_engine_io(request, source).await,
            Some(other) => missing(other),
        }
    }

    /// Answers an Engine.IO request.
    async fn answer_engine_io(self, request: Request<Incoming>, source: Source) -> Response<Body> {
        let query = Query::of(&request);
        let transport = match query.transport() {
            Ok(transport) => transport,
            Err(refusal) => return refusal.answer(),
        };
        if query.sid.is_none() {
            if request.method() != Method::GET {
                return EngineIoRefusal::Method.answer();
            }
            if !query.is_current() {
                return EngineIoRefusal::Version.answer();
            }
            if self.gate().is_draining() {
                return self.refuse_draining();
            }
        }
        match (transport, query.sid) {
            (Transport::WebSocket, sid) => self.websocket(request, sid.as_deref(), source),
            (Transport::Polling, None) => self.open(request, source).await,
            (Transport::Polling, Some(sid)) => self.poll(request, &sid).await,
        }
    }

    fn gate(&self) -> &Gate {
        &self.acceptor.gate
    }

    fn proxies(&self) -> &Proxies {
        &self.acceptor.proxies
    }

    fn refuse_draining(&self) -> Response<Body> {
        self.gate().count_draining();
        // A retry on this connection would reach the same node.
        let headers = [(CONNECTION, "close"), (RETRY_AFTER, "1")];
        let why = "this node is draining; connect again to reach another\n";
        (StatusCode::SERVICE_UNAVAILABLE, headers, why).into_response()
    }

    /// Answers a WebSocket handshake, which opens a session or upgrades the session `sid`.
    fn websocket(
        self,
        mut request: Request<Incoming>,
        sid: Option<&str>,
        source: Source,
    ) -> Response<Body> {
        let handshake = match Handshake::read(&request) {
            Ok(handshake) => handshake,
            Err(refused) => return *refused,
        };
        let probe = match sid.map(|sid| self.polled.find(sid)) {
            None => None,
            Some(None) => return EngineIoRefusal::Session.answer(),
            Some(Some(client)) => {
                let Some(probe) = UpgradeProbe::begin(client) else {
                    let why = "this session is upgrading, or has upgraded";
                    return EngineIoRefusal::Request.explain(StatusCode::BAD_REQUEST, why);
                };
                Some(probe)
            }
        };
        let address = self.proxies().client_address(source, request.headers());
        let claim = match source {
            // The connection becomes one client's. An upgrading session is already counted.
            Source::Proxy(_) if probe.is_none() => match self.gate().claim(address) {
                Ok(claim) => Some(claim),
                Err(refused) => return full(refused),
            },
            _ => None,
        };
        let upgrade = hyper::upgrade::on(&mut request);
        // A header of the original request would keep the whole read buffer alive.
        let mut fresh = Request::new(());
        *fresh.uri_mut() = library_uri(sid);
        if let Some(traceparent) = request.headers().get(TRACEPARENT)
            && let Ok(copy) = HeaderValue::from_bytes(traceparent.as_bytes())
        {
            fresh.headers_mut().insert(TRACEPARENT, copy);
        }
        tokio::spawn(self.upgraded(upgrade, fresh, probe, (address, claim)));
        handshake.answer()
    }

    /// Serves a connection after its WebSocket handshake.
    async fn upgraded(
        self,
        upgrade: OnUpgrade,
        request: Request<()>,
        probe: Option<UpgradeProbe>,
        (address, claim): (IpAddr, Option<Permit>),
    ) {
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => return debug!(%error, "connection ended before it was a WebSocket"),
        };
        let parts = upgraded
            .downcast::<TokioIo<TimedStream<TcpStream, Admission>>>()
            .expect("`serve` wraps each connection in this type");
        let (stream, admission) = parts.io.into_inner().into_parts();
        let mut connection = AcceptedConnection::from_parts(stream, admission);
        match probe {
            Some(probe) => {
                self.probe(connection, &parts.read_buf, request, probe)
                    .await;
            }
            None => {
                let ahead = Bytes::copy_from_slice(&parts.read_buf);
                if let Some(claim) = claim {
                    connection.claim(claim);
                }
                self.begin(connection, ahead, request, address).await;
            }
        }
    }

    /// Opens a session on a WebSocket.
    async fn begin(
        self,
        connection: AcceptedConnection,
        ahead: Bytes,
        mut request: Request<()>,
        address: IpAddr,
    ) {
        let connection = Arc::new(connection);
        let queue_bytes = self.egress.queue_bytes;
        let transport = ClientTransport::websocket(Arc::clone(&connection), queue_bytes);
        let client = ConnectedClient::new(transport, request.headers(), address, None);
        let client = Arc::new(client);
        request.extensions_mut().insert(Arc::clone(&client));
        let stream = LibraryStream::new(connection, client, self.intake.clone(), ahead);
        self.hand_over(stream, request).await;
    }

    /// Answers the upgrade probe of a polling client, and moves its session to the WebSocket once
    /// the client upgrades.
    async fn probe(
        self,
        mut connection: AcceptedConnection,
        ahead: &[u8],
        request: Request<()>,
        probe: UpgradeProbe,
    ) {
        match probe.run(connection.stream_mut(), ahead, self.probe).await {
            Ok(ahead) => {
                let connection = Arc::new(connection);
                let client = Arc::clone(probe.client());
                let queue_bytes = self.egress.queue_bytes;
                client
                    .transport
                    .upgrade(Arc::clone(&connection), queue_bytes);
                drop(probe);
                let intake = self.intake.clone();
                let stream = LibraryStream::upgraded(connection, client, intake, &ahead);
                self.hand_over(stream, request).await;
            }
            Err(why) => {
                drop(probe);
                debug!(%why, "an upgrade failed; its session goes on polling");
                probe::give_up(connection.stream_mut(), &why).await;
            }
        }
    }

    /// Hands a WebSocket to the library, as a stream of the gateway's own.
    async fn hand_over(self, stream: LibraryStream, request: Request<()>) {
        let mut socketio = self.socketio;
        let opened =
            Service::<(LibraryStream, Request<()>)>::call(&mut socketio, (stream, request)).await;
        if let Err(error) = opened {
            debug!(%error, "WebSocket refused");
        }
    }

    /// Opens a session by long-polling.
    async fn open(self, mut request: Request<Incoming>, source: Source) -> Response<Body> {
        let address = self.proxies().client_address(source, request.headers());
        let permit = match self.gate().admit(address) {
            Ok(permit) => permit,
            Err(refused) => return full(refused),
        };
        let transport = ClientTransport::polling(self.egress.queue_bytes, self.answer_bytes);
        let client = ConnectedClient::new(transport, request.headers(), address, Some(permit));
        let client = Arc::new(client);
        request.extensions_mut().insert(Arc::clone(&client));
        let polled = self.polled.clone();
        let (head, body) = self.forward(request).await.into_parts();
        let Ok(body) = body.collect().await else {
            return refused(StatusCode::INTERNAL_SERVER_ERROR, "the answer was lost");
        };
        let body = body.to_bytes();
        if let Some(opened) = OpenPacket::parse(&body) {
            client.add_to(&polled, &opened.sid);
        }
        Response::from_parts(head, body.into())
    }

    /// Answers a request of a session that polls.
    async fn poll(self, request: Request<Incoming>, sid: &str) -> Response<Body> {
        let answer = match *request.method() {
            Method::GET => match self.polled.find(sid) {
                Some(client) => self.receive(request, &client.transport).await,
                None => self.forward(request).await,
            },
            Method::POST => self.send(request).await,
            _ => {
                let allowed = [(ALLOW, "GET, POST")];
                return (
                    StatusCode::METHOD_NOT_ALLOWED,
                    allowed,
                    "only GET and POST\n",
                )
                    .into_response();
            }
        };
        in_stock_form(answer).await
    }

    /// Answers a GET request with packets as soon as there are any, or with NOOP if the client is
    /// upgrading.
    async fn receive(
        self,
        request: Request<Incoming>,
        transport: &ClientTransport,
    ) -> Response<Body> {
        // Its drop ends the poll, whether the request is answered or cancelled.
        let polling = transport.poll();
        let answer = self.forward(request);
        pin!(answer);
        tokio::select! {
            // Packets take priority over NOOP.
            biased;
            answer = &mut answer => return answer,
            () = transport.upgrade_state().noop() => {}
        }
        if polling.take_back() {
            let typed = [(CONTENT_TYPE, "text/plain; charset=UTF-8")];
            return (typed, NOOP).into_response();
        }
        answer.await
    }

    /// Answers a POST request, which carries packets.
    async fn send(self, request: Request<Incoming>) -> Response<Body> {
        let length = request.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let _share = self.intake.admit(length).await;
        // Starts once the body is admitted. A body that never ends would keep its connection.
        match timeout(PATIENCE, self.forward(ack_id::marked(request))).await {
            Ok(response) => response,
            Err(_) => refused(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
        }
    }

    /// Forwards a request to the library, or to the web app.
    async fn forward<B>(mut self, request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes, Error = hyper::Error> + Debug + Send + Unpin + 'static,
    {
        let Ok(response) = Service::<Request<B>>::call(&mut self.socketio, request).await;
        response.map(Body::new)
    }
}

/// Returns the response to a request over a connection limit, as in [`crate::edge::accept::responder`].
fn full(why: Refused) -> Response<Body> {
    let headers = [(RETRY_AFTER, "5")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, format!("{why}\n")).into_response()
}

fn refused(status: StatusCode, why: &str) -> Response<Body> {
    (status, format!("{why}\n")).into_response()
}

/// Returns the part of a request's path below Socket.IO's path, if it is below.
fn below<B>(request: &Request<B>) -> Option<&str> {
    let below = request.uri().path().strip_prefix(PATH)?;
    (below.is_empty() || below.starts_with('/')).then_some(below)
}

/// Returns the URI that the library parses for a WebSocket.
fn library_uri(sid: Option<&str>) -> Uri {
    let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
    let uri = format!("{PATH}/?EIO=4&transport=websocket{sid}").parse();
    uri.expect("the id of a session is part of a URI that was read")
}

/// Returns the answer to an unknown path below Socket.IO's.
fn missing(below: &str) -> Response<Body> {
    let is_client =
        below.starts_with("/socket.io") && (below.ends_with(".js") || below.ends_with(".js.map"));
    let why = if is_client {
        "the Socket.IO client is not served here; it is the npm package socket.io-client, in its folder dist"
    } else {
        "not found"
    };
    refused(StatusCode::NOT_FOUND, why)
}

/// Rewrites a refusal by the library in the form of the stock Engine.IO server.
async fn in_stock_form(answer: Response<Body>) -> Response<Body> {
    if answer.status() != StatusCode::BAD_REQUEST {
        return answer;
    }
    let (head, body) = answer.into_parts();
    let Ok(body) = body.collect().await else {
        return refused(StatusCode::BAD_REQUEST, "the answer was lost");
    };
    let body = body.to_bytes();
    match EngineIoRefusal::of_library(&body) {
        Some(refusal) => refusal.answer(),
        None => Response::from_parts(head, body.into()),
    }
}

/// Packet that opens a session (Engine.IO protocol, revision 4, "Handshake").
#[derive(Debug, Deserialize)]
struct OpenPacket {
    sid: String,
}

impl OpenPacket {
    fn parse(body: &[u8]) -> Option<Self> {
        const OPEN: u8 = b'0';
        serde_json::from_slice(body.strip_prefix(&[OPEN])?).ok()
    }
}
