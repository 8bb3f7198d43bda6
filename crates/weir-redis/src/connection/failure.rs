//! Error replies of Redis and the reaction to each. `docs/redis.md` has the same table.

use std::{fmt, time::Duration};

use redis::ServerError;

use super::{cluster::Slot, server::ServerId};

/// Retry interval of a rejected command.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// Reaction to a command that Redis rejected without executing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Retry until the deadline: the server is busy temporarily.
    Retry,
    /// Retry until the deadline, after the client has reloaded the slot map.
    Redirect,
    /// Reconnect, then retry. The server is the wrong one, or does not know this node's user. The
    /// new connection resolves names and queries Sentinels again.
    Reconnect,
    /// Fail at once: only an operator can solve the problem.
    Fail,
}

/// Reaction by error code. All other codes are [`Remedy::Fail`].
pub(crate) const REMEDIES: [(&str, Remedy); 16] = [
    ("ASK", Remedy::Redirect),
    ("BUSY", Remedy::Retry),
    ("CLUSTERDOWN", Remedy::Redirect),
    ("LOADING", Remedy::Retry),
    ("MASTERDOWN", Remedy::Reconnect),
    ("MISCONF", Remedy::Fail),
    ("MOVED", Remedy::Redirect),
    ("NOAUTH", Remedy::Reconnect),
    ("NOPERM", Remedy::Fail),
    ("NOREPLICAS", Remedy::Retry),
    ("OOM", Remedy::Fail),
    ("READONLY", Remedy::Reconnect),
    ("TRYAGAIN", Remedy::Redirect),
    ("UNBLOCKED", Remedy::Reconnect),
    ("UNKILLABLE", Remedy::Retry),
    ("WRONGPASS", Remedy::Fail),
];

/// Codes of errors that last until an operator grants a permission or changes a password.
const FOR_OPERATORS: [&str; 3] = ["NOAUTH", "NOPERM", "WRONGPASS"];

/// Returns the code of an error text. Before version 7 a script's error wraps that of the failed
/// command: `ERR Error running script …: -READONLY You can't write …`.
fn code(text: &str) -> &str {
    let first = text.split_whitespace().next().unwrap_or_default();
    let inner = || {
        let words = text.split_whitespace();
        let mut codes = words.filter_map(|word| word.strip_prefix('-'));
        codes.find(|code| REMEDIES.iter().any(|(known, _)| known == code))
    };
    match first {
        "ERR" => inner().unwrap_or(first),
        _ => first.trim_start_matches('-'),
    }
}

/// Returns the reaction to an error text.
pub(crate) fn remedy(text: &str) -> Remedy {
    let code = code(text);
    let known = REMEDIES.iter().find(|(known, _)| *known == code);
    known.map_or(Remedy::Fail, |(_, remedy)| *remedy)
}

/// Error reply.
#[derive(Debug, Clone)]
pub(crate) struct Refusal(String);

impl Refusal {
    pub(crate) fn new(error: &ServerError) -> Self {
        let (code, details) = (error.code(), error.details().unwrap_or_default());
        Self(format!("{code} {details}").trim_end().to_owned())
    }

    /// Returns the text of the reply.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Returns whether the error lasts until an operator grants a permission or changes a password.
    pub(crate) fn needs_operator(&self) -> bool {
        FOR_OPERATORS.contains(&code(&self.0))
    }

    /// Returns the slot and its owner that the reply of `asked` redirects to, if any.
    pub(crate) fn moved(&self, asked: &ServerId) -> Option<(Slot, ServerId)> {
        let rest = self.0.strip_prefix("MOVED ")?;
        let (slot, address) = rest.split_once(' ')?;
        let (host, port) = address.rsplit_once(':')?;
        let owner = asked.neighbour(host, port.parse().ok()?)?;
        Some((Slot::new(slot.parse().ok()?)?, owner))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use redis::{Value, parse_redis_value};

    use super::*;

    const DOCUMENTED: &str = include_str!("../../../../docs/redis.md");

    #[test]
    fn documented_errors_match_the_code() {
        let table = DOCUMENTED.split("## Errors").nth(1).expect("the section");
        let table = table.split("\n## ").next().expect("its end");
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
        let documented: Vec<_> = rows
            .map(|row| {
                let mut cells = row.split('|').map(|cell| cell.trim().trim_matches('`'));
                (
                    cells.next().unwrap_or_default(),
                    cells.next().unwrap_or_default(),
                )
            })
            .collect();
        let words = |remedy| match remedy {
            Remedy::Retry => "retry",
            Remedy::Redirect => "redirect",
            Remedy::Reconnect => "reconnect",
            Remedy::Fail => "fail",
        };
        let known: Vec<_> = REMEDIES
            .iter()
            .map(|(code, remedy)| (*code, words(*remedy)))
            .collect();
        assert_eq!(documented, known);
    }

    #[test]
    fn script_errors_have_the_remedy_of_the_failed_command() {
        for (text, expected) in [
            (
                "READONLY You can't write against a read only replica.",
                Remedy::Reconnect,
            ),
            (
                "ERR Error running script (call to f_5): @user_script:1: -READONLY You can't write",
                Remedy::Reconnect,
            ),
            ("BUSY Redis is busy running a script.", Remedy::Retry),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                Remedy::Fail,
            ),
            ("ERR unknown command", Remedy::Fail),
            ("MOVED 1 ::1:7000", Remedy::Redirect),
            ("", Remedy::Fail),
        ] {
            assert_eq!(remedy(text), expected, "{text}");
        }
    }

    fn refusal(answer: &str) -> Refusal {
        let line = format!("-{answer}\r\n");
        let Ok(Value::ServerError(error)) = parse_redis_value(line.as_bytes()) else {
            panic!("{answer} is an error");
        };
        let refusal = Refusal::new(&error);
        assert_eq!(refusal.to_string(), answer);
        refusal
    }

    #[test]
    fn redirections_name_the_owner_of_a_slot() {
        let slot = |number| Slot::new(number).expect("a slot");
        let asked = ServerId::at("a", 1);
        for (answer, owner) in [
            ("MOVED 3999 b:2", Some((3999, ServerId::at("b", 2)))),
            ("MOVED 7 :2", Some((7, ServerId::at("a", 2)))),
            ("MOVED 7 ::1:2", Some((7, ServerId::at("::1", 2)))),
            ("MOVED 99999 b:2", None),
            ("ASK 3999 b:2", None),
            ("CLUSTERDOWN The cluster is down", None),
        ] {
            let expected = owner.map(|(number, owner)| (slot(number), owner));
            assert_eq!(refusal(answer).moved(&asked), expected, "{answer}");
        }
    }

    #[test]
    fn missing_permissions_need_an_operator() {
        for (answer, expected) in [
            ("NOAUTH Authentication required.", true),
            ("NOPERM no channel permissions", true),
            ("WRONGPASS invalid password", true),
            ("LOADING Redis is loading", false),
            ("BUSY Redis is busy", false),
            ("MASTERDOWN Link with MASTER is down", false),
            ("ERR max number of clients reached", false),
            ("STRANGE", false),
        ] {
            assert_eq!(refusal(answer).needs_operator(), expected, "{answer}");
        }
    }
}
