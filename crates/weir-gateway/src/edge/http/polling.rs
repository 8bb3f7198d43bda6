//! Requests of sessions that poll.

use std::sync::Arc;

use axum::{body::Body, response::IntoResponse};
use http::{
    Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::{pin, time::timeout};

use super::{
    answers::{full, refused},
    query::EngineIoRefusal,
    service::Edge,
};
use crate::edge::{
    accept::connection::Source,
    client::ConnectedClient,
    transport::ClientTransport,
    websocket::{ack_id, admission::PATIENCE},
};

/// Answer to a polling request that no packet arrived for.
/// Source: Engine.IO protocol, revision 4, "Packet encoding".
const NOOP: &str = "6";

impl Edge {
    /// Opens a session by long-polling.
    pub(super) async fn open(
        self,
        mut request: Request<Incoming>,
        source: Source,
    ) -> Response<Body> {
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
    pub(super) async fn poll(self, request: Request<Incoming>, sid: &str) -> Response<Body> {
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
