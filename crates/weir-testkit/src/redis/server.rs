//! A Redis server of any kind.

use std::path::PathBuf;

use super::process::RedisProcess;

/// Redis of any kind, which ends when this is dropped.
///
/// Its functions panic on errors.
#[derive(Debug)]
pub struct RedisServer {
    /// Its processes. The first is the server, the first node, or the master.
    pub processes: Vec<RedisProcess>,
    pub(super) url: String,
}

/// Configuration that operators are told to use.
pub(super) const CONFIG: &str = concat!(
    "include ",
    env!("CARGO_MANIFEST_DIR"),
    "/../../deploy/redis.conf"
);

/// Returns the configuration that adds a listening address, unless it is the default.
pub(super) fn listening(address: &str) -> String {
    match address {
        "127.0.0.1" => String::new(),
        other => format!("bind 127.0.0.1 {other}"),
    }
}

/// Formats an address for a URL.
pub(super) fn in_url(address: &str) -> String {
    match address.contains(':') {
        true => format!("[{address}]"),
        false => address.to_owned(),
    }
}

impl RedisServer {
    /// Starts one server.
    pub async fn standalone() -> Self {
        Self::standalone_with("").await
    }

    /// Starts one server with additional configuration lines.
    pub async fn standalone_with(config: &str) -> Self {
        let process = RedisProcess::start("redis-server", &format!("{CONFIG}\n{config}"));
        process.until("it answers", &["ping"], "PONG").await;
        Self {
            url: format!("redis://127.0.0.1:{}", process.port),
            processes: vec![process],
        }
    }

    /// Starts one server that accepts TLS only; see [`ca`](Self::ca).
    pub async fn standalone_tls() -> Self {
        let process = RedisProcess::start_tls(CONFIG);
        process.until("it answers", &["ping"], "PONG").await;
        Self {
            url: format!("rediss://localhost:{}", process.port),
            processes: vec![process],
        }
    }

    /// Waits until the first process answers, and its cluster, if it has one, is complete.
    pub async fn until_it_answers(&self) {
        let (ask, part): (&[&str], _) = if self.url.starts_with("redis-cluster") {
            (&["cluster", "info"], "cluster_state:ok")
        } else {
            (&["ping"], "PONG")
        };
        self.processes[0].until("it answers", ask, part).await;
    }

    /// Returns its URL, as in a node's configuration.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the file of the CA that signed its certificate, if it uses TLS.
    pub fn ca(&self) -> Option<PathBuf> {
        self.processes[0].ca()
    }

    /// Returns the server, the first node, or the first master.
    pub fn first(&mut self) -> &mut RedisProcess {
        &mut self.processes[0]
    }
}
