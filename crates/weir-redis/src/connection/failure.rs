//! Error replies of Redis and the reaction to each. `docs/redis.md` has the same table.

use std::time::Duration;

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

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTED: &str = include_str!("../../../../docs/redis.md");

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
