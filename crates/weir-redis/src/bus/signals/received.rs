//! Reordering and gap detection of the numbered signals of one room.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use bytes::Bytes;

use super::{KnownPosition, Note, NumberedSignal, StreamId};
use crate::bus::envelope::Origin;

/// Retry interval of retransmission requests.
const ASKED: Duration = Duration::from_millis(300);

/// Time after which a missing signal is given up. It is longer than an origin's publication
/// deadline plus a few requests.
const PATIENCE: Duration = Duration::from_secs(6);

/// Maximum delay of a signal relative to the fastest one of its origin, in milliseconds. Its origin
/// may have given up a later one, so the node requests it again.
const LATE: i64 = 1_000;

/// Limits of the reordering buffer, per origin: number of signals, and bytes.
const HELD: usize = 4_096;
const HELD_BYTES: usize = 4 * 1024 * 1024;

/// Receiver state of one room: the position in each origin's sequence.
///
/// `now` is the time since any fixed moment, `clock` milliseconds since 1970.
#[derive(Debug)]
pub(crate) struct ReceivedSignals {
    origin: Origin,
    /// Time of the first subscription to the room's channel.
    since: Option<Duration>,
    origins: HashMap<Origin, Sequence>,
    /// Number of signals given up.
    lost: u64,
}

/// Actions that follow from a received note or a timer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// Signals ready for delivery, in order.
    pub(crate) bodies: Vec<Bytes>,
    /// Retransmission requests to publish.
    pub(crate) asks: Vec<Note>,
}

/// Receiver state of one origin's sequence.
#[derive(Debug)]
struct Sequence {
    stream: StreamId,
    /// Next number to deliver; `None` until it is known where this node's part of the sequence
    /// starts.
    next: Option<u64>,
    /// Highest number known to exist.
    last: u64,
    /// Signals received out of order, by number; `None` for a void number.
    held: BTreeMap<u64, Option<Bytes>>,
    held_bytes: usize,
    missing: Option<Missing>,
    /// Smallest observed difference between the receiver's and the origin's clocks.
    nearest: Option<i64>,
}

/// The next number to deliver, which has not been received.
#[derive(Debug)]
struct Missing {
    number: Option<u64>,
    since: Duration,
    asked: Option<Duration>,
}

impl ReceivedSignals {
    /// Creates the state for a room to which the node `origin` is about to subscribe.
    pub(crate) fn new(origin: Origin) -> Self {
        Self {
            origin,
            since: None,
            origins: HashMap::new(),
            lost: 0,
        }
    }

    /// Records that the room's channel is subscribed to. Only the first call has an effect.
    pub(crate) fn listening(&mut self, now: Duration) {
        self.since.get_or_insert(now);
    }

    /// Returns the number of signals given up since the last call.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Processes a note that an origin published.
    pub(crate) fn receive(
        &mut self,
        origin: Origin,
        note: Note,
        now: Duration,
        clock: u64,
    ) -> Step {
        let mut step = Step::default();
        let me = self.origin;
        match note {
            Note::Loose(body) => step.bodies.push(body),
            Note::Ask { .. } => {}
            Note::Numbered(signal) => self.receive_numbered(origin, signal, now, clock, &mut step),
            Note::Void { stream, seq } => {
                let Some(sequence) = self.sequence(origin, stream) else {
                    return step;
                };
                sequence.last = sequence.last.max(seq);
                sequence.hold(seq, None);
                self.advance(origin, now, &mut step);
            }
            Note::Head {
                to,
                stream,
                floor,
                last,
            } => {
                if to.is_some_and(|to| to != me) {
                    return step;
                }
                let Some(sequence) = self.sequence(origin, stream) else {
                    return step;
                };
                sequence.last = sequence.last.max(last);
                if to.is_some() {
                    let lost = sequence.skip_to(floor + 1, &mut step.bodies);
                    self.lost += lost;
                }
                self.advance(origin, now, &mut step);
            }
        }
        step
    }

    fn receive_numbered(
        &mut self,
        origin: Origin,
        signal: NumberedSignal,
        now: Duration,
        clock: u64,
        step: &mut Step,
    ) {
        let listening = self.listening_for(now);
        let Some(sequence) = self.sequence(origin, signal.stream) else {
            return;
        };
        let late = sequence.is_late(signal.at, clock) && !signal.again;
        // Its predecessor predates this node's subscription, so this node's part starts here.
        let first = signal.seq == 1 || u64::from(signal.after) > listening;
        if sequence.next.is_none() && first && !signal.again && !late {
            sequence.next = Some(signal.seq);
        }
        sequence.last = sequence.last.max(signal.seq);
        if !late {
            sequence.hold(signal.seq, Some(signal.body));
        }
        self.advance(origin, now, step);
    }

    /// Requests missed signals after an interrupted subscription is restored.
    pub(crate) fn resubscribed(&mut self, now: Duration) -> Option<Note> {
        if self.origins.is_empty() {
            return None;
        }
        for sequence in self.origins.values_mut() {
            if let Some(missing) = &mut sequence.missing {
                missing.asked = Some(now);
            }
        }
        let known = self.origins.iter();
        let known = known.filter_map(|(origin, sequence)| sequence.known(*origin));
        Some(Note::Ask {
            to: None,
            listening: self.listening_for(now),
            known: known.collect(),
        })
    }

    /// Repeats requests for missing signals, and gives up signals that have been missing for too
    /// long.
    pub(crate) fn tick(&mut self, now: Duration) -> Step {
        let mut step = Step::default();
        let missing = self.origins.iter().filter(|(_, one)| one.missing.is_some());
        let origins: Vec<_> = missing.map(|(origin, _)| *origin).collect();
        for origin in origins {
            self.advance(origin, now, &mut step);
        }
        step
    }

    /// Returns whether a signal is missing.
    pub(crate) fn is_missing(&self) -> bool {
        self.origins.values().any(|one| one.missing.is_some())
    }

    fn listening_for(&self, now: Duration) -> u64 {
        let listening = self
            .since
            .map_or(Duration::ZERO, |since| now.saturating_sub(since));
        u64::try_from(listening.as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns the sequence of an origin, or `None` if the origin has started a newer one.
    fn sequence(&mut self, origin: Origin, stream: StreamId) -> Option<&mut Sequence> {
        let known = self.origins.get(&origin).map(|known| known.stream);
        if known.is_none_or(|known| known < stream) {
            let nearest = self.origins.get(&origin).and_then(|known| known.nearest);
            let begun = Sequence {
                stream,
                // A later sequence of a known origin is received from its start.
                next: known.map(|_| 1),
                last: 0,
                held: BTreeMap::new(),
                held_bytes: 0,
                missing: None,
                nearest,
            };
            self.origins.insert(origin, begun);
        }
        self.origins
            .get_mut(&origin)
            .filter(|sequence| sequence.stream == stream)
    }

    /// Delivers consecutive signals. Requests the next missing one, or gives it up.
    fn advance(&mut self, origin: Origin, now: Duration, step: &mut Step) {
        let listening = self.listening_for(now);
        let Some(sequence) = self.origins.get_mut(&origin) else {
            return;
        };
        sequence.drain(&mut step.bodies);
        while sequence.is_missing() {
            let number = sequence.next;
            let missing = sequence.missing.take().unwrap_or(Missing {
                number,
                since: now,
                asked: None,
            });
            // The number that was missing before has been received.
            let since = if missing.number == number {
                missing.since
            } else {
                now
            };
            let full = sequence.held.len() > HELD || sequence.held_bytes > HELD_BYTES;
            if full || now.saturating_sub(since) > PATIENCE {
                let held = sequence.held.keys().next().copied();
                let next = held.unwrap_or(sequence.last + 1);
                self.lost += sequence.skip_to(next, &mut step.bodies);
                sequence.drain(&mut step.bodies);
                continue;
            }
            let again = |asked| now.saturating_sub(asked) >= ASKED;
            let ask = missing.asked.is_none_or(again);
            sequence.missing = Some(Missing {
                number,
                since,
                asked: if ask { Some(now) } else { missing.asked },
            });
            if ask {
                step.asks.push(Note::Ask {
                    to: Some(origin),
                    listening,
                    known: sequence.known(origin).into_iter().collect(),
                });
            }
            return;
        }
        sequence.missing = None;
    }
}

impl Sequence {
    fn known(&self, origin: Origin) -> Option<KnownPosition> {
        Some(KnownPosition {
            origin,
            stream: self.stream,
            last: self.next? - 1,
        })
    }

    fn is_missing(&self) -> bool {
        self.last > 0 && self.next.is_none_or(|next| next <= self.last)
    }

    fn is_late(&mut self, at: u64, clock: u64) -> bool {
        let signed = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
        let delay = signed(clock).saturating_sub(signed(at));
        let late = delay.saturating_sub(self.nearest.unwrap_or(0)) > LATE;
        let nearest = self.nearest.get_or_insert(delay);
        *nearest = (*nearest).min(delay);
        late
    }

    fn hold(&mut self, seq: u64, body: Option<Bytes>) {
        if self.next.is_some_and(|next| seq < next) {
            return;
        }
        self.held_bytes += body.as_ref().map_or(0, Bytes::len);
        if let Some(Some(twice)) = self.held.insert(seq, body) {
            self.held_bytes -= twice.len();
        }
    }

    /// Removes the consecutive signals from the reordering buffer.
    fn drain(&mut self, bodies: &mut Vec<Bytes>) {
        while let Some(next) = self.next
            && let Some(body) = self.held.remove(&next)
        {
            self.next = Some(next + 1);
            self.held_bytes -= body.as_ref().map_or(0, Bytes::len);
            bodies.extend(body);
        }
    }

    /// Gives up the missing signals before a number, and returns how many there were.
    fn skip_to(&mut self, number: u64, bodies: &mut Vec<Bytes>) -> u64 {
        let Some(next) = self.next else {
            // This node's part of the sequence starts there.
            self.next = Some(number);
            let kept = self.held.split_off(&number);
            let dropped = std::mem::replace(&mut self.held, kept);
            let dropped = dropped.values().flatten().map(Bytes::len);
            self.held_bytes -= dropped.sum::<usize>();
            return 0;
        };
        if number <= next {
            return 0;
        }
        let kept = self.held.split_off(&number);
        let came = std::mem::replace(&mut self.held, kept);
        let lost = number - next - came.len() as u64;
        for body in came.into_values().flatten() {
            self.held_bytes -= body.len();
            bodies.push(body);
        }
        self.next = Some(number);
        lost
    }
}
