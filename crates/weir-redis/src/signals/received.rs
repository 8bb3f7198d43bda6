//! The numbered signals of one room, put in order again.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use bytes::Bytes;

use super::{Known, Note, Stream};
use crate::envelope::Origin;

/// How often an origin is asked for what is missing.
const ASKED: Duration = Duration::from_millis(300);

/// How long something may be missing before it is given up: longer than an origin tries to publish a
/// signal, and a few requests.
const PATIENCE: Duration = Duration::from_secs(6);

/// How much later than others of the same origin a signal may come, in milliseconds. What comes later
/// may have been given up by its origin, which is asked.
const LATE: i64 = 1_000;

/// What may wait for a missing number, per origin: so many signals, and bytes.
const HELD: usize = 4_096;
const HELD_BYTES: usize = 4 * 1024 * 1024;

/// What a node has of the signals of others in one room.
///
/// `now` is the time since any fixed moment, `clock` milliseconds since 1970.
#[derive(Debug)]
pub(crate) struct Received {
    origin: Origin,
    /// Since when the room's channel is subscribed to.
    since: Option<Duration>,
    origins: HashMap<Origin, Sequence>,
    /// Signals that were given up.
    lost: u64,
}

/// What is to be done about something that was received.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// Signals whose turn it is, in their order.
    pub(crate) bodies: Vec<Bytes>,
    /// What is to be asked.
    pub(crate) asks: Vec<Note>,
}

/// The signals of one origin.
#[derive(Debug)]
struct Sequence {
    stream: Stream,
    /// The number whose turn it is; none while it is not known which signals are for this node.
    next: Option<u64>,
    /// The highest number that is known to exist.
    last: u64,
    /// What has come before its turn; without a body where a number is void.
    held: BTreeMap<u64, Option<Bytes>>,
    held_bytes: usize,
    missing: Option<Missing>,
    /// The least difference between the clocks when a signal came.
    nearest: Option<i64>,
}

/// A number whose turn it is, and that has not come.
#[derive(Debug)]
struct Missing {
    number: Option<u64>,
    since: Duration,
    asked: Option<Duration>,
}

impl Received {
    /// Of a room that is about to be listened to by the node `origin`.
    pub(crate) fn new(origin: Origin) -> Self {
        Self {
            origin,
            since: None,
            origins: HashMap::new(),
            lost: 0,
        }
    }

    /// The room's channel is subscribed to, for the first time.
    pub(crate) fn listening(&mut self, now: Duration) {
        self.since.get_or_insert(now);
    }

    /// Signals that were given up since this was last asked.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Takes what an origin has put on the channel.
    pub(crate) fn take(&mut self, origin: Origin, note: Note, now: Duration, clock: u64) -> Step {
        let mut step = Step::default();
        let me = self.origin;
        match note {
            Note::Loose(body) => step.bodies.push(body),
            Note::Ask { .. } => {}
            Note::Numbered {
                stream,
                seq,
                at,
                after,
                again,
                body,
            } => {
                let listening = self.listening_for(now);
                let Some(sequence) = self.sequence(origin, stream) else {
                    return step;
                };
                let late = sequence.is_late(at, clock) && !again;
                // Its predecessor was there before this node listened, so what is for it begins here.
                let first = seq == 1 || u64::from(after) > listening;
                if sequence.next.is_none() && first && !again && !late {
                    sequence.next = Some(seq);
                }
                sequence.last = sequence.last.max(seq);
                if !late {
                    sequence.hold(seq, Some(body));
                }
                self.go_on(origin, now, &mut step);
            }
            Note::Void { stream, seq } => {
                let Some(sequence) = self.sequence(origin, stream) else {
                    return step;
                };
                sequence.last = sequence.last.max(seq);
                sequence.hold(seq, None);
                self.go_on(origin, now, &mut step);
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
                self.go_on(origin, now, &mut step);
            }
        }
        step
    }

    /// The subscription was interrupted and holds again.
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

    /// Asks again for what is missing, and gives up what is missing for too long.
    pub(crate) fn tick(&mut self, now: Duration) -> Step {
        let mut step = Step::default();
        let missing = self.origins.iter().filter(|(_, one)| one.missing.is_some());
        let origins: Vec<_> = missing.map(|(origin, _)| *origin).collect();
        for origin in origins {
            self.go_on(origin, now, &mut step);
        }
        step
    }

    /// Whether something is missing.
    pub(crate) fn is_missing(&self) -> bool {
        self.origins.values().any(|one| one.missing.is_some())
    }

    fn listening_for(&self, now: Duration) -> u64 {
        let listening = self
            .since
            .map_or(Duration::ZERO, |since| now.saturating_sub(since));
        u64::try_from(listening.as_millis()).unwrap_or(u64::MAX)
    }

    /// The sequence of an origin, unless it has begun another.
    fn sequence(&mut self, origin: Origin, stream: Stream) -> Option<&mut Sequence> {
        let known = self.origins.get(&origin).map(|known| known.stream);
        if known.is_none_or(|known| known < stream) {
            let nearest = self.origins.get(&origin).and_then(|known| known.nearest);
            let begun = Sequence {
                stream,
                // Of an origin that was heard before, the next sequence is heard from its beginning.
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

    /// Passes on whose turn it is; if something is missing, asks for it or gives it up.
    fn go_on(&mut self, origin: Origin, now: Duration, step: &mut Step) {
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
            // What was missing before has come.
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
    fn known(&self, origin: Origin) -> Option<Known> {
        Some(Known {
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

    /// Takes out whose turn it is.
    fn drain(&mut self, bodies: &mut Vec<Bytes>) {
        while let Some(next) = self.next
            && let Some(body) = self.held.remove(&next)
        {
            self.next = Some(next + 1);
            self.held_bytes -= body.as_ref().map_or(0, Bytes::len);
            bodies.extend(body);
        }
    }

    /// Gives up what is missing before a number; answers with how many that are.
    fn skip_to(&mut self, number: u64, bodies: &mut Vec<Bytes>) -> u64 {
        let Some(next) = self.next else {
            // What is for this node begins there.
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
