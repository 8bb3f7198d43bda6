use http::{Request, request::Builder};
use http_body_util::BodyExt;
use tower_service::Service;

use super::*;

const BROTLI: &[u8] = include_bytes!("../../tests/app/assets/main-1a2b.js.br");
const GZIP: &[u8] = include_bytes!("../../tests/app/assets/main-1a2b.js.gz");

#[derive(RustEmbed)]
#[folder = "tests/app"]
struct Built;

#[derive(RustEmbed)]
#[folder = "tests/no-app"]
#[allow_missing = true]
struct Missing;

async fn ask<A: RustEmbed + 'static>(request: Builder) -> (StatusCode, HeaderMap, String) {
    let (status, headers, body) = ask_bytes::<A>(request).await;
    (status, headers, String::from_utf8(body).expect("text"))
}

async fn ask_bytes<A: RustEmbed + 'static>(request: Builder) -> (StatusCode, HeaderMap, Vec<u8>) {
    let request = request.body(Body::empty()).expect("a request");
    let Ok(answer) = serving::<A>().call(request).await;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (head.status, head.headers, body.to_vec())
}

#[tokio::test]
async fn node_without_an_app_serves_a_landing_page() {
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
async fn routes_serve_the_app_and_other_paths_are_not_found() {
    for path in [
        "/",
        "/index.html",
        "/room/abc",
        "/room/abc/",
        "/room/abc?x=1",
    ] {
        let (status, headers, page) = ask::<Built>(Request::get(path)).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(page.contains("<title>App</title>"), "{path}");
        assert_eq!(headers[CACHE_CONTROL], "no-cache");
    }
    for path in [
        "//",
        "//room/abc",
        "//assets/main-1a2b.js",
        "/assets/gone-1a2b.js",
        "/favicon.ico",
        "/socket.io/x",
        "/../Cargo.toml",
        "/livez",
        "/readyz",
        "/metrics",
        "/room",
        "/room/",
        "/room/abc/def",
        "/api/v1/rooms",
        "/anything",
        "/assets/main-1a2b.js.br",
        "/assets/main-1a2b.js.gz",
    ] {
        let (status, ..) = ask::<Built>(Request::get(path)).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    let (status, headers, _) = ask::<Built>(Request::post("/")).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(headers[ALLOW], "GET, HEAD");
}

#[tokio::test]
async fn files_have_their_type_and_are_revalidated() {
    let path = "/assets/main-1a2b.js";
    let (_, headers, body) = ask::<Built>(Request::get(path)).await;
    assert_eq!(body, "export {};\n");
    assert_eq!(headers[CONTENT_TYPE], "text/javascript; charset=utf-8");
    assert_eq!(headers["x-content-type-options"], "nosniff");
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

#[tokio::test]
async fn files_are_sent_in_the_preferred_encoding() {
    let path = "/assets/main-1a2b.js";
    let plain = b"export {};\n".as_slice();
    let mut tags = Vec::new();
    for (accepted, coding, body) in [
        ("gzip, br", Some("br"), BROTLI),
        ("gzip", Some("gzip"), GZIP),
        ("br;q=0.1, gzip", Some("gzip"), GZIP),
        ("identity", None, plain),
    ] {
        let request = || Request::get(path).header("accept-encoding", accepted);
        let (status, headers, sent) = ask_bytes::<Built>(request()).await;
        assert_eq!(status, StatusCode::OK, "{accepted}");
        let named = headers.get(CONTENT_ENCODING);
        assert_eq!(named.map(HeaderValue::as_bytes), coding.map(str::as_bytes));
        assert_eq!(headers[VARY], "accept-encoding");
        assert_eq!(headers[CONTENT_TYPE], "text/javascript; charset=utf-8");
        assert_eq!(sent, body, "{accepted}");
        let again = request().header(IF_NONE_MATCH, &headers[ETAG]);
        let (status, headers, _) = ask_bytes::<Built>(again).await;
        assert_eq!(status, StatusCode::NOT_MODIFIED, "{accepted}");
        assert_eq!(headers[VARY], "accept-encoding");
        tags.push(headers[ETAG].clone());
    }
    tags.dedup();
    assert_eq!(tags.len(), 3, "one entity tag for each coding: {tags:?}");
    // A file without a precompressed form is sent unencoded.
    let index = Request::get("/").header("accept-encoding", "br");
    let (_, headers, _) = ask::<Built>(index).await;
    assert!(!headers.contains_key(CONTENT_ENCODING));
}

#[tokio::test]
async fn every_response_has_the_security_headers() {
    for path in ["/", "/room/abc", "/assets/main-1a2b.js", "/gone"] {
        let (_, headers, _) = ask::<Built>(Request::get(path)).await;
        let policy = headers["content-security-policy"].to_str().expect("text");
        assert!(policy.contains("frame-ancestors 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cross-origin-opener-policy"], "same-origin");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        let permissions = headers["permissions-policy"].to_str().expect("text");
        assert!(permissions.contains("camera=(self)"), "{permissions}");
        assert!(permissions.contains("geolocation=()"), "{permissions}");
    }
    let (_, headers, _) = ask::<Missing>(Request::get("/")).await;
    let policy = headers["content-security-policy"].to_str().expect("text");
    assert!(policy.contains("style-src 'unsafe-inline'"), "{policy}");
    assert!(!policy.contains("script-src"), "{policy}");
}
