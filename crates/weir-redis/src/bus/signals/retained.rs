//! Retention of the signals that a node has published, for retransmission.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use weir_protocol::RoomId;

use super::{KEPT, KnownPosition, Note, NumberedSignal, StreamId};
use crate::bus::envelope::Origin;

/// Retention limit per room, in bytes.
const ROOM_BYTES: usize = 1024 * 1024;

/// Retention limit of all rooms together, in bytes.
const NODE_BYTES: usize = 64 * 1024 * 1024;

/// Accounting overhead per signal, in bytes.
const OVERHEAD: usize = 128;

/// Times after the last signal at which the end of a sequence is announced. Each lies within the
/// retention period.
const ANNOUNCED: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(16),
];

/// Collection time of requests: one retransmission serves all receivers that missed the same
/// signals.
const COLLECTED: Duration = Duration::from_millis(30);

/// Signals that a node can retransmit, and its pending announcements.
///
/// `now` is the time since any fixed moment.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    rooms: HashMap<RoomId, Sequence>,
    /// Time and sequence of every retained signal, oldest first.
    order: VecDeque<(Duration, RoomId, StreamId)>,
    bytes: usize,
    streams: StreamId,
    /// Sequences whose end is announced after each of [`ANNOUNCED`], if it has not moved by then.
    ends: [VecDeque<(Duration, RoomId, StreamId, u64)>; ANNOUNCED.len()],
    /// Rooms with pending requests, by the time of the answer.
    asked: VecDeque<(Duration, RoomId)>,
}

/// The node's signals in one room.
#[derive(Debug)]
struct Sequence {
    stream: StreamId,
    /// Number of the last signal.
    last: u64,
    /// Highest number that is published or void.
    settled: u64,
    signals: VecDeque<Signal>,
    bytes: usize,
    asking: Vec<Asking>,
}

#[derive(Debug)]
struct Signal {
    seq: u64,
    at: Duration,
    fate: Fate,
    note: Note,
    size: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// In flight to Redis.
    Pending,
    Published,
    Void,
}

/// Pending request: the receiver, and the first number that it misses.
#[derive(Debug)]
struct Asking {
    who: Origin,
    from: u64,
}

/// Position in a room's sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RetainedPlace {
    pub(crate) room: RoomId,
    pub(crate) stream: StreamId,
    pub(crate) seq: u64,
}

impl Retained {
    /// Numbers a signal and retains it. Returns its position and the note to publish.
    pub(crate) fn number(
        &mut self,
        room: &RoomId,
        body: Bytes,
        at: u64,
        now: Duration,
    ) -> (RetainedPlace, Note) {
        self.forget(now);
        let streams = &mut self.streams;
        let sequence = self.rooms.entry(room.clone()).or_insert_with(|| {
            *streams += 1;
            Sequence {
                stream: *streams,
                last: 0,
                settled: 0,
                signals: VecDeque::new(),
                bytes: 0,
                asking: Vec::new(),
            }
        });
        let before = sequence
            .signals
            .back()
            .map(|signal| now.saturating_sub(signal.at));
        sequence.last += 1;
        let (stream, seq) = (sequence.stream, sequence.last);
        let size = body.len() + OVERHEAD;
        let note = Note::Numbered(NumberedSignal {
            stream,
            seq,
            at,
            after: before.map_or(u32::MAX, |before| {
                u32::try_from(before.as_millis()).unwrap_or(u32::MAX)
            }),
            again: false,
            body,
        });
        sequence.signals.push_back(Signal {
            seq,
            at: now,
            fate: Fate::Pending,
            note: note.clone(),
            size,
        });
        sequence.bytes += size;
        self.bytes += size;
        self.order.push_back((now, room.clone(), stream));
        while sequence.bytes > ROOM_BYTES && sequence.signals.len() > 1 {
            self.bytes -= sequence.drop_oldest();
        }
        let place = RetainedPlace {
            room: room.clone(),
            stream,
            seq,
        };
        (place, note)
    }

    /// Takes back the last number, which no other node has seen.
    pub(crate) fn take_back(&mut self, place: &RetainedPlace) {
        if let Some(sequence) = self.rooms.get_mut(&place.room)
            && sequence.stream == place.stream
            && sequence.last == place.seq
            && let Some(signal) = sequence.signals.pop_back()
        {
            sequence.last -= 1;
            sequence.bytes -= signal.size;
            self.bytes -= signal.size;
        }
    }

    /// Records whether a signal was published. If not, its number becomes void, and the note to
    /// publish is returned.
    pub(crate) fn settle(
        &mut self,
        place: &RetainedPlace,
        published: bool,
        now: Duration,
    ) -> Option<Note> {
        let sequence = self.rooms.get_mut(&place.room)?;
        if sequence.stream != place.stream {
            return None;
        }
        let (stream, seq) = (place.stream, place.seq);
        sequence.settled = sequence.settled.max(seq);
        let mut signals = sequence.signals.iter_mut();
        let signal = signals.find(|signal| signal.seq == seq);
        let void = Note::Void { stream, seq };
        if let Some(signal) = signal {
            (signal.fate, signal.note) = match (published, &signal.note) {
                (true, note) => (Fate::Published, note.repeated()),
                (false, _) => (Fate::Void, void.clone()),
            };
        }
        let end = (now, place.room.clone(), stream, seq);
        self.ends[0].push_back(end);
        (!published).then_some(void)
    }

    /// Registers a request for the missed signals of `origin`, which is this node.
    pub(crate) fn asked(
        &mut self,
        room: &RoomId,
        origin: Origin,
        who: Origin,
        listening: u64,
        known: &[KnownPosition],
        now: Duration,
    ) {
        self.forget(now);
        let Some(sequence) = self.rooms.get_mut(room) else {
            return;
        };
        let known = known.iter().find(|known| known.origin == origin);
        let from = match known {
            Some(known) if known.stream == sequence.stream => known.last + 1,
            // It received the previous sequence, so it needs all of this one.
            Some(_) => 1,
            None => {
                let listening = Duration::from_millis(listening);
                let recent = |signal: &&Signal| now.saturating_sub(signal.at) <= listening;
                let first = sequence.signals.iter().find(recent);
                first.map_or(sequence.last + 1, |signal| signal.seq)
            }
        };
        if sequence.asking.is_empty() {
            self.asked.push_back((now + COLLECTED, room.clone()));
        }
        sequence.asking.retain(|asking| asking.who != who);
        sequence.asking.push(Asking { who, from });
    }

    /// Announces the ends of all sequences: the latest publications may have reached no subscriber.
    pub(crate) fn announce(&mut self, now: Duration) -> Vec<(RoomId, Note)> {
        self.forget(now);
        let ends = self
            .rooms
            .iter()
            .filter(|(_, sequence)| sequence.settled > 0);
        ends.map(|(room, sequence)| (room.clone(), sequence.head(None, 0)))
            .collect()
    }

    /// Returns the notes that are due: retransmissions, and ends of sequences.
    pub(crate) fn due(&mut self, now: Duration) -> Vec<(RoomId, Note)> {
        self.forget(now);
        let mut due = Vec::new();
        while let Some((_, room)) = self.asked.pop_front_if(|(at, _)| *at <= now) {
            if let Some(sequence) = self.rooms.get_mut(&room) {
                let answers = sequence.answer().into_iter();
                due.extend(answers.map(|note| (room.clone(), note)));
            }
        }
        for (step, after) in ANNOUNCED.iter().enumerate() {
            while let Some(end) =
                self.ends[step].pop_front_if(|(settled, ..)| *settled + *after <= now)
            {
                let (_, room, stream, seq) = &end;
                let Some(sequence) = self.rooms.get(room) else {
                    continue;
                };
                // A newer end is announced instead.
                if sequence.stream != *stream || sequence.settled != *seq {
                    continue;
                }
                due.push((room.clone(), sequence.head(None, 0)));
                if let Some(next) = self.ends.get_mut(step + 1) {
                    next.push_back(end);
                }
            }
        }
        due
    }

    /// Returns the time of the next due note.
    pub(crate) fn next(&self) -> Option<Duration> {
        let asked = self.asked.front().map(|(at, _)| *at);
        let ends = self.ends.iter().zip(ANNOUNCED);
        let ends = ends.filter_map(|(ends, after)| ends.front().map(|(at, ..)| *at + after));
        asked.into_iter().chain(ends).min()
    }

    /// Drops signals past the retention period or above the limits.
    fn forget(&mut self, now: Duration) {
        while let Some((_, room, stream)) = self
            .order
            .pop_front_if(|(at, ..)| now.saturating_sub(*at) > KEPT || self.bytes > NODE_BYTES)
        {
            let Some(sequence) = self.rooms.get_mut(&room) else {
                continue;
            };
            if sequence.stream != stream {
                continue;
            }
            // Signals dropped for the limit per room keep their entry, so fewer signals may be
            // left.
            let old = |signal: &Signal| now.saturating_sub(signal.at) > KEPT;
            if sequence.signals.front().is_some_and(old) || self.bytes > NODE_BYTES {
                self.bytes -= sequence.drop_oldest();
            }
            if sequence.signals.is_empty() {
                self.rooms.remove(&room);
            }
        }
    }
}

impl Sequence {
    fn drop_oldest(&mut self) -> usize {
        let size = self.signals.pop_front().map_or(0, |signal| signal.size);
        self.bytes -= size;
        size
    }

    fn head(&self, to: Option<Origin>, floor: u64) -> Note {
        Note::Head {
            to,
            stream: self.stream,
            floor,
            last: self.settled,
        }
    }

    /// Returns each missed signal once, and a head with the floor of each requester.
    fn answer(&mut self) -> Vec<Note> {
        let asking = std::mem::take(&mut self.asking);
        let from = asking.iter().map(|asking| asking.from).min();
        let from = from.unwrap_or(u64::MAX);
        let missed = self.signals.iter().filter(|signal| signal.seq >= from);
        // A signal in flight needs no retransmission.
        let settled = missed.filter(|signal| signal.fate != Fate::Pending);
        let mut answers: Vec<_> = settled.map(|signal| signal.note.clone()).collect();
        let first = self
            .signals
            .front()
            .map_or(self.last + 1, |signal| signal.seq);
        for Asking { who, from } in asking {
            answers.push(self.head(Some(who), from.max(first) - 1));
        }
        answers
    }
}

impl Note {
    /// Returns the signal marked as a retransmission.
    fn repeated(&self) -> Self {
        let mut repeated = self.clone();
        if let Self::Numbered(signal) = &mut repeated {
            signal.again = true;
        }
        repeated
    }
}
