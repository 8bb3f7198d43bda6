//! The scripts, and how they are called.

use std::{sync::LazyLock, time::Duration};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientLike, LuaInterface},
    types::{Value, config::Options, scripts::Script as Hashed},
};
use weir_cluster::DirectoryError;

/// How long Redis may take to answer.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(1_500);

macro_rules! scripts {
    ($($name:ident = $($file:literal)+;)+) => {
        $(pub(crate) static $name: Script = Script(LazyLock::new(|| {
            Hashed::from_lua(concat!($(include_str!(concat!("scripts/", $file, ".lua"))),+))
        }));)+
    };
}

/// A script, called by its hash.
pub(crate) struct Script(LazyLock<Hashed>);

scripts! {
    CREATE = "prelude" "create";
    JOIN = "prelude" "join";
    LEAVE = "prelude" "leave";
    UPDATE = "prelude" "update";
    PUBLISH = "prelude" "publish";
    UPDATE_TRACK = "prelude" "update_track";
    UNPUBLISH = "prelude" "unpublish";
    SNAPSHOT = "prelude" "snapshot";
    RESTORE = "prelude" "restore";
    RECLAIM = "prelude" "reclaim";
    RAISE = "prelude" "raise";
    TOUCH = "prelude" "touch";
    HEARTBEAT = "heartbeat";
    CLAIM = "claim";
    PROBE = "probe";
}

impl Script {
    /// Calls the script; its text is sent only where Redis does not know it yet.
    pub(crate) async fn call(
        &self,
        client: &Client,
        options: &Options,
        keys: Vec<String>,
        arguments: Vec<Value>,
    ) -> Result<Value, DirectoryError> {
        let client = client.with_options(options);
        answered(async move {
            let called = client
                .evalsha(self.0.sha1().clone(), keys.clone(), arguments.clone())
                .await;
            match called {
                Err(error) if error.details().starts_with("NOSCRIPT") => {
                    let text = self.0.lua().cloned().unwrap_or_default();
                    client.eval(text, keys, arguments).await
                }
                called => called,
            }
        })
        .await
    }
}

/// Waits for an answer of Redis, but not for ever: while there is no connection, the client keeps
/// a command until there is one.
pub(crate) async fn answered<T>(
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, DirectoryError> {
    match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(unavailable),
        Err(_) => Err(DirectoryError::Unavailable(
            "Redis did not answer in time".to_owned(),
        )),
    }
}

/// What keeps Redis from answering, in a few words.
#[allow(clippy::needless_pass_by_value, reason = "what `map_err` wants")]
pub(crate) fn unavailable(error: Error) -> DirectoryError {
    let why = match error.kind() {
        ErrorKind::Timeout => "Redis did not answer in time".to_owned(),
        _ => format!("Redis: {}", error.details()),
    };
    DirectoryError::Unavailable(why)
}
