//! Answers the requests of a connection: Socket.IO's and the web app's.

use std::{convert::Infallible, fmt::Debug};

use axum::{Router, body::Body, response::IntoResponse};
use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONNECTION, RETRY_AFTER},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use socketioxide::service::SocketIoService;
use tower_http::cors::CorsLayer;
use tower_service::Service;
use tracing::debug;

use super::{
    answers::refused,
    cors,
    query::{EngineIoRefusal, Query, Transport},
    timeouts::{RequestPhase, RequestTimeouts, TimedStream},
};
use crate::{
    config::EgressConfig,
    edge::{
        accept::{
            acceptor::Acceptor,
            connection::{AcceptedConnection, Source},
            gate::Gate,
        },
        adapter::DirectAdapter,
        client::ConnectedClient,
        client_address::proxies::Proxies,
        polling::sessions::PollingSessions,
        websocket::{admission::Intake, probe::ProbeTimes},
    },
};

/// Path of Socket.IO.
pub(crate) const PATH: &str = "/socket.io";

/// Maximum length of a request's head. Hyper accepts no smaller one.
const HEAD_BYTES: usize = 16 * 1024;

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

    pub(super) fn gate(&self) -> &Gate {
        &self.acceptor.gate
    }

    pub(super) fn proxies(&self) -> &Proxies {
        &self.acceptor.proxies
    }

    fn refuse_draining(&self) -> Response<Body> {
        self.gate().count_draining();
        // A retry on this connection would reach the same node.
        let headers = [(CONNECTION, "close"), (RETRY_AFTER, "1")];
        let why = "this node is draining; connect again to reach another\n";
        (StatusCode::SERVICE_UNAVAILABLE, headers, why).into_response()
    }

    /// Forwards a request to the library, or to the web app.
    pub(super) async fn forward<B>(mut self, request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes, Error = hyper::Error> + Debug + Send + Unpin + 'static,
    {
        let Ok(response) = Service::<Request<B>>::call(&mut self.socketio, request).await;
        response.map(Body::new)
    }
}

/// Returns the part of a request's path below Socket.IO's path, if it is below.
fn below<B>(request: &Request<B>) -> Option<&str> {
    let below = request.uri().path().strip_prefix(PATH)?;
    (below.is_empty() || below.starts_with('/')).then_some(below)
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
