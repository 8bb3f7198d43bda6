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
use tracing::debug;
use weir_cluster::DirectoryError;

use super::client::{RunningClient, connect, unavailable};
use crate::{
    Target,
    connection::failure::{PAUSE, Remedy, remedy},
};

/// Deadline of a command, retries included.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(1_500);

/// Minimum interval between reconnections because of error replies.
const RECONNECTS: Duration = Duration::from_millis(500);

/// Time without any answer after which the client is replaced. Redirections of many commands at a
/// time, while slots move, may leave fred 10.1 without any progress.
const SILENCE: Duration = Duration::from_secs(3);

/// Client of the directory.
#[derive(Debug)]
pub(crate) struct Commands {
    target: Target,
    /// Held only to copy or to replace it.
    client: Mutex<RunningClient>,
    options: Options,
    /// Time of the last forced reconnection. Held only to read or to set it.
    reconnected: Mutex<Option<Instant>>,
    /// Start of the first command without an answer since the last answer. Held only to read or to
    /// set it.
    silent: Mutex<Option<Instant>>,
}

impl Commands {
    /// Creates a client that connects in the background.
    pub(crate) fn new(target: &Target) -> Result<Self, DirectoryError> {
        let options = Options {
            // A redirection to another server counts as an attempt, too. A command lost in flight
            // is still not retried, because the client fails fast.
            max_attempts: Some(5),
            timeout: Some(TIMEOUT),
            fail_fast: true,
            ..Options::default()
        };
        Ok(Self {
            target: target.clone(),
            client: Mutex::new(connect(target)?),
            options,
            reconnected: Mutex::new(None),
            silent: Mutex::new(None),
        })
    }

    fn client(&self) -> Client {
        self.client.lock().client.clone()
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
            let sent = command(self.client().with_options(&self.options));
            let error = match timeout_at(deadline, sent).await {
                Ok(Ok(answer)) => {
                    *self.silent.lock() = None;
                    return Ok(answer);
                }
                Ok(Err(error)) => error,
                Err(_) => Error::new(ErrorKind::Timeout, ""),
            };
            match error.kind() {
                ErrorKind::Timeout => self.replace_silent(deadline - TIMEOUT),
                _ => *self.silent.lock() = None,
            }
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

    /// Replaces the client if nothing was answered for too long. `started` is the start of a command
    /// without an answer.
    fn replace_silent(&self, started: Instant) {
        let mut silent = self.silent.lock();
        if silent.get_or_insert(started).elapsed() < SILENCE {
            return;
        }
        *silent = None;
        drop(silent);
        match connect(&self.target) {
            Ok(client) => {
                debug!(redis = %self.target, "replaces a client without answers");
                let _old = std::mem::replace(&mut *self.client.lock(), client);
            }
            Err(error) => debug!(%error, "a client without answers could not be replaced"),
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
        let client = self.client();
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
