//! Slot owners of a Redis Cluster.

use std::collections::HashMap;

use redis::{Value, cluster_routing::Slot};

use crate::connection::server::ServerId;

/// Maximum number of names tried when searching one in a slot of each server.
const NAMES: u32 = 1 << 16;

/// Owner of each slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SlotMap(HashMap<Slot, ServerId>);

impl SlotMap {
    /// Parses the reply of `asked` to `CLUSTER SLOTS`; `None` if the reply contains no slots.
    pub(crate) fn read(answer: &Value, asked: &ServerId) -> Option<Self> {
        let mut slots = HashMap::new();
        for range in array(answer)? {
            let [first, last, primary, ..] = array(range)? else {
                return None;
            };
            let [host, port, ..] = array(primary)? else {
                return None;
            };
            let host = match host {
                Value::BulkString(host) => std::str::from_utf8(host).ok()?,
                Value::Nil => "",
                _ => return None,
            };
            let Some(owner) = asked.neighbour(host, number(port)?) else {
                continue;
            };
            for slot in number(first)?..=number(last)? {
                slots.insert(Slot::new(slot)?, owner.clone());
            }
        }
        (!slots.is_empty()).then_some(Self(slots))
    }

    pub(crate) fn owner(&self, channel: &str) -> Option<&ServerId> {
        self.0.get(&Slot::for_key(channel))
    }

    /// Records that another server owns a slot.
    pub(crate) fn moved(&mut self, slot: Slot, to: ServerId) {
        self.0.insert(slot, to);
    }

    /// Returns all owners.
    pub(crate) fn owners(&self) -> Vec<ServerId> {
        let mut owners: Vec<_> = self.0.values().cloned().collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    /// Returns for each server the name with the lowest number that falls into one of its slots.
    pub(crate) fn names(&self, name: impl Fn(u32) -> String) -> HashMap<ServerId, String> {
        let servers = self.owners().len();
        let mut names = HashMap::new();
        for number in 0..NAMES {
            let name = name(number);
            if let Some(owner) = self.owner(&name)
                && !names.contains_key(owner)
            {
                names.insert(owner.clone(), name);
                if names.len() == servers {
                    break;
                }
            }
        }
        names
    }
}

fn array(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u16> {
    match value {
        Value::Int(number) => (*number).try_into().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str, port: i64) -> Value {
        let host = Value::BulkString(host.as_bytes().to_vec());
        let id = Value::BulkString(b"id".to_vec());
        Value::Array(vec![host, Value::Int(port), id, Value::Array(vec![])])
    }

    fn range(first: i64, last: i64, servers: Vec<Value>) -> Value {
        let mut range = vec![Value::Int(first), Value::Int(last)];
        range.extend(servers);
        Value::Array(range)
    }

    #[test]
    fn slots_belong_to_the_first_server_of_their_range() {
        let asked = ServerId::at("a", 1);
        let answer = Value::Array(vec![
            range(0, 8_191, vec![server("a", 1), server("c", 3)]),
            range(8_192, 16_382, vec![server("", 2), server("d", 4)]),
            range(16_383, 16_383, vec![server("?", 5)]),
        ]);
        let slots = SlotMap::read(&answer, &asked).expect("slots");
        assert_eq!(slots.owners(), [asked.clone(), ServerId::at("a", 2)]);
        // Slot 12182, as the specification states.
        assert_eq!(slots.owner("foo"), Some(&ServerId::at("a", 2)));
        assert_eq!(slots.owner("x:{foo}:y"), Some(&ServerId::at("a", 2)));
        let names = slots.names(|n| format!("{{{n}}}"));
        assert_eq!(names.len(), 2);
        for (server, name) in &names {
            assert_eq!(slots.owner(name), Some(server));
        }
    }

    #[test]
    fn replies_of_another_form_are_no_topology() {
        let asked = ServerId::at("a", 1);
        for answer in [
            Value::Array(vec![]),
            Value::Nil,
            Value::Array(vec![range(0, 99_999, vec![server("a", 1)])]),
            Value::Array(vec![range(0, 1, vec![])]),
        ] {
            assert_eq!(SlotMap::read(&answer, &asked), None);
        }
    }
}
