//! Slot owners of a Redis Cluster.

use std::collections::HashMap;

use redis::Value;

use super::slot::Slot;
use crate::connection::server::ServerId;

/// Maximum number of names tried when searching one in a slot of each server.
const NAMES: u32 = 1 << 16;

/// Owner of each slot.
#[derive(Debug, Clone)]
pub(crate) struct SlotMap {
    servers: Vec<ServerId>,
    /// By slot, 1 more than the owner's place among the servers; 0 without an owner.
    owners: Box<[u16]>,
}

impl Default for SlotMap {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            owners: vec![0; usize::from(Slot::COUNT)].into(),
        }
    }
}

impl PartialEq for SlotMap {
    fn eq(&self, other: &Self) -> bool {
        Slot::all().all(|slot| self.owner(slot) == other.owner(slot))
    }
}

impl Eq for SlotMap {}

impl SlotMap {
    /// Parses the reply of `asked` to `CLUSTER SLOTS`; `None` if the reply contains no slots.
    pub(crate) fn read(answer: &Value, asked: &ServerId) -> Option<Self> {
        let mut slots = Self::default();
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
            let place = slots.place(owner)?;
            for slot in number(first)?..=number(last)? {
                slots.owners[Slot::new(slot)?.index()] = place;
            }
        }
        slots.owners.iter().any(|place| *place > 0).then_some(slots)
    }

    /// Returns the entry of `owners` that names this server.
    fn place(&mut self, server: ServerId) -> Option<u16> {
        let known = self.servers.iter().position(|known| *known == server);
        let at = known.unwrap_or_else(|| {
            self.servers.push(server);
            self.servers.len() - 1
        });
        u16::try_from(at + 1).ok()
    }

    /// Returns the owner of a slot, if there is one.
    pub(crate) fn owner(&self, slot: Slot) -> Option<&ServerId> {
        let place = usize::from(self.owners[slot.index()]);
        self.servers.get(place.checked_sub(1)?)
    }

    /// Returns the owner of a channel's slot, if there is one.
    pub(crate) fn owner_of(&self, channel: &str) -> Option<&ServerId> {
        self.owner(Slot::for_key(channel))
    }

    /// Records that another server owns a slot.
    pub(crate) fn moved(&mut self, slot: Slot, to: ServerId) {
        if let Some(place) = self.place(to) {
            self.owners[slot.index()] = place;
        }
    }

    /// Returns all owners.
    pub(crate) fn owners(&self) -> Vec<ServerId> {
        let mut owns = vec![false; self.servers.len() + 1];
        for place in &self.owners {
            owns[usize::from(*place)] = true;
        }
        let owners = self.servers.iter().zip(&owns[1..]);
        owners
            .filter(|(_, owns)| **owns)
            .map(|(server, _)| server.clone())
            .collect()
    }

    /// Returns for each server the name with the lowest number that falls into one of its slots.
    pub(crate) fn names(&self, name: impl Fn(u32) -> String) -> HashMap<ServerId, String> {
        let servers = self.owners().len();
        let mut names = HashMap::new();
        for number in 0..if servers > 0 { NAMES } else { 0 } {
            let name = name(number);
            if let Some(owner) = self.owner_of(&name)
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
        assert_eq!(slots.owner_of("foo"), Some(&ServerId::at("a", 2)));
        assert_eq!(slots.owner_of("x:{foo}:y"), Some(&ServerId::at("a", 2)));
        let names = slots.names(|n| format!("{{{n}}}"));
        assert_eq!(names.len(), 2);
        for (server, name) in &names {
            assert_eq!(slots.owner_of(name), Some(server));
        }
    }

    #[test]
    fn maps_are_equal_whatever_the_order_of_servers() {
        let asked = ServerId::at("a", 1);
        let map = |ranges: Vec<Value>| SlotMap::read(&Value::Array(ranges), &asked).expect("slots");
        let low = || range(0, 9, vec![server("a", 1)]);
        let high = || range(10, 19, vec![server("b", 2)]);
        let mut one = map(vec![low(), high()]);
        assert_eq!(one, map(vec![high(), low()]));
        let slot = Slot::new(3).expect("a slot");
        one.moved(slot, ServerId::at("b", 2));
        assert_ne!(one, map(vec![high(), low()]));
        let whole = map(vec![range(0, 19, vec![server("a", 1)])]);
        let mut moved = one;
        for slot in (0..20).filter_map(Slot::new) {
            moved.moved(slot, asked.clone());
        }
        assert_eq!(moved, whole);
        assert_eq!(moved.owners(), [asked]);
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
