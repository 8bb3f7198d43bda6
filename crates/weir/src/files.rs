//! Limit of open files: each connection is one.

use rlimit::{Resource, increase_nofile_limit};
use tracing::warn;
use weir_gateway::{config::Config, edge::accept::responder::RESERVE};

/// File descriptors besides the connections: listeners, the runtime's own, logs, and refused
/// connections that still get a response.
const OTHERS: u64 = 256 + RESERVE as u64;

/// Raises the limit to the maximum for the process. Warns if it is below what the configured number
/// of connections needs.
pub(crate) fn raise_limit(config: &Config) {
    let before = Resource::NOFILE.get().map_or(0, |(soft, _)| soft);
    let limit = increase_nofile_limit(u64::MAX).unwrap_or(before);
    let connections = config.server.max_connections as u64;
    if limit < connections.saturating_add(OTHERS) {
        warn!(
            limit,
            max_connections = connections,
            "the limit of open files is below what server.max_connections needs; raise the limit \
             (ulimit -n) or lower the key"
        );
    }
}
