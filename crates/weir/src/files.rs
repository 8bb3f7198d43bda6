//! How many files the process may have open: each connection is one.

use rlimit::{Resource, increase_nofile_limit};
use tracing::warn;
use weir_gateway::{config::Config, edge::accept::refusals::RESERVE};

/// File descriptors besides the connections: listeners, the runtime's own, logs, and refused
/// connections that still get a response.
const OTHERS: u64 = 256 + RESERVE as u64;

/// Raises the limit as far as the process may, and says if that is less than the connections that
/// the configuration allows.
pub(crate) fn raise_limit(config: &Config) {
    let before = Resource::NOFILE.get().map_or(0, |(soft, _)| soft);
    let limit = increase_nofile_limit(u64::MAX).unwrap_or(before);
    let connections = config.server.max_connections as u64;
    if limit < connections.saturating_add(OTHERS) {
        warn!(
            limit,
            max_connections = connections,
            "the process may not open as many files as server.max_connections needs; raise the \
             limit (ulimit -n) or lower the key"
        );
    }
}
