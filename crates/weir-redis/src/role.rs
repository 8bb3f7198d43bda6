//! Whether a server is the one that the others hear.
//!
//! A replica takes `PUBLISH` like a primary, without an error, and tells only those who are
//! subscribed at itself. In a Redis Cluster the slots say who is primary.

use std::time::Duration;

use redis::{
    ErrorKind, RedisError,
    aio::{ConnectionLike, MultiplexedConnection},
    cmd,
};
use tokio::time::{MissedTickBehavior, interval};

use crate::subscriber::is_replica;

/// How often it is asked: a peer that is gone may look like one that is silent, too.
const LOOK: Duration = Duration::from_secs(1);

/// Asks a server for its role.
///
/// # Errors
/// If it is a replica, or does not answer.
pub(crate) async fn check(connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
    // Without a version it changes nothing, and every user may send it, unlike `ROLE` and `INFO`.
    match connection.req_packed_command(&cmd("HELLO")).await {
        Ok(answer) if is_replica(&answer) == Some(true) => {
            let replica = (ErrorKind::InvalidClientConfig, "the server is a replica");
            Err(replica.into())
        }
        // A proxy need not know the command; a server that is busy has its role all the same.
        Err(error) if !error.is_io_error() => Ok(()),
        answer => answer.map(drop),
    }
}

/// Answers once a server does not answer any more, or is a replica.
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
