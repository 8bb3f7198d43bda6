//! Publishing connection to a Redis Cluster.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use redis::{Pipeline, RedisError, Value, aio::ConnectionLike, cluster_async::ClusterConnection};

use super::in_flight::InFlight;
use crate::{
    Health, Target,
    bus::outbox::{Outbox, OutboxMessage, PublishReply},
    connection::{connect::open_cluster, failure::Refusal, wire::ConnectionError},
};

/// Publishes messages until a new connection is needed. The client reconnects to a lost shard
/// itself, and keeps its other connections.
pub(super) async fn serve(
    target: &Target,
    outbox: &Outbox,
    attempt: &mut u32,
) -> Result<(), ConnectionError> {
    let connection = open_cluster(target).await?;
    *attempt = 0;
    outbox.set_health(Health::Works);
    loop {
        outbox.due().await;
        // Messages gather while Redis answers this batch.
        let batch = InFlight::new(outbox);
        let replies = publish(&connection, &batch.messages).await;
        if batch.answered(&replies) {
            return Ok(());
        }
    }
}

/// Publishes messages in order per room, and returns the reply to each.
async fn publish(connection: &ClusterConnection, batch: &[OutboxMessage]) -> Vec<PublishReply> {
    // The client keeps order only within a pipeline, and a pipeline has a single shard.
    let mut rooms: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, message) in batch.iter().enumerate() {
        let tag = message.topic.name.split('}').next().unwrap_or_default();
        rooms.entry(tag).or_default().push(at);
    }
    let sending = rooms.values().map(|places| {
        let messages = places.iter().map(|at| &batch[*at]).collect();
        send(connection.clone(), messages)
    });
    let sent = join_all(sending).await;
    let mut replies = vec![PublishReply::Lost; batch.len()];
    // An unavailable shard must not block the others.
    for (places, sent) in rooms.values().zip(sent) {
        let mut sent = sent.unwrap_or_else(|error| vec![reply_of(&error); places.len()]);
        sent.resize(places.len(), PublishReply::Lost);
        for (at, reply) in places.iter().zip(sent) {
            replies[*at] = reply;
        }
    }
    replies
}

/// Converts an error of the client to a reply: the error of Redis, or a lost connection.
fn reply_of(error: &RedisError) -> PublishReply {
    match error.code() {
        Some(code) if !error.is_io_error() => {
            let detail = error.detail().unwrap_or_default();
            PublishReply::Refused(format!("{code} {detail}").trim_end().into())
        }
        _ => PublishReply::Lost,
    }
}

async fn send(
    mut connection: ClusterConnection,
    messages: Vec<&OutboxMessage>,
) -> Result<Vec<PublishReply>, RedisError> {
    let mut pipeline = Pipeline::with_capacity(messages.len());
    for message in &messages {
        let command = pipeline.cmd("SPUBLISH");
        command.arg(&*message.topic.name).arg(*message);
    }
    let replies = connection
        .req_packed_commands(&pipeline, 0, messages.len())
        .await?;
    let replies = replies.into_iter().map(|reply| match reply {
        Value::Int(nodes) => PublishReply::Nodes(u32::try_from(nodes).unwrap_or_default()),
        Value::ServerError(error) => PublishReply::Refused(Refusal::new(&error).text().into()),
        _ => PublishReply::Refused("an unexpected reply".into()),
    });
    Ok(replies.collect())
}
