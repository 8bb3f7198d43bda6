//! Error answers of Redis, and what a node does about each. `docs/redis.md` has the same table.

use std::time::Duration;

/// How long to wait before a command that was refused is sent again.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// What is done about a command that Redis has refused without having done anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// It is sent again until its deadline: the server is busy with something that passes.
    Retry,
    /// It is sent again until its deadline; the client reads anew where the slots are.
    Redirect,
    /// The connection leads to a server that is not the right one, or does not know who this node is:
    /// a new one is made, for which names are resolved and Sentinels are asked. Then it is sent again.
    Reconnect,
    /// Only an operator can do something about it, so the requester is told at once.
    Fail,
}

/// The codes that errors begin with. All others are [`Remedy::Fail`].
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

/// The code in the text of an error. Before version 7 a script's error wraps that of the command
/// that failed: `ERR Error running script …: -READONLY You can't write …`.
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

/// What is done about an error with this text.
pub(crate) fn remedy(text: &str) -> Remedy {
    let code = code(text);
    let known = REMEDIES.iter().find(|(known, _)| *known == code);
    known.map_or(Remedy::Fail, |(_, remedy)| *remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTED: &str = include_str!("../../../docs/redis.md");

    #[test]
    fn the_documented_errors_are_those_of_the_code() {
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
    fn an_error_within_a_script_is_the_commands() {
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
}
