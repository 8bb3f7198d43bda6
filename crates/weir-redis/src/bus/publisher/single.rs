//! Publishing connection to one server, or to the master that Sentinels name.

use std::time::Duration;

use redis::Value;
use tokio::time::{Instant, sleep_until, timeout};

use super::in_flight::InFlight;
use crate::{
    Health, Target,
    bus::outbox::{Outbox, PublishReply},
    connection::{
        failure::Refusal,
        server::ServerId,
        wire::{ConnectionError, RespConnection, hello, is_replica},
    },
};

/// Poll interval of the role. The poll also distinguishes a dead peer from an idle one.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Deadline for the replies to a batch.
const ANSWER: Duration = Duration::from_secs(2);

/// Publishes messages until a new connection is needed.
pub(super) async fn serve(
    target: &Target,
    outbox: &Outbox,
    attempt: &mut u32,
) -> Result<(), ConnectionError> {
    let (mut wire, replica) = RespConnection::open(target, &ServerId::Only).await?;
    // A replica accepts `PUBLISH` without an error, but delivers only to its own subscribers.
    if replica {
        return Err(ConnectionError::Replica);
    }
    *attempt = 0;
    outbox.set_health(Health::Works);
    let mut heartbeat = Instant::now() + HEARTBEAT;
    loop {
        tokio::select! {
            // A lost connection has priority: nothing can be published on it.
            biased;
            value = wire.next() => {
                // Only pushes come without a command.
                if !matches!(value?, Value::Push { .. }) {
                    return Err(ConnectionError::Unexpected);
                }
            }
            () = outbox.due() => {
                // Messages gather while Redis answers this batch.
                let batch = InFlight::new(outbox);
                let replies = publish(&mut wire, &batch).await?;
                if batch.answered(&replies) {
                    return Ok(());
                }
            }
            () = sleep_until(heartbeat) => {}
        }
        if Instant::now() >= heartbeat {
            check_role(&mut wire).await?;
            heartbeat = Instant::now() + HEARTBEAT;
        }
    }
}

/// Publishes a batch, and returns the reply to each message.
async fn publish(
    wire: &mut RespConnection,
    batch: &InFlight<'_>,
) -> Result<Vec<PublishReply>, ConnectionError> {
    let buffer = wire.buffer();
    for message in &batch.messages {
        message.write(buffer);
    }
    let count = batch.messages.len();
    let replies = timeout(ANSWER, async {
        let mut replies = Vec::with_capacity(count);
        while replies.len() < count {
            replies.push(match wire.next().await? {
                Value::Int(nodes) => PublishReply::Nodes(u32::try_from(nodes).unwrap_or_default()),
                Value::ServerError(error) => {
                    PublishReply::Refused(Refusal::new(&error).text().into())
                }
                Value::Push { .. } => continue,
                _ => PublishReply::Refused("an unexpected reply".into()),
            });
        }
        Ok(replies)
    });
    replies.await.unwrap_or(Err(ConnectionError::Late(ANSWER)))
}

/// Checks that the server is still no replica.
async fn check_role(wire: &mut RespConnection) -> Result<(), ConnectionError> {
    let hello = hello();
    let answer = timeout(ANSWER, wire.ask(&hello)).await;
    match answer.map_err(|_| ConnectionError::Late(ANSWER))?? {
        // A busy server keeps its role, and a proxy may not know the command.
        answer if is_replica(&answer) == Some(true) => Err(ConnectionError::Demoted),
        _ => Ok(()),
    }
}
