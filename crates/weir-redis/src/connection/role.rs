//! Detection of servers whose messages the other nodes do not receive.
//!
//! A replica accepts `PUBLISH` like a primary, without an error, but delivers only to its own
//! subscribers. In a Redis Cluster the slots determine the primary.

use std::time::Duration;

use redis::{
    ErrorKind, RedisError,
    aio::{ConnectionLike, MultiplexedConnection},
    cmd,
};
use tokio::time::{MissedTickBehavior, interval};

use crate::connection::subscriber::is_replica;

/// Poll interval of the role. The poll also distinguishes a dead peer from an idle one.
const LOOK: Duration = Duration::from_secs(1);

/// Checks that a server is not a replica.
///
/// # Errors
/// If it is a replica, or does not answer.
pub(crate) async fn check(connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
    // Without a version `HELLO` changes nothing, and every user may send it, unlike `ROLE` and
    // `INFO`.
    match connection.req_packed_command(&cmd("HELLO")).await {
        Ok(answer) if is_replica(&answer) == Some(true) => {
            let replica = (ErrorKind::InvalidClientConfig, "the server is a replica");
            Err(replica.into())
        }
        // A proxy may not know the command. A busy server keeps its role.
        Err(error) if !error.is_io_error() => Ok(()),
        answer => answer.map(drop),
    }
}

/// Polls a server and returns once it no longer answers, or is a replica.
pub(crate) async fn lost(mut connection: MultiplexedConnection) -> RedisError {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if let Err(error) = check(&mut connection).await {
            return error;
        }
    }
}
