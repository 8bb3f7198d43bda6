//! The operations listener: what orchestrators and people ask a node, apart from clients.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;

use crate::edge::accept::{gate, refusals::Responder};

/// Maximum concurrent connections to the operations listener; further ones are refused.
const CONNECTIONS: usize = 128;

/// Maximum lifetime of such a connection, so that peers that do not read cannot exhaust the limit.
const LIFETIME: Duration = Duration::from_secs(60);

/// Grace period for a response that is in flight at the end of the lifetime.
const FAREWELL: Duration = Duration::from_secs(5);

/// What `/` of the operations listener says.
const INDEX: &str = "\
A Weir node's operations listener.

/livez     200 while the process answers; restart it when it does not
/readyz    200 when it takes clients, 503 when not, with the reasons as JSON
/metrics   what the node counts and measures, for Prometheus
";

/// The content type of Prometheus' text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Reasons against readiness, with their causes.
type Reasons = BTreeMap<&'static str, Option<Arc<str>>>;

/// Whether a node takes clients, shared between whoever knows and whoever asks.
///
/// A node is ready when no reason against it stands. Clones speak of the same node.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    /// Current reasons against readiness: few and short, each with an optional cause.
    against: Arc<Mutex<Reasons>>,
}

impl Readiness {
    /// A node against whose readiness nothing stands.
    pub fn new() -> Self {
        Self::default()
    }

    fn against(&self) -> MutexGuard<'_, Reasons> {
        self.against.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Withdraws (`ready`) or raises (not `ready`) one reason against readiness, such as
    /// `"starting"`. Reasons are independent: the node is ready when all are withdrawn.
    pub fn set_ready(&self, ready: bool, reason: &'static str) {
        if ready {
            self.against().remove(reason);
        } else {
            self.against().insert(reason, None);
        }
    }

    /// Raises a reason against readiness with its cause, which `/readyz` appends to it.
    pub fn set_cause(&self, reason: &'static str, cause: &Arc<str>) {
        self.against().insert(reason, Some(Arc::clone(cause)));
    }

    /// Whether no reason against readiness stands.
    pub fn is_ready(&self) -> bool {
        self.against().is_empty()
    }

    /// Returns the reasons against readiness in alphabetical order, as `reason` or `reason: cause`;
    /// none when the node is ready.
    pub fn reasons(&self) -> Vec<String> {
        let against = self.against();
        let reasons = against.iter().map(|(reason, cause)| match cause {
            Some(cause) => format!("{reason}: {cause}"),
            None => (*reason).to_owned(),
        });
        reasons.collect()
    }
}

/// The answer of `/readyz`.
#[derive(Debug, Serialize)]
struct Report {
    ready: bool,
    reasons: Vec<String>,
}

/// What the operations listener answers: `/livez`, `/readyz`, `/metrics`, and at `/` a list of
/// these. `metrics` writes the metrics in Prometheus' text format, or says why it cannot.
pub fn router<M>(readiness: Readiness, metrics: M) -> Router
where
    M: Fn() -> Result<String, String> + Clone + Send + Sync + 'static,
{
    Router::new()
        .route("/", get(INDEX))
        .route("/livez", get("ok"))
        .route("/readyz", get(readyz))
        .fallback((
            StatusCode::NOT_FOUND,
            "nothing here; / lists what there is\n",
        ))
        .with_state(readiness)
        .route("/metrics", get(|| async move { text(metrics()) }))
}

/// Serves `router` on the operations listener until it is dropped. Closes connections that take
/// longer than `header_timeout` for the head of a request.
pub(crate) async fn serve(listener: TcpListener, router: Router, header_timeout: Duration) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let responder = Responder::default();
    loop {
        let (stream, _) = gate::next(&listener).await;
        let Ok(place) = Arc::clone(&free).try_acquire_owned() else {
            let why = format!("over the limit of {CONNECTIONS} connections to this listener");
            responder.respond(stream, &why);
            continue;
        };
        let router = router.clone();
        tokio::spawn(async move {
            serve_connection(stream, router, header_timeout).await;
            drop(place);
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
            match timeout(FAREWELL, connection).await {
                Ok(ended) => ended,
                Err(_) => return debug!("a connection to the operations listener did not end"),
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection to the operations listener ended");
    }
}

fn text(metrics: Result<String, String>) -> Response {
    match metrics {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], fresh(), text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error).into_response(),
    }
}

/// What is said is true now and not later.
fn fresh() -> [(HeaderName, HeaderValue); 1] {
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
    (status, fresh(), Json(Report { ready, reasons })).into_response()
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
    async fn a_node_that_is_not_ready_says_why_and_lives() {
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

    #[test]
    fn a_node_is_ready_when_no_reason_stands_against_it() {
        let readiness = Readiness::new();
        assert!(readiness.is_ready());
        readiness.set_ready(false, "starting");
        readiness.set_ready(false, "stopping");
        readiness.set_ready(false, "starting");
        assert_eq!(readiness.reasons(), ["starting", "stopping"]);
        readiness.clone().set_ready(true, "starting");
        assert_eq!(readiness.reasons(), ["stopping"]);
        assert!(!readiness.is_ready());
        readiness.set_ready(true, "stopping");
        assert!(readiness.is_ready());
        readiness.set_cause("redis", &"NOPERM".into());
        readiness.set_cause("redis", &"NOAUTH".into());
        assert_eq!(readiness.reasons(), ["redis: NOAUTH"]);
        readiness.set_ready(true, "redis");
        assert!(readiness.is_ready());
    }

    #[test]
    fn the_documented_reasons_are_those_of_the_code() {
        let documented = include_str!("../../../docs/operations.md");
        let table = documented.split("Reasons against readiness").nth(1);
        let table = table.and_then(|rest| rest.split("\n\n").nth(1));
        let rows = table.expect("the table").lines().skip(2);
        let documented: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
        let mut known = vec![crate::node::run::STARTING, crate::node::drain::REASON];
        known.extend(crate::node::cluster::PLANES.map(|(_, reason)| reason));
        assert_eq!(documented, known);
    }
}
