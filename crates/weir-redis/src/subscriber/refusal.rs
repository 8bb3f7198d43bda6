//! Error answers of Redis to what a subscriber asks, and what each of them asks for.

use std::fmt;

use redis::{ServerError, cluster_routing::Slot};

use super::slots::Server;

/// An error answer.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// The answer as Redis gave it.
    pub(crate) text: String,
    pub(crate) remedy: Remedy,
}

/// What makes a refused request succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Ask the server that owns the slot.
    Follow(Slot, Server),
    /// Ask for the topology of the cluster, and then whoever owns the slot.
    Topology,
    /// Try again after a backoff.
    Retry,
    /// Somebody must grant a permission or change a password.
    Operator,
}

impl Refusal {
    /// Classifies the error answer of `asked`.
    pub(crate) fn new(error: &ServerError, asked: &Server) -> Self {
        let (code, details) = (error.code(), error.details().unwrap_or_default());
        let remedy = match code {
            "MOVED" => follow(details, asked).unwrap_or(Remedy::Topology),
            "ASK" | "CLUSTERDOWN" | "TRYAGAIN" => Remedy::Topology,
            "NOAUTH" | "NOPERM" | "WRONGPASS" => Remedy::Operator,
            // LOADING, BUSY, MASTERDOWN and whatever else passes.
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

/// Reads `SLOT HOST:PORT`; an empty host is that of the server which was asked.
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
