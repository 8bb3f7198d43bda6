//! Web app: answers the public listener's requests that are not Socket.IO.
//!
//! The files of `clients/web/dist` are embedded if they existed when the gateway was compiled.
//! Without them `/` is a landing page.

mod encoding;
mod policy;

use std::borrow::Cow;

use axum::Router;
use axum::body::Body;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    IF_NONE_MATCH, VARY,
};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use encoding::Encoding;
use policy::Page;

const INDEX: &str = "index.html";
const LANDING: &str = include_str!("landing.html");

/// Built web app.
#[derive(RustEmbed)]
#[folder = "../../clients/web/dist"]
#[allow_missing = true]
struct App;

/// Returns the router for requests of the public listener that are not Socket.IO, `GET` and `HEAD`
/// only.
///
/// A path that names a file of the app returns that file. `/` and `/room/ID`, the app's own routes,
/// return its `index.html`; without an app, only `/` works and returns the landing page. Everything
/// else is `404` in plain text: a probe or a scraper on the wrong listener must fail.
///
/// A file under `assets/` must have a hash of its content in its name: browsers cache it for a
/// year. They revalidate everything else, and get `304` if it is unchanged.
///
/// A file with a precompressed form beside it (`.br`, `.gz`) is sent in the form that the client
/// prefers. Every response has the security headers of `policy.rs`.
pub fn router() -> Router {
    serving::<App>()
}

fn serving<A: RustEmbed + 'static>() -> Router {
    let answer = |method: Method, uri: Uri, headers: HeaderMap| async move {
        let mut response = answer::<A>(&method, &uri, &headers);
        let page = match A::get(INDEX) {
            Some(_) => Page::App,
            None => Page::Landing,
        };
        policy::apply(response.headers_mut(), page);
        response
    };
    Router::new().fallback(answer)
}

fn answer<A: RustEmbed>(method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        let allowed = [(ALLOW, HeaderValue::from_static("GET, HEAD"))];
        let why = "only GET and HEAD\n";
        return (StatusCode::METHOD_NOT_ALLOWED, allowed, why).into_response();
    }
    // `//` is another path than `/`: an app that it served could not resolve its relative URLs.
    let path = uri.path().strip_prefix('/').unwrap_or("*");
    let path = if is_route(path) { INDEX } else { path };
    match A::get(path) {
        Some(_) if is_encoded::<A>(path) => missing(),
        Some(file) => found::<A>(path, file, headers),
        None if path == INDEX && matches!(uri.path(), "/" | "/index.html") => landing(),
        None => missing(),
    }
}

/// Whether a path, without its leading slash, is one of the app's routes: the start page or a room.
fn is_route(path: &str) -> bool {
    let room = path.strip_prefix("room/").map(|rest| {
        let id = rest.strip_suffix('/').unwrap_or(rest);
        !id.is_empty() && !id.contains('/')
    });
    path.is_empty() || room == Some(true)
}

/// Whether a file is the precompressed form of another, and so has no path of its own.
fn is_encoded<A: RustEmbed>(path: &str) -> bool {
    [Encoding::Brotli, Encoding::Gzip]
        .iter()
        .filter_map(|coding| path.strip_suffix(coding.suffix()))
        .any(|plain| A::get(plain).is_some())
}

fn found<A: RustEmbed>(path: &str, plain: EmbeddedFile, headers: &HeaderMap) -> Response {
    let encoded = Encoding::accepted(headers)
        .into_iter()
        .find_map(|coding| Some((coding, A::get(&format!("{path}{}", coding.suffix()))?)));
    let (coding, file) = match encoded {
        Some((coding, file)) => (Some(coding), file),
        None => (None, plain),
    };
    // Hash of the form that is sent: two codings of a file are two representations (RFC 9110,
    // section 8.8.3.3).
    let hash = file.metadata.sha256_hash();
    let tag = hash[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    let tag = format!("\"{tag}\"");
    let lasting = if path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    // RFC 9110, 13.1.2: a list, possibly over several lines, or `*` for any representation.
    let mut known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|tags| tags.to_str().ok())
        .flat_map(|tags| tags.split(',').map(str::trim));
    let unchanged = known.any(|known| known == "*" || known.trim_start_matches("W/") == tag);
    let described = [
        (CACHE_CONTROL, lasting.to_owned()),
        (ETAG, tag),
        (VARY, "accept-encoding".to_owned()),
    ];
    if unchanged {
        return (StatusCode::NOT_MODIFIED, described).into_response();
    }
    let body = match file.data {
        Cow::Borrowed(bytes) => Body::from(bytes),
        Cow::Owned(bytes) => Body::from(bytes),
    };
    let typed = [(CONTENT_TYPE, content_type(path))];
    let mut response = (described, typed, body).into_response();
    if let Some(coding) = coding {
        response
            .headers_mut()
            .insert(CONTENT_ENCODING, coding.name());
    }
    response
}

/// Returns the media type of a file. Text is UTF-8, which browsers do not assume.
fn content_type(path: &str) -> HeaderValue {
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let text = kind.type_() == mime_guess::mime::TEXT || kind.subtype() == "javascript";
    let named = if text {
        format!("{kind}; charset=utf-8")
    } else {
        kind.to_string()
    };
    HeaderValue::try_from(named).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

fn landing() -> Response {
    let described = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    let page = LANDING.replace("{{version}}", env!("CARGO_PKG_VERSION"));
    (described, page).into_response()
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "not found\n").into_response()
}

#[cfg(test)]
mod tests;
