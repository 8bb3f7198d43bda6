//! Connection that publishes the messages of the outbox.

use std::{collections::BTreeMap, future::pending, sync::Arc};

use futures_util::future::join_all;
use redis::{Pipeline, PushInfo, PushKind, RedisError, Value, aio::ConnectionLike};
use tokio::sync::Notify;
use tracing::warn;

use crate::{
    Health, Target,
    bus::outbox::{Answer, Message, Outbox},
    connection::connect::Connection,
    connection::role,
    connection::subscriber::{backoff, tell},
    target::Topology,
};

/// Publishes the messages of the outbox, and reconnects after a lost connection.
pub(crate) async fn run(target: Target, outbox: Arc<Outbox>) {
    let mut attempt = 0;
    loop {
        let mut cause = "the connection was lost".to_owned();
        if let Err(error) = serve(&target, &outbox, &mut attempt).await {
            tell(attempt, "cannot publish", &target, &error);
            cause = error.to_string();
        }
        if outbox.set_health(Health::fails(&cause)) {
            warn!(redis = %target, "nothing can be published; connecting again");
        }
        outbox.expire();
        backoff(&mut attempt).await;
    }
}

async fn serve(target: &Target, outbox: &Outbox, attempt: &mut u32) -> Result<(), RedisError> {
    let lost = Arc::new(Notify::new());
    let alone = !matches!(target.topology, Topology::Cluster);
    let on_push = {
        let lost = Arc::clone(&lost);
        // The cluster client reconnects to a lost shard itself, and keeps its other connections.
        move |info: PushInfo| {
            if info.kind == PushKind::Disconnection && alone {
                lost.notify_one();
            }
        }
    };
    let connection = Connection::open(target, Arc::new(on_push)).await?;
    let mut server = match &connection {
        Connection::One { connection } => Some(connection.clone()),
        Connection::Cluster(_) => None,
    };
    if let Some(server) = &mut server {
        role::check(server).await?;
    }
    let role = async {
        match server {
            Some(server) => role::lost(server).await,
            None => pending().await,
        }
    };
    *attempt = 0;
    outbox.set_health(Health::Works);
    tokio::select! {
        // A lost connection has priority: nothing can be published on it.
        biased;
        () = lost.notified() => Ok(()),
        error = role => Err(error),
        served = publish_all(&connection, outbox) => served,
    }
}

/// Publishes messages until a new connection is needed.
async fn publish_all(connection: &Connection, outbox: &Outbox) -> Result<(), RedisError> {
    loop {
        outbox.due().await;
        // Messages gather while Redis answers the batch before.
        let batch = InFlight::new(outbox);
        if batch.messages.is_empty() {
            continue;
        }
        match publish(connection, &batch.messages).await {
            Ok(answers) => {
                if batch.answered(&answers) {
                    return Ok(());
                }
            }
            // Dropping the batch returns the messages in flight to the outbox.
            Err(error) => return Err(error),
        }
    }
}

/// Messages in flight to Redis; without an answer they count as lost.
struct InFlight<'a> {
    outbox: &'a Outbox,
    messages: Vec<Message>,
}

impl<'a> InFlight<'a> {
    fn new(outbox: &'a Outbox) -> Self {
        let messages = outbox.batch();
        Self { outbox, messages }
    }

    fn answered(mut self, answers: &[Answer]) -> bool {
        let messages = std::mem::take(&mut self.messages);
        self.outbox.answered(messages, answers)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let messages = std::mem::take(&mut self.messages);
        if !messages.is_empty() {
            let answers = vec![Answer::Lost; messages.len()];
            self.outbox.answered(messages, &answers);
        }
    }
}

/// Publishes messages in order per room, and returns the answer to each.
async fn publish(connection: &Connection, batch: &[Message]) -> Result<Vec<Answer>, RedisError> {
    match connection {
        Connection::One { connection } => {
            send(connection.clone(), "PUBLISH", batch.iter().collect()).await
        }
        Connection::Cluster(connection) => {
            // The client keeps order only within a pipeline, and a pipeline has a single shard.
            let mut rooms: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            for (at, message) in batch.iter().enumerate() {
                let tag = message.channel.split('}').next().unwrap_or_default();
                rooms.entry(tag).or_default().push(at);
            }
            let sending = rooms.values().map(|places| {
                let messages = places.iter().map(|at| &batch[*at]).collect();
                send(connection.clone(), "SPUBLISH", messages)
            });
            let sent = join_all(sending).await;
            let mut answers = vec![Answer::Lost; batch.len()];
            // An unavailable shard must not block the others.
            for (places, sent) in rooms.values().zip(sent) {
                let mut sent = sent.unwrap_or_else(|error| vec![refusal(&error); places.len()]);
                sent.resize(places.len(), Answer::Lost);
                for (at, answer) in places.iter().zip(sent) {
                    answers[*at] = answer;
                }
            }
            Ok(answers)
        }
    }
}

/// Converts an error of the cluster client to an answer: the error of Redis, or a lost connection.
fn refusal(error: &RedisError) -> Answer {
    match error.code() {
        Some(code) if !error.is_io_error() => {
            let detail = error.detail().unwrap_or_default();
            Answer::Refused(format!("{code} {detail}").trim_end().into())
        }
        _ => Answer::Lost,
    }
}

async fn send(
    mut connection: impl ConnectionLike,
    name: &str,
    messages: Vec<&Message>,
) -> Result<Vec<Answer>, RedisError> {
    let mut pipeline = Pipeline::with_capacity(messages.len());
    for Message {
        channel, payload, ..
    } in &messages
    {
        pipeline.cmd(name).arg(channel).arg(&payload[..]);
    }
    let answers = connection
        .req_packed_commands(&pipeline, 0, messages.len())
        .await?;
    let answers = answers.into_iter().map(|answer| match answer {
        Value::Int(nodes) => Answer::Nodes(usize::try_from(nodes).unwrap_or_default()),
        Value::ServerError(error) => {
            let (code, details) = (error.code(), error.details().unwrap_or_default());
            Answer::Refused(format!("{code} {details}").trim_end().into())
        }
        _ => Answer::Refused("a strange answer".into()),
    });
    Ok(answers.collect())
}
