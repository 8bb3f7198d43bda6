//! Operations listener: liveness, readiness and metrics for orchestrators and operators.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;

use crate::edge::accept::{listener::BoundListener, responder::Responder};
use crate::readiness::Readiness;

/// Maximum concurrent connections to the operations listener; further ones are refused.
const CONNECTIONS: usize = 128;

/// Maximum lifetime of such a connection, so that peers that do not read cannot exhaust the limit.
const LIFETIME: Duration = Duration::from_secs(60);

/// Grace period for a response that is in flight at the end of the lifetime.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// Body of `/`.
const INDEX: &str = "\
Operations listener of a Weir node.

/livez     200 while the process responds; restart it when it does not
/readyz    200 when the node accepts clients, otherwise 503 with the reasons as JSON
/metrics   all metrics in Prometheus' text format
";

/// Content type of Prometheus' text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Body of `/readyz`.
#[derive(Debug, Serialize)]
struct ReadinessReport {
    ready: bool,
    reasons: Vec<String>,
}

/// Returns the router of the operations listener: `/livez`, `/readyz`, `/metrics`, and a list of
/// them at `/`. `metrics` returns the metrics in Prometheus' text format, or an error.
pub fn router<M>(readiness: Readiness, metrics: M) -> Router
where
    M: Fn() -> Result<String, String> + Clone + Send + Sync + 'static,
{
    Router::new()
        .route("/", get(INDEX))
        .route("/livez", get("ok"))
        .route("/readyz", get(readyz))
        .fallback((StatusCode::NOT_FOUND, "not found; / lists the paths\n"))
        .with_state(readiness)
        .route("/metrics", get(|| async move { text(metrics()) }))
}

/// Serves `router` on the operations listener until it is dropped. Closes connections that take
/// longer than `header_timeout` for the head of a request.
pub(crate) async fn serve(listener: BoundListener, router: Router, header_timeout: Duration) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let responder = Responder::default();
    loop {
        let (stream, _) = listener.accept().await;
        let Ok(permit) = Arc::clone(&free).try_acquire_owned() else {
            let reason = format!("over the limit of {CONNECTIONS} connections to this listener");
            responder.respond(stream, &reason);
            continue;
        };
        let router = router.clone();
        tokio::spawn(async move {
            serve_connection(stream, router, header_timeout).await;
            drop(permit);
        });
    }
}

/// Serves one connection.
async fn serve_connection(stream: TcpStream, router: Router, header_timeout: Duration) {
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
    );
    let ended = match timeout(LIFETIME, connection.as_mut()).await {
        Ok(ended) => ended,
        Err(_) => {
            connection.as_mut().graceful_shutdown();
            match timeout(CLOSE_GRACE, connection).await {
                Ok(ended) => ended,
                Err(_) => return debug!("operations connection did not close in time"),
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "operations connection ended");
    }
}

fn text(metrics: Result<String, String>) -> Response {
    match metrics {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], uncached(), text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error).into_response(),
    }
}

/// Returns the headers of an answer that must not be cached.
fn uncached() -> [(HeaderName, HeaderValue); 1] {
    [(CACHE_CONTROL, HeaderValue::from_static("no-store"))]
}

async fn readyz(State(readiness): State<Readiness>) -> Response {
    let reasons = readiness.reasons();
    let ready = reasons.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, uncached(), Json(ReadinessReport { ready, reasons })).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use tower_service::Service;

    use super::*;

    async fn ask(readiness: &Readiness, path: &str) -> (StatusCode, String) {
        let metrics = || Ok("weir_ready 1\n".to_owned());
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let Ok(answer) = router(readiness.clone(), metrics).call(request).await;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (head.status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn unready_node_reports_its_reasons_and_stays_live() {
        let readiness = Readiness::new();
        let ready = (StatusCode::OK, r#"{"ready":true,"reasons":[]}"#.to_owned());
        assert_eq!(ask(&readiness, "/readyz").await, ready);
        readiness.set_ready(false, "stopping");
        readiness.set_ready(false, "starting");
        let (status, report) = ask(&readiness, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            report,
            r#"{"ready":false,"reasons":["starting","stopping"]}"#
        );
        assert_eq!(ask(&readiness, "/livez").await.0, StatusCode::OK);
        let metrics = (StatusCode::OK, "weir_ready 1\n".to_owned());
        assert_eq!(ask(&readiness, "/metrics").await, metrics);
        assert_eq!(ask(&readiness, "/other").await.0, StatusCode::NOT_FOUND);
    }
}
