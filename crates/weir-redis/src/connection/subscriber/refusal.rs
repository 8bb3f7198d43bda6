//! Error replies to a subscriber, and the remedy for each.

use std::fmt;

use redis::{ServerError, cluster_routing::Slot};

use super::slots::Server;

/// Error reply.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// Text of the reply.
    pub(crate) text: String,
    pub(crate) remedy: Remedy,
}

/// Action after which a rejected request can succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Redirect to the server that owns the slot.
    Follow(Slot, Server),
    /// Query the topology of the cluster, then ask the owner of the slot.
    Topology,
    /// Retry after a backoff.
    Retry,
    /// Wait for an operator to grant a permission or change a password.
    Operator,
}

impl Refusal {
    /// Classifies the error reply of `asked`.
    pub(crate) fn new(error: &ServerError, asked: &Server) -> Self {
        let (code, details) = (error.code(), error.details().unwrap_or_default());
        let remedy = match code {
            "MOVED" => follow(details, asked).unwrap_or(Remedy::Topology),
            "ASK" | "CLUSTERDOWN" | "TRYAGAIN" => Remedy::Topology,
            "NOAUTH" | "NOPERM" | "WRONGPASS" => Remedy::Operator,
            // LOADING, BUSY, MASTERDOWN and other temporary errors.
            _ => Remedy::Retry,
        };
        Self {
            text: format!("{code} {details}").trim_end().to_owned(),
            remedy,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Parses `SLOT HOST:PORT`. An empty host stands for that of the server that replied.
fn follow(details: &str, asked: &Server) -> Option<Remedy> {
    let (slot, address) = details.split_once(' ')?;
    let (host, port) = address.rsplit_once(':')?;
    let to = asked.neighbour(host, port.parse().ok()?)?;
    Some(Remedy::Follow(Slot::new(slot.parse().ok()?)?, to))
}

#[cfg(test)]
mod tests {
    use redis::{Value, parse_redis_value};

    use super::*;

    fn remedy(answer: &str) -> Remedy {
        let line = format!("-{answer}\r\n");
        let Ok(Value::ServerError(error)) = parse_redis_value(line.as_bytes()) else {
            panic!("{answer} is an error");
        };
        let refusal = Refusal::new(&error, &Server::at("a", 1));
        assert_eq!(refusal.to_string(), answer);
        refusal.remedy
    }

    #[test]
    fn each_error_answer_has_a_remedy() {
        let slot = |number| Slot::new(number).expect("a slot");
        let to = |host, port| Server::at(host, port);
        for (answer, expected) in [
            ("MOVED 3999 b:2", Remedy::Follow(slot(3999), to("b", 2))),
            ("MOVED 7 :2", Remedy::Follow(slot(7), to("a", 2))),
            ("MOVED 7 ::1:2", Remedy::Follow(slot(7), to("::1", 2))),
            ("MOVED 99999 b:2", Remedy::Topology),
            ("ASK 3999 b:2", Remedy::Topology),
            ("CLUSTERDOWN The cluster is down", Remedy::Topology),
            ("TRYAGAIN Multiple keys request", Remedy::Topology),
            ("LOADING Redis is loading", Remedy::Retry),
            ("BUSY Redis is busy", Remedy::Retry),
            ("MASTERDOWN Link with MASTER is down", Remedy::Retry),
            ("NOAUTH Authentication required.", Remedy::Operator),
            ("NOPERM no channel permissions", Remedy::Operator),
            ("WRONGPASS invalid password", Remedy::Operator),
            ("ERR max number of clients reached", Remedy::Retry),
            ("STRANGE", Remedy::Retry),
        ] {
            assert_eq!(remedy(answer), expected, "{answer}");
        }
    }
}
