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

use super::service::Edge;
use crate::edge::accept::gate::Source;

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

/// Answers a Socket.IO request under the rules of `layer`.
pub(super) async fn answer(
    layer: &CorsLayer,
    edge: Edge,
    source: Source,
    request: Request<Incoming>,
) -> Response<Body> {
    let Ok(response) = layer.layer(Answer { edge, source }).call(request).await;
    response
}

/// Service that the layer wraps.
struct Answer {
    edge: Edge,
    source: Source,
}

impl Service<Request<Incoming>> for Answer {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let (edge, source) = (self.edge.clone(), self.source);
        Box::pin(async move { Ok(edge.socketio(request, source).await) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_none_unless_there_are_some() {
        assert!(layer(&[]).is_none());
        assert!(layer(&["*".to_owned()]).is_some());
        assert!(layer(&["https://a.example".to_owned(), "http://b:1".to_owned()]).is_some());
    }
}
