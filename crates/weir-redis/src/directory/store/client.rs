//! Set-up of the client that calls the scripts.

use std::time::Duration;

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::ClientLike,
    types::{
        Builder, RespVersion,
        config::{Config, ReconnectPolicy, Server, ServerConfig, TlsConnector, UnresponsiveConfig},
    },
};
use tokio::task::AbortHandle;
use weir_cluster::DirectoryError;

use crate::{Target, target::Topology};

/// Start of the error for a command of a script that the user may not run. Outside of scripts, the
/// code is `NOPERM`.
const SCRIPT_NOPERM: &str = "ERR The user executing the script";

/// Time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A client and the task of its connections, which end together.
#[derive(Debug)]
pub(crate) struct RunningClient {
    pub(crate) client: Client,
    task: AbortHandle,
}

impl Drop for RunningClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Creates a client that connects in the background, and reconnects after an interruption.
pub(crate) fn connect(target: &Target) -> Result<RunningClient, DirectoryError> {
    let cluster = target.topology == Topology::Cluster;
    let tls = match target.tls {
        true => {
            let connector = TlsConnector::default_rustls();
            Some(connector.map_err(|error| unavailable(&error))?.into())
        }
        false => None,
    };
    let config = Config {
        fail_fast: false,
        username: target.username.clone(),
        password: target.password.clone(),
        server: server(target),
        // With RESP3 the client authenticates by a `HELLO` in one unquoted line, which a space
        // or quote in the password breaks. With RESP2 it sends `AUTH`, whose arguments can hold
        // every byte. The directory needs no command of RESP3.
        version: RespVersion::RESP2,
        database: (!cluster).then_some(target.database),
        tls,
        ..Config::default()
    };
    let mut policy = ReconnectPolicy::new_exponential(0, 50, 1_000, 2);
    policy.set_jitter(50);
    let client = Builder::from_config(config)
        .with_connection_config(|connection| {
            connection.connection_timeout = CONNECT_TIMEOUT;
            connection.internal_command_timeout = CONNECT_TIMEOUT;
            connection.max_command_attempts = 1;
            connection.tcp.nodelay = Some(true);
            connection.unresponsive = UnresponsiveConfig {
                max_timeout: Some(CONNECT_TIMEOUT),
                interval: Duration::from_millis(500),
            };
        })
        .set_policy(policy)
        .build()
        .map_err(|error| unavailable(&error))?;
    let task = client.connect().abort_handle();
    Ok(RunningClient { client, task })
}

fn server(target: &Target) -> ServerConfig {
    let hosts = target.nodes.clone();
    match &target.topology {
        Topology::Standalone => {
            let (host, port) = &target.nodes[0];
            ServerConfig::new_centralized(host, *port)
        }
        Topology::Cluster => ServerConfig::new_clustered(hosts),
        Topology::Sentinel { master } => {
            let hosts = hosts.into_iter().map(Server::from).collect();
            ServerConfig::Sentinel {
                hosts,
                service_name: master.clone(),
                username: target.sentinel.username.clone(),
                password: target.sentinel.password.clone(),
            }
        }
    }
}

/// Converts an error to a short description of why Redis is unavailable.
pub(crate) fn unavailable(error: &Error) -> DirectoryError {
    let why = match error.kind() {
        ErrorKind::Timeout => "Redis did not answer in time".to_owned(),
        _ => match error.details().strip_prefix(SCRIPT_NOPERM) {
            Some(rest) => format!("Redis: NOPERM the user{rest}"),
            None => format!("Redis: {}", error.details()),
        },
    };
    DirectoryError::Unavailable(why)
}
