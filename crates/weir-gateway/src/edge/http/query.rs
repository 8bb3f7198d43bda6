//! Engine.IO parameters in a request's query, and the answers to invalid requests.

use axum::{body::Body, response::IntoResponse};
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use serde::{Deserialize, Serialize};

/// Transport of a session's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::edge) enum Transport {
    Polling,
    WebSocket,
}

/// Query of a request.
#[derive(Debug, Default)]
pub(in crate::edge) struct Query {
    /// `EIO`: version of the protocol.
    version: Option<String>,
    transport: Option<String>,
    /// Id of the session.
    pub(in crate::edge) sid: Option<String>,
    /// `j`: a request for JSONP, which browsers without XMLHttpRequest needed.
    jsonp: bool,
}

impl Query {
    pub(in crate::edge) fn of<B>(request: &Request<B>) -> Self {
        let mut query = Self::default();
        for pair in request.uri().query().unwrap_or_default().split('&') {
            // The first value counts, as in the library.
            match pair.split_once('=') {
                Some(("EIO", value)) => query.version.get_or_insert_with(|| value.to_owned()),
                Some(("transport", value)) => {
                    query.transport.get_or_insert_with(|| value.to_owned())
                }
                Some(("sid", value)) => query.sid.get_or_insert_with(|| value.to_owned()),
                Some(("j", _)) => {
                    query.jsonp = true;
                    continue;
                }
                _ => continue,
            };
        }
        query
    }

    pub(in crate::edge) fn transport(&self) -> Result<Transport, EngineIoRefusal> {
        match self.transport.as_deref() {
            Some("websocket") => Ok(Transport::WebSocket),
            Some("polling") if self.jsonp => Err(EngineIoRefusal::Request),
            Some("polling") => Ok(Transport::Polling),
            _ => Err(EngineIoRefusal::Transport),
        }
    }

    /// Whether the client speaks version 4 of the protocol.
    pub(in crate::edge) fn is_current(&self) -> bool {
        self.version.as_deref() == Some("4")
    }
}

/// Reason for refusing a request, with the codes of the stock Engine.IO server.
/// Source: engine.io 6.6, `build/server.js`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::edge) enum EngineIoRefusal {
    Transport = 0,
    Session = 1,
    Method = 2,
    Request = 3,
    Version = 5,
}

/// Body of a refusal. Its code is a string in the library, and a number in other servers.
#[derive(Debug, Serialize, Deserialize)]
struct RefusalBody<C> {
    code: C,
    message: String,
}

impl EngineIoRefusal {
    const ALL: [Self; 5] = [
        Self::Transport,
        Self::Session,
        Self::Method,
        Self::Request,
        Self::Version,
    ];

    fn message(self) -> &'static str {
        match self {
            Self::Transport => "Transport unknown",
            Self::Session => "Session ID unknown",
            Self::Method => "Bad handshake method",
            Self::Request => "Bad request",
            Self::Version => "Unsupported protocol version",
        }
    }

    pub(in crate::edge) fn answer(self) -> Response<Body> {
        self.explain(StatusCode::BAD_REQUEST, self.message())
    }

    /// Returns an answer with a more specific message.
    pub(in crate::edge) fn explain(self, status: StatusCode, message: &str) -> Response<Body> {
        let refusal = RefusalBody {
            code: self as u8,
            message: message.to_owned(),
        };
        let body = serde_json::to_string(&refusal).unwrap_or_default();
        (status, [(CONTENT_TYPE, "application/json")], body).into_response()
    }

    /// Parses the library's refusal, if `body` is one.
    pub(in crate::edge) fn of_library(body: &[u8]) -> Option<Self> {
        let refusal: RefusalBody<String> = serde_json::from_slice(body).ok()?;
        let code = refusal.code.parse::<u8>().ok()?;
        Self::ALL.into_iter().find(|refusal| *refusal as u8 == code)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn query(query: &str) -> Query {
        let request = Request::get(format!("/socket.io/?{query}"));
        Query::of(&request.body(()).expect("a request"))
    }

    #[test]
    fn query_has_transport_version_and_session() {
        let plain = query("EIO=4&transport=polling&t=x&sid=abc&sid=def&b64=1");
        assert_eq!(plain.transport(), Ok(Transport::Polling));
        assert_eq!(plain.sid.as_deref(), Some("abc"));
        assert!(plain.is_current());
        let socket = query("transport=websocket&EIO=3");
        assert_eq!(socket.transport(), Ok(Transport::WebSocket));
        assert!(!socket.is_current());
        for (unknown, refusal) in [
            ("EIO=4", EngineIoRefusal::Transport),
            ("EIO=4&transport=", EngineIoRefusal::Transport),
            ("EIO=4&transport=webtransport", EngineIoRefusal::Transport),
            ("EIO=4&transport=polling&j=0", EngineIoRefusal::Request),
        ] {
            assert_eq!(query(unknown).transport(), Err(refusal), "{unknown}");
        }
    }

    #[tokio::test]
    async fn refusals_are_those_of_the_stock_server() {
        let answer = EngineIoRefusal::Version.answer();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        let body = answer.into_body().collect().await.expect("a body");
        let wanted = r#"{"code":5,"message":"Unsupported protocol version"}"#;
        assert_eq!(body.to_bytes(), wanted);
        let library = br#"{"code":"1","message":"Session ID unknown"}"#;
        assert_eq!(
            EngineIoRefusal::of_library(library),
            Some(EngineIoRefusal::Session)
        );
        assert_eq!(EngineIoRefusal::of_library(b""), None);
        assert_eq!(
            EngineIoRefusal::of_library(br#"{"code":"9","message":""}"#),
            None
        );
    }
}
