//! Commands to the directory's Redis, and the reaction to errors.

use std::time::Duration;

use fred::{
    clients::{Client, WithOptions},
    error::{Error, ErrorKind},
    interfaces::ClientLike,
    types::config::Options,
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout_at};
use weir_cluster::DirectoryError;

use crate::connection::failure::{PAUSE, Remedy, remedy};

/// Deadline of a command, retries included.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(1_500);

/// Minimum interval between reconnections because of error replies.
const RECONNECTS: Duration = Duration::from_millis(500);

/// Client of the directory.
#[derive(Debug)]
pub(crate) struct Commands {
    client: Client,
    options: Options,
    /// Time of the last forced reconnection. Held only to read or to set it.
    reconnected: Mutex<Option<Instant>>,
}

impl Commands {
    pub(crate) fn new(client: Client) -> Self {
        let options = Options {
            // A redirection to another server counts as an attempt, too. A command lost in flight
            // is still not retried, because the client fails fast.
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

    /// Sends a command and waits for its answer until a deadline: without a connection, the client
    /// keeps a command until there is one. A command that Redis rejected without executing it is
    /// retried, if that can help. A command without an answer is not retried: it may have been
    /// executed.
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
                // An earlier error of Redis explains more than a later timeout or disconnection.
                Remedy::Fail => return Err(unavailable(&refused.unwrap_or(error))),
                Remedy::Retry | Remedy::Redirect => {}
                Remedy::Reconnect => self.reconnect(deadline).await,
            }
            if Instant::now() + PAUSE >= deadline {
                return Err(unavailable(&error));
            }
            refused = Some(error);
            // No event signals that Redis accepts the command.
            #[allow(clippy::disallowed_methods)]
            sleep(PAUSE).await;
        }
    }

    /// Forces a new connection, which resolves the name and queries Sentinels again.
    async fn reconnect(&self, deadline: Instant) {
        {
            let mut reconnected = self.reconnected.lock();
            if reconnected.is_some_and(|last| last.elapsed() < RECONNECTS) {
                return;
            }
            *reconnected = Some(Instant::now());
        }
        let client = self.client.clone();
        // The reconnection continues if its caller stops waiting.
        let reconnecting = tokio::spawn(async move { client.force_reconnection().await });
        let _ = timeout_at(deadline, reconnecting).await;
    }
}

/// Returns the reaction to an error. The client gives up after a few redirections, which happens
/// while the cluster's servers disagree on a slot's owner. The client never reloads the owner of a
/// slot that had none.
fn refusal(error: &Error) -> Remedy {
    match error.details() {
        "Too many failed write attempts." | "Too many redirections." => Remedy::Redirect,
        text if text.starts_with("Missing server for hash slot") => Remedy::Reconnect,
        text => remedy(text),
    }
}

/// Converts an error to a short description of why Redis is unavailable.
pub(crate) fn unavailable(error: &Error) -> DirectoryError {
    let why = match error.kind() {
        ErrorKind::Timeout => "Redis did not answer in time".to_owned(),
        _ => format!("Redis: {}", error.details()),
    };
    DirectoryError::Unavailable(why)
}
