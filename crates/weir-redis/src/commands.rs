//! Commands to the directory's Redis, and what is done when it refuses one.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use fred::{
    clients::{Client, WithOptions},
    error::{Error, ErrorKind},
    interfaces::ClientLike,
    types::config::Options,
};
use tokio::time::{Instant, sleep, timeout_at};
use weir_cluster::DirectoryError;

use crate::failure::{PAUSE, Remedy, remedy};

/// How long Redis may take to answer.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(1_500);

/// How often a new connection is made because of an error answer, at the most.
const RECONNECTS: Duration = Duration::from_millis(500);

/// The client of the directory.
#[derive(Debug)]
pub(crate) struct Commands {
    client: Client,
    options: Options,
    /// When the last new connection was asked for. Locked to look or to change.
    reconnected: Mutex<Option<Instant>>,
}

impl Commands {
    pub(crate) fn new(client: Client) -> Self {
        let options = Options {
            // Following a slot to another server takes one, too. What is lost on the way is not sent
            // again all the same, since it fails fast.
            max_attempts: Some(5),
            timeout: Some(TIMEOUT),
            fail_fast: true,
            ..Options::default()
        };
        Self {
            client,
            options,
            reconnected: Mutex::new(None),
        }
    }

    /// Sends a command and waits for its answer, but not for ever: while there is no connection, the
    /// client keeps a command until there is one. One that Redis has refused without having done
    /// anything is sent again, if that can help. One that was not answered is not: it may have been
    /// done.
    pub(crate) async fn send<T, F>(
        &self,
        command: impl Fn(WithOptions<Client>) -> F,
    ) -> Result<T, DirectoryError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let deadline = Instant::now() + TIMEOUT;
        let mut refused = None;
        loop {
            let sent = command(self.client.with_options(&self.options));
            let error = match timeout_at(deadline, sent).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(_) => Error::new(ErrorKind::Timeout, ""),
            };
            match refusal(&error) {
                // What Redis said first explains more than that it is silent, or gone, since.
                Remedy::Fail => return Err(unavailable(&refused.unwrap_or(error))),
                Remedy::Retry | Remedy::Redirect => {}
                Remedy::Reconnect => self.reconnect(deadline).await,
            }
            if Instant::now() + PAUSE >= deadline {
                return Err(unavailable(&error));
            }
            refused = Some(error);
            // Nothing tells when Redis takes it.
            #[allow(clippy::disallowed_methods)]
            sleep(PAUSE).await;
        }
    }

    /// Makes a new connection, as if the old one were lost: the name is resolved and Sentinels are asked
    /// again.
    async fn reconnect(&self, deadline: Instant) {
        {
            let reconnected = self.reconnected.lock();
            let mut reconnected = reconnected.unwrap_or_else(PoisonError::into_inner);
            if reconnected.is_some_and(|last| last.elapsed() < RECONNECTS) {
                return;
            }
            *reconnected = Some(Instant::now());
        }
        let client = self.client.clone();
        // It goes on if nobody waits for it any more.
        let reconnecting = tokio::spawn(async move { client.force_reconnection().await });
        let _ = timeout_at(deadline, reconnecting).await;
    }
}

/// What is done about an error. The client gives up after a few redirections, which happens while the
/// servers of a cluster do not agree yet on who owns a slot; and it never asks again about a slot that had
/// no owner.
fn refusal(error: &Error) -> Remedy {
    match error.details() {
        "Too many failed write attempts." | "Too many redirections." => Remedy::Redirect,
        text if text.starts_with("Missing server for hash slot") => Remedy::Reconnect,
        text => remedy(text),
    }
}

/// What keeps Redis from answering, in a few words.
pub(crate) fn unavailable(error: &Error) -> DirectoryError {
    let why = match error.kind() {
        ErrorKind::Timeout => "Redis did not answer in time".to_owned(),
        _ => format!("Redis: {}", error.details()),
    };
    DirectoryError::Unavailable(why)
}
