//! Slots of a Redis Cluster.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use crc16::{State, XMODEM};

use super::resp::RespAnswer;

/// Slots of a Redis Cluster.
const SLOTS: u16 = 16_384;
/// Deadline of the answer to `CLUSTER SLOTS`.
const DEADLINE: Duration = Duration::from_secs(5);

/// Primaries, and the slots that each owns.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SlotOwners {
    pub(super) primaries: Vec<SocketAddr>,
    /// Slots with the index of their primary.
    ranges: Vec<(RangeInclusive<u16>, usize)>,
}

impl SlotOwners {
    /// Returns the owners of a standalone server, which owns all slots.
    pub(super) fn standalone(server: SocketAddr) -> Self {
        Self {
            primaries: vec![server],
            ranges: vec![(0..=SLOTS - 1, 0)],
        }
    }

    /// Asks a node of a Redis Cluster.
    pub(super) fn query(node: SocketAddr) -> anyhow::Result<Self> {
        let mut tcp = TcpStream::connect(node)?;
        tcp.set_read_timeout(Some(DEADLINE))?;
        tcp.write_all(b"*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n")?;
        let (mut received, mut buffer) = (Vec::new(), [0; 4_096]);
        loop {
            let read = tcp.read(&mut buffer).context("CLUSTER SLOTS")?;
            ensure!(read > 0, "CLUSTER SLOTS: Redis closed the connection");
            received.extend_from_slice(&buffer[..read]);
            if received[0] == b'-' {
                bail!("CLUSTER SLOTS: {}", String::from_utf8_lossy(&received));
            }
            if let Some(answer) = RespAnswer::parse(&mut &received[..]) {
                return Self::of(&answer).with_context(|| format!("CLUSTER SLOTS: {answer:?}"));
            }
        }
    }

    /// Reads an answer to `CLUSTER SLOTS`: first slot, last slot, primary, and replicas of each
    /// range.
    fn of(answer: &RespAnswer<'_>) -> anyhow::Result<Self> {
        let mut owners = Self {
            primaries: Vec::new(),
            ranges: Vec::new(),
        };
        let RespAnswer::List(ranges) = answer else {
            bail!("no list");
        };
        for range in ranges {
            let RespAnswer::List(range) = range else {
                bail!("no range");
            };
            let [
                RespAnswer::Number(first),
                RespAnswer::Number(last),
                RespAnswer::List(primary),
                ..,
            ] = &range[..]
            else {
                bail!("a range without slots or primary");
            };
            let [RespAnswer::Text(host), RespAnswer::Number(port), ..] = primary[..] else {
                bail!("a primary without address");
            };
            let host = std::str::from_utf8(host)?;
            let primary = SocketAddr::new(host.parse().context("an IP address")?, port.try_into()?);
            let known = owners.primaries.iter().position(|known| *known == primary);
            let index = known.unwrap_or(owners.primaries.len());
            if known.is_none() {
                owners.primaries.push(primary);
            }
            let slots = u16::try_from(*first)?..=u16::try_from(*last)?;
            owners.ranges.push((slots, index));
        }
        Ok(owners)
    }

    /// Returns the index of the primary that owns a key. Keys have no hash tags.
    pub(super) fn owner(&self, key: &str) -> anyhow::Result<usize> {
        let slot = State::<XMODEM>::calculate(key.as_bytes()) % SLOTS;
        let mut ranges = self.ranges.iter();
        let range = ranges.find(|(slots, _)| slots.contains(&slot));
        let (_, primary) = range.with_context(|| format!("nobody owns slot {slot}"))?;
        Ok(*primary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two primaries, the first with a replica and two ranges, as Redis 7.0 answers.
    const ANSWER: &[u8] = b"*3\r\n\
        *4\r\n:0\r\n:8191\r\n\
        *4\r\n$9\r\n127.0.0.1\r\n:7000\r\n$2\r\nid\r\n*0\r\n\
        *4\r\n$9\r\n127.0.0.1\r\n:7002\r\n$2\r\nid\r\n*2\r\n$8\r\nhostname\r\n$1\r\nh\r\n\
        *3\r\n:8192\r\n:12738\r\n*4\r\n$9\r\n127.0.0.1\r\n:7001\r\n$2\r\nid\r\n*0\r\n\
        *3\r\n:12739\r\n:12739\r\n*4\r\n$9\r\n127.0.0.1\r\n:7000\r\n$2\r\nid\r\n*0\r\n";

    #[test]
    fn keys_belong_to_the_primary_of_their_slot() {
        let mut rest = ANSWER;
        let owners = SlotOwners::of(&RespAnswer::parse(&mut rest).unwrap()).unwrap();
        assert_eq!(rest, b"");
        let ports: Vec<_> = owners.primaries.iter().map(SocketAddr::port).collect();
        assert_eq!(ports, [7000, 7001]);
        // The check value of CRC16/XMODEM in Redis' specification, 0x31c3, is slot 12739.
        assert_eq!(owners.owner("123456789").unwrap(), 0);
        // `CLUSTER KEYSLOT foo` is 12182.
        assert_eq!(owners.owner("foo").unwrap(), 1);
        // `CLUSTER KEYSLOT bar` is 5061.
        assert_eq!(owners.owner("bar").unwrap(), 0);
    }

    #[test]
    fn incomplete_answers_are_not_parsed() {
        for end in 0..ANSWER.len() {
            assert_eq!(RespAnswer::parse(&mut &ANSWER[..end]), None, "{end}");
        }
    }

    #[test]
    fn unowned_slots_are_refused() {
        let owners = SlotOwners {
            primaries: Vec::new(),
            ranges: Vec::new(),
        };
        let error = owners.owner("foo").unwrap_err();
        assert_eq!(error.to_string(), "nobody owns slot 12182");
    }
}
