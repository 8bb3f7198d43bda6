//! CORS for long-polling from pages of other origins (Fetch standard, "CORS protocol").
//!
//! CORS does not cover WebSockets, and their `Origin` is not checked, as in stock servers. A client
//! is identified by the token that it sends, never by credentials that a browser adds itself.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use axum::body::Body;
use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};
use tower_layer::Layer;
use tower_service::Service;
use weir_cluster::BoxFuture;

/// Returns the layer that lets pages of these origins read answers; `*` allows every origin. `None`
/// without origins.
pub(crate) fn layer(origins: &[String]) -> Option<CorsLayer> {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(AllowHeaders::mirror_request());
    match origins {
        [] => None,
        [all] if all == "*" => Some(layer.allow_origin(Any)),
        _ => {
            let origins = origins.iter();
            let origins = origins.filter_map(|origin| HeaderValue::try_from(origin).ok());
            // Balancers use cookies for session affinity.
            Some(
                layer
                    .allow_origin(AllowOrigin::list(origins))
                    .allow_credentials(true),
            )
        }
    }
}

/// Answers a request under the rules of `layer`. `answer` answers all but preflight requests.
pub(super) async fn answer<F, A>(
    layer: &CorsLayer,
    request: Request<Incoming>,
    answer: F,
) -> Response<Body>
where
    F: FnMut(Request<Incoming>) -> A,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let Ok(response) = layer.layer(AnswerService(answer)).call(request).await;
    response
}

/// Service that the layer wraps.
struct AnswerService<F>(F);

impl<F, A> Service<Request<Incoming>> for AnswerService<F>
where
    F: FnMut(Request<Incoming>) -> A,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let answered = (self.0)(request);
        Box::pin(async move { Ok(answered.await) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_exists_only_with_origins() {
        assert!(layer(&[]).is_none());
        assert!(layer(&["*".to_owned()]).is_some());
        assert!(layer(&["https://a.example".to_owned(), "http://b:1".to_owned()]).is_some());
    }
}
