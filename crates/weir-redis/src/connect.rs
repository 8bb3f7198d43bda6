//! Connections by redis-rs, which the pub/sub of both planes uses.

use std::{io, sync::Arc, time::Duration};

use futures_util::future::select_ok;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo, ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError, TlsMode, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    sentinel::{Sentinel, SentinelNodeConnectionInfo},
};
use tokio::{
    net::{TcpStream, lookup_host},
    task::AbortHandle,
    time::timeout,
};

use crate::{Target, subscriber::OnMessage, tap::Tap, target::Topology};

/// How long a connection may take to be made, and an answer to come.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What takes what Redis pushes. It must not block.
pub(crate) type OnPush = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// A connection to a Redis of either kind. Clones share it.
#[derive(Clone)]
pub(crate) enum Connection {
    /// To one server, or the master that Sentinels named.
    One {
        connection: MultiplexedConnection,
        /// Held for when it is dropped.
        _driver: Option<Arc<Driver>>,
    },
    /// To a Redis Cluster.
    Cluster(ClusterConnection),
}

/// The task of a connection that was not made by redis-rs, which ends its own in the same way: with
/// the last clone, whatever may still be on its way.
pub(crate) struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    /// Connects; what Redis pushes goes to `on_push`.
    pub(crate) async fn open(target: &Target, on_push: OnPush) -> Result<Self, RedisError> {
        Self::open_in_time(target, on_push, None).await
    }

    /// Connects to subscribe: messages go to `on_message`, but where they cannot be taken out of
    /// what comes, which is with TLS and in a Redis Cluster, to `on_push` like all else.
    pub(crate) async fn open_tapped(
        target: &Target,
        on_push: OnPush,
        on_message: OnMessage,
    ) -> Result<Self, RedisError> {
        Self::open_in_time(target, on_push, Some(on_message)).await
    }

    async fn open_in_time(
        target: &Target,
        on_push: OnPush,
        on_message: Option<OnMessage>,
    ) -> Result<Self, RedisError> {
        let opened = timeout(2 * TIMEOUT, Self::open_now(target, on_push, on_message)).await;
        opened.unwrap_or_else(|_| {
            let late = (ErrorKind::Io, "connecting took too long");
            Err(late.into())
        })
    }

    async fn open_now(
        target: &Target,
        on_push: OnPush,
        on_message: Option<OnMessage>,
    ) -> Result<Self, RedisError> {
        let push = move |info: PushInfo| {
            on_push(info);
            Ok::<_, std::convert::Infallible>(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT))
            .set_push_sender(push.clone());
        let client = match &target.topology {
            Topology::Standalone => Client::open(info(target, &target.nodes[0], true)?)?,
            Topology::Sentinel { master } => {
                let sentinels: Result<Vec<_>, _> = target
                    .nodes
                    .iter()
                    .map(|node| info(target, node, false))
                    .collect();
                let mut node = SentinelNodeConnectionInfo::default()
                    .set_redis_connection_info(settings(target));
                if target.tls {
                    node = node.set_tls_mode(TlsMode::Secure);
                }
                let mut sentinel = Sentinel::build(sentinels?)?;
                sentinel.async_master_for(master, Some(&node)).await?
            }
            Topology::Cluster => {
                let nodes: Result<Vec<_>, _> = target
                    .nodes
                    .iter()
                    .map(|node| info(target, node, true))
                    .collect();
                let mut builder = ClusterClientBuilder::new(nodes?)
                    .use_protocol(ProtocolVersion::RESP3)
                    .connection_timeout(TIMEOUT)
                    .response_timeout(TIMEOUT)
                    .retries(2)
                    .push_sender(push);
                if let Some(password) = &target.password {
                    builder = builder.password(password);
                }
                if let Some(username) = &target.username {
                    builder = builder.username(username);
                }
                if target.tls {
                    builder = builder.tls(TlsMode::Secure);
                }
                let connection = builder.build()?.get_async_connection().await?;
                return Ok(Self::Cluster(connection));
            }
        };
        let info = client.get_connection_info();
        if let (Some(on_message), ConnectionAddr::Tcp(host, port)) = (on_message, info.addr()) {
            let opening = tapped((host, *port), info.redis_settings(), config, on_message);
            let late = |_| io::Error::from(io::ErrorKind::TimedOut);
            return timeout(TIMEOUT, opening).await.map_err(late)?;
        }
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        Ok(Self::One {
            connection,
            _driver: None,
        })
    }

    /// Sends a command and waits for its answer.
    pub(crate) async fn send(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        match self {
            Self::One { connection, .. } => connection.req_packed_command(command).await,
            Self::Cluster(connection) => connection.req_packed_command(command).await,
        }
    }

    /// Whether channels belong to shards.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

/// Connects to a server as redis-rs does, with the messages taken out of what it reads.
async fn tapped(
    address: (&str, u16),
    settings: &RedisConnectionInfo,
    config: AsyncConnectionConfig,
    on_message: OnMessage,
) -> Result<Connection, RedisError> {
    let addresses: Vec<_> = lookup_host(address).await?.collect();
    if addresses.is_empty() {
        let nowhere = (ErrorKind::InvalidClientConfig, "the host has no address");
        return Err(nowhere.into());
    }
    // All at once: one that never answers must not use up the time of the others.
    let connecting = addresses.iter().map(|to| Box::pin(TcpStream::connect(to)));
    let (stream, _) = select_ok(connecting).await?;
    stream.set_nodelay(true)?;
    let tap = Tap::new(stream, on_message);
    let (connection, driver) =
        MultiplexedConnection::new_with_config(settings, tap, config).await?;
    let driver = Driver(tokio::spawn(driver).abort_handle());
    Ok(Connection::One {
        connection,
        _driver: Some(Arc::new(driver)),
    })
}

fn settings(target: &Target) -> RedisConnectionInfo {
    let mut settings = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_db(target.database.into());
    if let Some(username) = &target.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &target.password {
        settings = settings.set_password(password);
    }
    settings
}

/// How to connect to a node of the target; Sentinels have no users of the server's.
fn info(
    target: &Target,
    (host, port): &(String, u16),
    authenticate: bool,
) -> Result<ConnectionInfo, RedisError> {
    let address = if target.tls {
        ConnectionAddr::TcpTls {
            host: host.clone(),
            port: *port,
            insecure: false,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(host.clone(), *port)
    };
    let info = address.into_connection_info()?;
    Ok(match authenticate {
        true => info.set_redis_settings(settings(target)),
        false => info,
    })
}
