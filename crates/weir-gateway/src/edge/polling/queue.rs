//! What waits for a client that polls.
//!
//! The library's channel to a client counts packets, is shared with its pings and has no way to
//! tell that it was emptied. So it is given a batch only when it can pass it on at once: when a
//! polling request comes in, or one frame while such a request is waiting. Everything else waits
//! here, bounded in bytes. The channel is therefore empty of frames whenever no request is being
//! answered, which lets an upgrade take over without changing the order.

use std::{collections::VecDeque, sync::Arc};

use weir_engine::Delivery;
use weir_protocol::Frame;

use crate::edge::websocket::{budget::Budget, writer::Lane};

/// The packets that one polling request is answered with at the most, unless a single frame has
/// more: with a ping, as many as python-engineio takes by default.
const BATCH_PACKETS: usize = 15;

/// What the library's channel takes; each entry is a frame or a ping.
pub(crate) const CHANNEL_ENTRIES: usize = BATCH_PACKETS + 1;

/// Hands a frame to the library.
type Emit<'a> = &'a mut dyn FnMut(&Frame) -> Result<(), Delivery>;

/// The state of a connection that polls or upgrades.
#[derive(Debug)]
pub(crate) struct Polling {
    /// Maximum length of the answer to one polling request in bytes, unless a single frame is
    /// longer.
    answer_bytes: usize,
    queue: VecDeque<Frame>,
    /// Bound on `queue`, and its length in bytes.
    budget: Budget,
    /// A request is waiting for something to be answered with.
    parked: bool,
    /// The WebSocket that the client upgrades to.
    upgrading: Option<Arc<Lane>>,
    closed: bool,
}

impl Polling {
    /// Creates a queue with a bound of `queue_bytes`. The library puts no more than `limit_bytes`
    /// into one answer, unless a single packet is longer.
    pub(crate) fn new(queue_bytes: usize, limit_bytes: usize) -> Self {
        Self {
            // Excess frames would stay in the library, which loses them when the client upgrades.
            // There, base64 turns three bytes of an attachment into four.
            answer_bytes: queue_bytes.min(limit_bytes / 2),
            queue: VecDeque::new(),
            budget: Budget::new(queue_bytes),
            parked: false,
            upgrading: None,
            closed: false,
        }
    }

    /// Sends or queues `before` and `frame`, or neither.
    pub(crate) fn send(
        &mut self,
        before: Option<&Frame>,
        frame: &Frame,
        event: bool,
        emit: Emit<'_>,
    ) -> Delivery {
        if self.closed {
            return Delivery::Closed;
        }
        let bytes = frame.bytes().len() + before.map_or(0, |frame| frame.bytes().len());
        let takes = if event {
            self.budget.takes_event(bytes)
        } else {
            self.budget.takes_chunk(bytes)
        };
        if !takes {
            return Delivery::Full;
        }
        for frame in before.into_iter().chain([frame]) {
            if self.parked && self.queue.is_empty() && self.upgrading.is_none() {
                self.parked = false;
                match emit(frame) {
                    Ok(()) => continue,
                    Err(Delivery::Closed) => {
                        self.closed = true;
                        return Delivery::Closed;
                    }
                    Err(_) => {}
                }
            }
            self.budget.add(frame.bytes().len(), 0);
            self.queue.push_back(frame.clone());
        }
        if self.queue.is_empty() {
            Delivery::Sent
        } else {
            Delivery::Queued
        }
    }

    /// A polling request has come in.
    pub(crate) fn poll_begins(&mut self, emit: Emit<'_>) {
        if self.upgrading.is_some() {
            return;
        }
        let (mut bytes, mut packets, mut frames) = (0, 0, 0);
        while let Some(front) = self.queue.front() {
            bytes += front.bytes().len();
            packets += 1 + front.attachments().len();
            let enough = packets > BATCH_PACKETS || bytes > self.answer_bytes;
            if (frames > 0 && enough) || emit(front).is_err() {
                break;
            }
            frames += 1;
            self.budget.remove(front.bytes().len());
            self.queue.pop_front();
        }
        self.parked = frames == 0;
    }

    /// Cancels the pending request's wait for frames. Returns whether it was still waiting.
    pub(crate) fn take_back(&mut self) -> bool {
        std::mem::take(&mut self.parked)
    }

    /// The polling request has its answer.
    pub(crate) fn poll_ends(&mut self) {
        self.parked = false;
    }

    /// Upgrades the client to a WebSocket: the library gets no more frames.
    pub(crate) fn upgrade(&mut self, lane: Arc<Lane>) {
        self.parked = false;
        self.upgrading = Some(lane);
    }

    pub(crate) fn is_upgrading(&self) -> bool {
        self.upgrading.is_some()
    }

    /// The upgrade is done: gives the lane and what waited for it.
    pub(crate) fn finish_upgrade(&mut self) -> Option<(Arc<Lane>, VecDeque<Frame>)> {
        self.budget.clear();
        Some((self.upgrading.take()?, std::mem::take(&mut self.queue)))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Drops all queued frames.
    pub(crate) fn forget(&mut self) {
        self.queue = VecDeque::new();
        self.budget.clear();
    }

    /// Nothing is sent any more; gives the lane of an upgrade that had begun.
    pub(crate) fn close(&mut self) -> Option<Arc<Lane>> {
        self.closed = true;
        self.forget();
        self.upgrading.take()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn frame(n: usize) -> Frame {
        Frame::new(None, &format!("[\"event\",{n}]"), &[])
    }

    #[test]
    fn frames_leave_in_order_and_only_into_requests() {
        let mut polling = Polling::new(1_000_000, 1_000_000);
        let mut sent: Vec<String> = Vec::new();
        let mut next = 0;
        let mut send = |polling: &mut Polling, sent: &mut Vec<String>| {
            let delivery = polling.send(None, &frame(next), true, &mut |frame| {
                sent.push(frame.body().to_owned());
                Ok(())
            });
            next += 1;
            delivery
        };
        assert_eq!(send(&mut polling, &mut sent), Delivery::Queued);
        polling.poll_begins(&mut |frame| {
            sent.push(frame.body().to_owned());
            Ok(())
        });
        assert_eq!(
            send(&mut polling, &mut sent),
            Delivery::Queued,
            "the request is answered"
        );
        polling.poll_ends();
        polling.poll_begins(&mut |frame| {
            sent.push(frame.body().to_owned());
            Ok(())
        });
        polling.poll_ends();
        polling.poll_begins(&mut |_| Ok(()));
        assert_eq!(
            send(&mut polling, &mut sent),
            Delivery::Sent,
            "the request was waiting"
        );
        assert_eq!(
            send(&mut polling, &mut sent),
            Delivery::Queued,
            "and waits no longer"
        );
        let expected: Vec<_> = (0..3).map(|n| frame(n).body().to_owned()).collect();
        assert_eq!(sent, expected);
    }

    /// Limit of python-engineio on packets per answer (`Payload.max_decode_packets`), a ping
    /// included.
    #[test]
    fn no_answer_has_more_packets_than_the_strictest_client_takes() {
        const TAKEN: usize = 16;
        let body = "[\"message\",{}]";
        for step in 1..=10 {
            let mut polling = Polling::new(1_000_000, 1_000_000);
            let mut refuse = |_: &Frame| Err(Delivery::Full);
            let mut waiting = 0;
            for n in 0..60 {
                let attachments = vec![Bytes::from_static(b"x"); n * step % 11];
                let frame = Frame::new(None, body, &attachments);
                polling.send(None, &frame, true, &mut refuse);
                waiting += 1 + attachments.len();
            }
            while waiting > 0 {
                let mut packets = 0;
                polling.poll_begins(&mut |frame| {
                    packets += 1 + frame.attachments().len();
                    Ok(())
                });
                polling.poll_ends();
                assert!((1..TAKEN).contains(&packets), "{packets} packets");
                waiting -= packets;
            }
        }
    }

    #[test]
    fn chunks_are_refused_before_events_are() {
        let mut polling = Polling::new(100, 1_000);
        let full = Frame::new(None, &format!("[\"{}\"]", "x".repeat(80)), &[]);
        assert_eq!(
            polling.send(None, &full, false, &mut |_| Ok(())),
            Delivery::Queued
        );
        assert_eq!(
            polling.send(None, &full, false, &mut |_| Ok(())),
            Delivery::Full
        );
        assert_eq!(
            polling.send(None, &full, true, &mut |_| Ok(())),
            Delivery::Queued
        );
        assert_eq!(
            polling.send(None, &full, true, &mut |_| Ok(())),
            Delivery::Full
        );
    }

    #[test]
    fn long_event_waits_with_all_that_come_behind_it() {
        let long = Frame::new(None, &format!("[\"{}\"]", "x".repeat(4_000)), &[]);
        let mut polling = Polling::new(100, 1_000);
        let mut refuse = |_: &Frame| Err(Delivery::Full);
        for frame in [&frame(0), &long, &frame(1), &frame(2)] {
            let delivery = polling.send(None, frame, true, &mut refuse);
            assert_eq!(delivery, Delivery::Queued);
        }
        for count in [1, 1, 2] {
            let mut sent = 0;
            polling.poll_begins(&mut |_| {
                sent += 1;
                Ok(())
            });
            polling.poll_ends();
            assert_eq!(sent, count);
        }
    }
}
