//! Addresses of clients behind proxies.

pub(crate) mod proxies;
pub(crate) mod proxy_header;
