//! Connection that publishes the messages of one lane: to a primary of a Redis Cluster, to the
//! only server, or to the master that Sentinels name.

use std::{pin::pin, time::Duration};

use redis::{ServerError, Value};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::in_flight::InFlight;
use crate::{
    Health, Target,
    bus::outbox::{LaneHandle, OutboxMessage, PublishReply},
    connection::{
        failure::{Refusal, Remedy, remedy},
        server::ServerId,
        subscriber::ClusterTopology,
        wire::{ConnectionError, RespConnection, hello, is_replica},
    },
};

/// Poll interval of the role. The poll also distinguishes a dead peer from an idle one.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Deadline for the replies to a batch.
const ANSWER: Duration = Duration::from_secs(2);

/// Interval at which messages past their deadline are dropped while the server does not answer, so
/// that a frozen server does not use up the capacity of the others.
const STALL: Duration = Duration::from_millis(500);

/// Reason why a connection is no longer served, other than its failure.
#[derive(Debug)]
pub(super) enum ServeEnd {
    /// The server owns no slot any more.
    NotNeeded,
    /// The server rejected messages in a way that a new connection may solve.
    Reconnect,
}

/// Publishes the messages of a lane until it is not needed, or until a new connection is.
pub(super) async fn serve(
    target: &Target,
    lane: &LaneHandle,
    topology: &ClusterTopology,
    attempt: &mut u32,
) -> Result<ServeEnd, ConnectionError> {
    let mut connection = PublishingConnection::open(target, lane, topology).await?;
    *attempt = 0;
    lane.set_health(&Health::Works);
    let mut heartbeat = Instant::now() + HEARTBEAT;
    loop {
        tokio::select! {
            // A lost connection has priority: nothing can be published on it.
            biased;
            value = connection.wire.next() => {
                // Only pushes come without a command.
                if !matches!(value?, Value::Push { .. }) {
                    return Err(ConnectionError::Unexpected);
                }
            }
            needed = lane.due() => {
                if !needed {
                    return Ok(ServeEnd::NotNeeded);
                }
                // Messages gather while Redis answers this batch.
                let batch = InFlight::new(lane);
                let replies = connection.publish(&batch.messages).await?;
                if batch.answered(&replies) {
                    return Ok(ServeEnd::Reconnect);
                }
            }
            () = sleep_until(heartbeat) => {}
        }
        if Instant::now() >= heartbeat {
            connection.check_role().await?;
            heartbeat = Instant::now() + HEARTBEAT;
        }
    }
}

/// Open connection of a lane.
struct PublishingConnection<'a> {
    wire: RespConnection,
    lane: &'a LaneHandle,
    topology: &'a ClusterTopology,
}

impl<'a> PublishingConnection<'a> {
    async fn open(
        target: &Target,
        lane: &'a LaneHandle,
        topology: &'a ClusterTopology,
    ) -> Result<Self, ConnectionError> {
        let mut opening = pin!(RespConnection::open(target, lane.server()));
        let (wire, replica) = loop {
            match timeout(STALL, opening.as_mut()).await {
                Ok(opened) => break opened?,
                Err(_) => lane.expire(),
            }
        };
        let connection = Self {
            wire,
            lane,
            topology,
        };
        connection.process_role(replica, ConnectionError::Replica)?;
        Ok(connection)
    }

    /// Publishes a batch, and returns the reply to each message.
    async fn publish(
        &mut self,
        batch: &[OutboxMessage],
    ) -> Result<Vec<PublishReply>, ConnectionError> {
        let buffer = self.wire.buffer();
        for message in batch {
            message.write(buffer);
        }
        let start = Instant::now();
        let mut check = start + STALL;
        let mut replies = Vec::with_capacity(batch.len());
        loop {
            // `next` is cancel-safe, and `replies` keeps what was read.
            match timeout_at(check, self.read(batch, &mut replies)).await {
                Ok(read) => return read.map(|()| replies),
                Err(_) if check >= start + ANSWER => return Err(ConnectionError::Late(ANSWER)),
                Err(_) => self.lane.expire(),
            }
            check += STALL;
        }
    }

    /// Reads the outstanding replies to a batch.
    async fn read(
        &mut self,
        batch: &[OutboxMessage],
        replies: &mut Vec<PublishReply>,
    ) -> Result<(), ConnectionError> {
        while let Some(message) = batch.get(replies.len()) {
            let reply = match self.wire.next().await? {
                Value::Int(nodes) => PublishReply::Nodes(u32::try_from(nodes).unwrap_or_default()),
                Value::ServerError(error) => self.refused(message, &error),
                Value::Push { .. } => continue,
                _ => PublishReply::Refused("an unexpected reply".into()),
            };
            replies.push(reply);
        }
        Ok(())
    }

    /// Converts an error reply to a message, and reports what it says of the topology.
    fn refused(&self, message: &OutboxMessage, error: &ServerError) -> PublishReply {
        let server = self.lane.server();
        let refusal = Refusal::new(error);
        let text = refusal.text().into();
        // Outside of a Redis Cluster there is no other server.
        if matches!(server, ServerId::At(..)) {
            if let Some((_, to)) = refusal.moved(server) {
                self.topology.moved(message.topic.slot, to.clone(), server);
                return PublishReply::Moved(to, text);
            }
            if remedy(refusal.text()) == Remedy::Redirect {
                self.topology.ask(Some(server.clone()));
            }
        }
        PublishReply::Refused(text)
    }

    /// Checks that the server is still no replica.
    async fn check_role(&mut self) -> Result<(), ConnectionError> {
        let hello = hello();
        let deadline = Instant::now() + ANSWER;
        let answer = timeout_at(deadline, self.wire.ask(&hello)).await;
        let answer = answer.map_err(|_| ConnectionError::Late(ANSWER))??;
        // A busy server keeps its role, and a proxy may not know the command.
        self.process_role(is_replica(&answer) == Some(true), ConnectionError::Demoted)
    }

    /// Processes the role of the server. Outside of a Redis Cluster, a replica accepts `PUBLISH`
    /// without an error, but delivers only to its own subscribers. Inside, it redirects.
    fn process_role(&self, replica: bool, error: ConnectionError) -> Result<(), ConnectionError> {
        match self.lane.server() {
            ServerId::Only if replica => Err(error),
            server @ ServerId::At(..) if replica => {
                self.topology.ask(Some(server.clone()));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
