//! Connections by redis-rs, to Sentinels.

use redis::{
    Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo, RedisError, TlsMode,
    sentinel::{Sentinel, SentinelNodeConnectionInfo},
};

use crate::{Target, target::Credentials};

/// Queries the Sentinels for the named master, and returns a client of it.
async fn master_client(target: &Target, master: &str) -> Result<Client, RedisError> {
    let sentinels: Result<Vec<_>, _> = target
        .nodes
        .iter()
        .map(|node| info(target, node, sentinel_settings(target)))
        .collect();
    let mut node =
        SentinelNodeConnectionInfo::default().set_redis_connection_info(settings(target));
    if target.tls {
        node = node.set_tls_mode(TlsMode::Secure);
    }
    let mut sentinel = Sentinel::build(sentinels?)?;
    sentinel.async_master_for(master, Some(&node)).await
}

/// Queries the Sentinels for the host and port of the named master.
pub(crate) async fn sentinel_master(
    target: &Target,
    master: &str,
) -> Result<(String, u16), RedisError> {
    let client = master_client(target, master).await?;
    match client.get_connection_info().addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            Ok((host.clone(), *port))
        }
        _ => {
            let strange = (
                ErrorKind::InvalidClientConfig,
                "the master is not reached by TCP",
            );
            Err(strange.into())
        }
    }
}

/// Returns the connection settings of a server of any kind.
fn settings(target: &Target) -> RedisConnectionInfo {
    let settings = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_db(target.database.into());
    authenticated(settings, &target.username, &target.password)
}

/// Returns the connection settings of a Sentinel, which has no databases and its own users.
fn sentinel_settings(target: &Target) -> RedisConnectionInfo {
    let Credentials { username, password } = &target.sentinel;
    authenticated(RedisConnectionInfo::default(), username, password)
}

fn authenticated(
    mut settings: RedisConnectionInfo,
    username: &Option<String>,
    password: &Option<String>,
) -> RedisConnectionInfo {
    if let Some(username) = username {
        settings = settings.set_username(username);
    }
    if let Some(password) = password {
        settings = settings.set_password(password);
    }
    settings
}

/// Returns the connection information of a node of the target, either a server or a Sentinel.
fn info(
    target: &Target,
    (host, port): &(String, u16),
    settings: RedisConnectionInfo,
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
    Ok(info.set_redis_settings(settings))
}
