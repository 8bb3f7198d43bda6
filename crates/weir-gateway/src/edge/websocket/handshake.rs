//! Opening handshake of a WebSocket (RFC 6455, section 4.2).

use axum::body::Body;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{
        CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use tungstenite::handshake::derive_accept_key;

use crate::edge::http::query::EngineIoRefusal;

/// Only version of the protocol.
const VERSION: HeaderValue = HeaderValue::from_static("13");

/// Valid handshake request.
#[derive(Debug)]
pub(in crate::edge) struct Handshake {
    /// `Sec-WebSocket-Accept` value for the client's key.
    accept: HeaderValue,
    /// Selected subprotocol: the first that the client offers, if any, as stock servers choose. It
    /// has no meaning here, but clients close a WebSocket whose server selected none of their
    /// offers.
    protocol: Option<HeaderValue>,
}

impl Handshake {
    /// Parses a handshake. Returns the response to an invalid one as the error.
    pub(in crate::edge) fn read<B>(request: &Request<B>) -> Result<Self, Box<Response<Body>>> {
        let headers = request.headers();
        let wrong = |why| Err(Box::new(refused(why)));
        if request.method() != Method::GET {
            return Err(Box::new(EngineIoRefusal::Method.answer()));
        }
        if request.version() < Version::HTTP_11 {
            return wrong("a WebSocket needs HTTP/1.1");
        }
        if !has_token(headers, UPGRADE, "websocket") {
            return wrong("the header Upgrade must contain websocket");
        }
        if !has_token(headers, CONNECTION, "upgrade") {
            return wrong("the header Connection must contain Upgrade");
        }
        if one(headers, SEC_WEBSOCKET_VERSION) != Some(VERSION.as_bytes()) {
            return Err(Box::new(other_version()));
        }
        let Some(key) = one(headers, SEC_WEBSOCKET_KEY).filter(|key| is_key(key)) else {
            return wrong("the header Sec-WebSocket-Key must be 16 bytes in base64");
        };
        let Ok(protocol) = first_protocol(headers) else {
            return wrong("the header Sec-WebSocket-Protocol must be a list of distinct tokens");
        };
        let Ok(accept) = HeaderValue::try_from(derive_accept_key(key)) else {
            return wrong("the header Sec-WebSocket-Key must be 16 bytes in base64");
        };
        Ok(Self { accept, protocol })
    }

    /// Returns the response that switches the connection to WebSocket.
    pub(in crate::edge) fn answer(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        if let Some(protocol) = self.protocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        response
    }
}

fn refused(why: &str) -> Response<Body> {
    EngineIoRefusal::Request.explain(StatusCode::BAD_REQUEST, why)
}

/// Returns the response to another version (RFC 6455, section 4.4).
fn other_version() -> Response<Body> {
    let why = "only version 13 of the WebSocket protocol is spoken";
    let mut response = EngineIoRefusal::Request.explain(StatusCode::UPGRADE_REQUIRED, why);
    let headers = response.headers_mut();
    headers.insert(SEC_WEBSOCKET_VERSION, VERSION);
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response
}

/// Returns the value of a header that occurs exactly once.
fn one(headers: &HeaderMap, name: HeaderName) -> Option<&[u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.as_bytes();
    values.next().is_none().then(|| value.trim_ascii())
}

/// Iterates over the elements of a list header, across all its lines.
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(name).iter();
    let elements = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    elements.map(<[u8]>::trim_ascii)
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    elements(headers, name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

/// Whether a key has the form of 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(is_digit)
}

/// Whether an element is a token (RFC 9110, section 5.6.2).
fn is_token(element: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !element.is_empty() && element.iter().all(allowed)
}

/// Returns the first subprotocol that is offered, or an error if the offer is malformed.
fn first_protocol(headers: &HeaderMap) -> Result<Option<HeaderValue>, ()> {
    let mut offered: Vec<&[u8]> = Vec::new();
    for element in elements(headers, SEC_WEBSOCKET_PROTOCOL) {
        if !is_token(element) || offered.contains(&element) {
            return Err(());
        }
        offered.push(element);
    }
    let first = offered.first().map(|first| HeaderValue::from_bytes(first));
    first.transpose().map_err(drop)
}

#[cfg(test)]
mod tests {
    use http::request::Builder;

    use super::*;

    /// Sample key of RFC 6455, section 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn handshake() -> Builder {
        Request::get("/socket.io/")
            .header(UPGRADE, "WebSocket")
            .header(CONNECTION, "keep-alive, upgrade")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, KEY)
    }

    fn answer(request: Builder) -> Response<Body> {
        let request = request.body(()).expect("a request");
        match Handshake::read(&request) {
            Ok(handshake) => handshake.answer(),
            Err(refused) => *refused,
        }
    }

    #[test]
    fn handshake_is_answered() {
        let answer = answer(handshake());
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        let accept = &answer.headers()[SEC_WEBSOCKET_ACCEPT];
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!answer.headers().contains_key(SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn first_subprotocol_is_chosen() {
        for (offers, chosen) in [
            (&["chat"][..], "chat"),
            (&["v2.chat, v1.chat"], "v2.chat"),
            (&["b", "a , c"], "b"),
        ] {
            let offering =
                |request: Builder, offer: &&str| request.header(SEC_WEBSOCKET_PROTOCOL, *offer);
            let answer = answer(offers.iter().fold(handshake(), offering));
            assert_eq!(answer.headers()[SEC_WEBSOCKET_PROTOCOL], chosen);
        }
        for malformed in ["", "a,", "a b", "a, a", "\"a\"", "a/b"] {
            let answer = answer(handshake().header(SEC_WEBSOCKET_PROTOCOL, malformed));
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{malformed}");
        }
    }

    #[test]
    fn malformed_handshake_is_refused() {
        for key in [
            "",
            "x",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25j!Q==",
        ] {
            let mut request = handshake();
            request
                .headers_mut()
                .expect("headers")
                .remove(SEC_WEBSOCKET_KEY);
            let answer = answer(request.header(SEC_WEBSOCKET_KEY, key));
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{key}");
        }
        for missing in [UPGRADE, CONNECTION, SEC_WEBSOCKET_KEY] {
            let mut request = handshake();
            request.headers_mut().expect("headers").remove(&missing);
            assert_eq!(
                answer(request).status(),
                StatusCode::BAD_REQUEST,
                "{missing}"
            );
        }
        let twice = handshake().header(SEC_WEBSOCKET_KEY, KEY);
        assert_eq!(answer(twice).status(), StatusCode::BAD_REQUEST);
        let post = answer(handshake().method(Method::POST));
        assert_eq!(post.status(), StatusCode::BAD_REQUEST);
        let old = answer(handshake().version(Version::HTTP_10));
        assert_eq!(old.status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn other_version_is_refused_with_the_supported_one() {
        for version in [None, Some("8"), Some("12"), Some("13, 8"), Some("")] {
            let mut request = handshake();
            let headers = request.headers_mut().expect("headers");
            headers.remove(SEC_WEBSOCKET_VERSION);
            let request = version.into_iter().fold(request, |request, version| {
                request.header(SEC_WEBSOCKET_VERSION, version)
            });
            let answer = answer(request);
            assert_eq!(answer.status(), StatusCode::UPGRADE_REQUIRED, "{version:?}");
            assert_eq!(answer.headers()[SEC_WEBSOCKET_VERSION], "13");
        }
    }
}
