//! Answers to refused requests.

use axum::{body::Body, response::IntoResponse};
use http::{Response, StatusCode, header::RETRY_AFTER};
use weir_core::Refused;

/// Returns the answer to a request over a connection limit, the same as
/// [`crate::edge::accept::responder`] sends.
pub(super) fn full(why: Refused) -> Response<Body> {
    let headers = [(RETRY_AFTER, "5")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, format!("{why}\n")).into_response()
}

/// Returns an error with its reason as text.
pub(super) fn refused(status: StatusCode, why: &str) -> Response<Body> {
    (status, format!("{why}\n")).into_response()
}
