//! The web app's place: what the public listener answers to everything that is not Socket.IO.
//!
//! The files of `clients/web/dist` are embedded if they were there when the gateway was compiled.
//! Without them `/` is a page that says what this is.

use std::borrow::Cow;

use axum::Router;
use axum::body::Body;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

const INDEX: &str = "index.html";
const LANDING: &str = include_str!("landing.html");

/// The built web app.
#[derive(RustEmbed)]
#[folder = "../../clients/web/dist"]
#[allow_missing = true]
struct App;

/// What the public listener answers apart from Socket.IO, for `GET` and `HEAD`.
///
/// A path that names a file is that file. `/`, and any path whose last part has no extension, is
/// the app's `index.html`, since the app's own routes look like that; without an app, `/` alone is
/// the landing page. Everything else is `404`, as plain text, and so are `/livez` and `/readyz`,
/// which only the operations listener answers.
///
/// What lies under `assets/` must have a hash of its content in its name: browsers keep it for
/// ever. They ask anew for everything else, and get `304` where it has not changed.
pub fn router() -> Router {
    serving::<App>()
}

fn serving<A: RustEmbed + 'static>() -> Router {
    let answer = |method: Method, uri: Uri, headers: HeaderMap| async move {
        answer::<A>(&method, &uri, &headers)
    };
    Router::new().fallback(answer)
}

fn answer<A: RustEmbed>(method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        let allowed = [(ALLOW, HeaderValue::from_static("GET, HEAD"))];
        return (
            StatusCode::METHOD_NOT_ALLOWED,
            allowed,
            "only GET and HEAD\n",
        )
            .into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if path == "socket.io" || path.starts_with("socket.io/") {
        return missing();
    }
    // A probe that asks the wrong listener must fail, and not be content with the app's page.
    if matches!(path, "livez" | "readyz") {
        return missing();
    }
    if let Some(file) = A::get(path) {
        return found(path, file, headers);
    }
    let last = path.rsplit('/').next().unwrap_or(path);
    match A::get(INDEX) {
        Some(index) if !last.contains('.') => found(INDEX, index, headers),
        None if path.is_empty() => landing(),
        _ => missing(),
    }
}

fn found(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
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
    // RFC 9110, 13.1.2: a list, possibly over several lines, or `*` for whatever there is.
    let mut known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|tags| tags.to_str().ok())
        .flat_map(|tags| tags.split(',').map(str::trim));
    let unchanged = known.any(|known| known == "*" || known.trim_start_matches("W/") == tag);
    let described = [(CACHE_CONTROL, lasting.to_owned()), (ETAG, tag)];
    if unchanged {
        return (StatusCode::NOT_MODIFIED, described).into_response();
    }
    let body = match file.data {
        Cow::Borrowed(bytes) => Body::from(bytes),
        Cow::Owned(bytes) => Body::from(bytes),
    };
    let typed = [
        (CONTENT_TYPE, content_type(path)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (described, typed, body).into_response()
}

/// Text is UTF-8, which browsers do not assume.
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
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let page = LANDING.replace("{{version}}", env!("CARGO_PKG_VERSION"));
    (described, page).into_response()
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "nothing here\n").into_response()
}

#[cfg(test)]
mod tests {
    use http::{Request, request::Builder};
    use http_body_util::BodyExt;
    use tower_service::Service;

    use super::*;

    #[derive(RustEmbed)]
    #[folder = "tests/app"]
    struct Built;

    #[derive(RustEmbed)]
    #[folder = "tests/no-app"]
    #[allow_missing = true]
    struct Missing;

    async fn ask<A: RustEmbed + 'static>(request: Builder) -> (StatusCode, HeaderMap, String) {
        let request = request.body(Body::empty()).expect("a request");
        let Ok(answer) = serving::<A>().call(request).await;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let body = String::from_utf8(body.to_vec()).expect("text");
        (head.status, head.headers, body)
    }

    #[tokio::test]
    async fn without_an_app_one_page_says_what_this_is_and_how_to_build_it() {
        let (status, headers, page) = ask::<Missing>(Request::get("/")).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
        assert!(
            page.contains("Weir") && page.contains(env!("CARGO_PKG_VERSION")),
            "{page}"
        );
        let (status, ..) = ask::<Missing>(Request::get("/room/abc")).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn the_apps_own_routes_are_its_page_and_what_is_missing_is_missing() {
        for path in ["/", "/index.html", "/room/abc", "/room/abc?x=1"] {
            let (status, headers, page) = ask::<Built>(Request::get(path)).await;
            assert_eq!(status, StatusCode::OK, "{path}");
            assert!(page.contains("<title>App</title>"), "{path}");
            assert_eq!(headers[CACHE_CONTROL], "no-cache");
        }
        for path in [
            "/assets/gone-1a2b.js",
            "/favicon.ico",
            "/socket.io/x",
            "/../Cargo.toml",
            "/livez",
            "/readyz",
        ] {
            let (status, ..) = ask::<Built>(Request::get(path)).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        }
        let (status, headers, _) = ask::<Built>(Request::post("/")).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(headers[ALLOW], "GET, HEAD");
    }

    #[tokio::test]
    async fn files_are_typed_and_not_sent_again_where_they_are_known() {
        let path = "/assets/main-1a2b.js";
        let (_, headers, body) = ask::<Built>(Request::get(path)).await;
        assert_eq!(body, "export {};\n");
        assert_eq!(headers[CONTENT_TYPE], "text/javascript; charset=utf-8");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(
            headers[CACHE_CONTROL]
                .to_str()
                .expect("text")
                .contains("immutable")
        );
        for tags in [headers[ETAG].clone(), HeaderValue::from_static("\"x\"")] {
            let again = Request::get(path).header(IF_NONE_MATCH, tags.clone());
            let (status, _, body) = ask::<Built>(again).await;
            let known = tags == headers[ETAG];
            assert_eq!(status == StatusCode::NOT_MODIFIED, known);
            assert_eq!(body.is_empty(), known);
        }
        let tag = headers[ETAG].to_str().expect("text");
        for tags in [
            vec!["*".to_owned()],
            vec![format!("\"x\", W/{tag}")],
            vec!["\"x\"".to_owned(), tag.to_owned()],
        ] {
            let again = tags.iter().fold(Request::get(path), |request, tags| {
                request.header(IF_NONE_MATCH, tags)
            });
            let (status, ..) = ask::<Built>(again).await;
            assert_eq!(status, StatusCode::NOT_MODIFIED, "{tags:?}");
        }
        let (status, head, body) = ask::<Built>(Request::head(path)).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, ""));
        assert_eq!(head[ETAG], headers[ETAG]);
    }
}
