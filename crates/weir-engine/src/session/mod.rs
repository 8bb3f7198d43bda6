//! Sessions: the requests and chunks of one connection's client.

mod queue;
mod reply;
mod requests;
#[allow(clippy::module_inception, reason = "named after its type")]
mod session;

pub(crate) use reply::Reply;
pub use session::{Session, SessionIdentity};
