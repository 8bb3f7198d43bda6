//! Addresses of clients behind proxies.

mod forwarded;
pub(crate) mod proxies;
pub(crate) mod proxy_header;
