//! Requests that open or upgrade a session on a WebSocket.

use std::{net::IpAddr, sync::Arc};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;
use tracing::debug;

use super::{
    answers::full,
    query::EngineIoRefusal,
    service::{Edge, PATH},
    timeouts::TimedStream,
};
use crate::edge::{
    accept::{
        connection::{AcceptedConnection, Admission, Source},
        gate::Permit,
    },
    client::{ConnectedClient, TRACEPARENT},
    transport::ClientTransport,
    websocket::{
        handshake::Handshake,
        probe::{self, UpgradeProbe},
        reader::LibraryStream,
    },
};

impl Edge {
    /// Answers a WebSocket handshake, which opens a session or upgrades the session `sid`.
    pub(super) fn websocket(
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
}

/// Returns the URI that the library parses for a WebSocket.
fn library_uri(sid: Option<&str>) -> Uri {
    let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
    let uri = format!("{PATH}/?EIO=4&transport=websocket{sid}").parse();
    uri.expect("the id of a session is part of a URI that was read")
}
