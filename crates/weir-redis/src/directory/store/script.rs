//! The Lua scripts.

use std::sync::LazyLock;

use fred::{
    clients::{Client, WithOptions},
    interfaces::LuaInterface,
    types::{Value, scripts::Script as Hashed},
};
use weir_cluster::DirectoryError;

use super::commands::Commands;

macro_rules! scripts {
    ($($name:ident = $($file:literal)+;)+) => {
        $(pub(crate) static $name: Script = Script(LazyLock::new(|| {
            Hashed::from_lua(concat!($(include_str!(concat!("../scripts/", $file, ".lua"))),+))
        }));)+
    };
}

/// A script.
pub(crate) struct Script(LazyLock<Hashed>);

scripts! {
    CREATE = "prelude" "room/create";
    JOIN = "prelude" "member/join";
    LEAVE = "prelude" "member/leave";
    UPDATE = "prelude" "member/update";
    PUBLISH = "prelude" "track/publish";
    UPDATE_TRACK = "prelude" "track/update";
    UNPUBLISH = "prelude" "track/unpublish";
    SNAPSHOT = "prelude" "room/snapshot";
    RESTORE = "prelude" "room/restore";
    RECLAIM = "prelude" "member/reclaim";
    RAISE = "prelude" "room/raise";
    TOUCH = "prelude" "room/touch";
    HEARTBEAT = "node/heartbeat";
    CLAIM = "node/claim";
    VOUCH = "node/vouch";
    SETTLE = "node/settle";
    RESIGN = "node/resign";
    PROBE = "node/probe";
}

impl Script {
    /// Calls the script by its hash. Sends the text if Redis does not have it.
    pub(crate) async fn call(
        &self,
        commands: &Commands,
        keys: Vec<String>,
        arguments: Vec<Value>,
    ) -> Result<Value, DirectoryError> {
        let (keys, arguments) = (&keys, &arguments);
        let call = |client: WithOptions<Client>| async move {
            let called = client
                .evalsha(self.0.sha1().clone(), keys.clone(), arguments.clone())
                .await;
            match called {
                Err(error) if error.details().starts_with("NOSCRIPT") => {
                    let text = self.0.lua().cloned().unwrap_or_default();
                    client.eval(text, keys.clone(), arguments.clone()).await
                }
                called => called,
            }
        };
        commands.send(call).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const DOCUMENTED: &str = include_str!("../../../../../docs/redis.md");

    #[test]
    fn documented_answers_are_those_of_the_scripts() {
        let section = DOCUMENTED.split("## Nodes and seats").nth(1);
        let section = section.and_then(|rest| rest.split("\n## ").next());
        let rows = section.expect("the section").lines();
        let documented = rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next());
        let scripts = [
            &CREATE,
            &JOIN,
            &LEAVE,
            &UPDATE,
            &PUBLISH,
            &UPDATE_TRACK,
            &UNPUBLISH,
            &SNAPSHOT,
            &RESTORE,
            &RECLAIM,
            &RAISE,
            &TOUCH,
        ];
        let mut answers = BTreeSet::new();
        for script in scripts {
            let text = script.0.lua().expect("it has a text").to_string();
            let tables = text.split("{'").skip(1);
            answers.extend(tables.filter_map(|rest| Some(rest.split('\'').next()?.to_owned())));
        }
        let documented: BTreeSet<_> = documented.map(str::to_owned).collect();
        assert_eq!(documented, answers);
    }
}
