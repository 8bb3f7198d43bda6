//! Frames that wait for a client that polls.
//!
//! The library's channel to a client counts packets, is shared with its pings, and does not tell when
//! it was emptied. So it gets a batch only when it can pass it on at once: when a polling request
//! arrives, or one frame while such a request waits. All other frames wait here, bounded in bytes.
//! The channel is therefore empty of frames whenever no request is being answered, so an upgrade
//! keeps their order.

use std::collections::VecDeque;

use weir_engine::Delivery;
use weir_protocol::Frame;

use crate::edge::budget::{Budget, FrameClass};

/// Maximum packets in the answer to one polling request, unless a single frame has more. With a
/// ping, it is what python-engineio accepts by default.
const BATCH_PACKETS: usize = 15;

/// Capacity of the library's channel; each entry is a frame or a ping.
pub(crate) const CHANNEL_ENTRIES: usize = BATCH_PACKETS + 1;

/// Hands a frame to the library.
type Emit<'a> = &'a mut dyn FnMut(&Frame) -> Result<(), Delivery>;

/// Frames of a client that polls or upgrades.
#[derive(Debug)]
pub(crate) struct PollingQueue {
    /// Maximum length of the answer to one polling request in bytes, unless a single frame is
    /// longer.
    answer_bytes: usize,
    queue: VecDeque<Frame>,
    /// Bound on the queue's bytes, and their count.
    budget: Budget,
    /// Whether a request waits for its answer.
    parked: bool,
}

impl PollingQueue {
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
        }
    }

    /// Sends or queues `before` and `frame`, or neither.
    pub(crate) fn send(
        &mut self,
        before: Option<&Frame>,
        frame: &Frame,
        class: FrameClass,
        emit: Emit<'_>,
    ) -> Delivery {
        let bytes = frame.bytes().len() + before.map_or(0, |frame| frame.bytes().len());
        if !self.budget.takes(class, bytes) {
            return Delivery::Full;
        }
        for frame in before.into_iter().chain([frame]) {
            if self.parked && self.queue.is_empty() {
                self.parked = false;
                match emit(frame) {
                    Ok(()) => continue,
                    Err(Delivery::Closed) => return Delivery::Closed,
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

    /// Starts to answer a polling request with the frames that it has space for.
    pub(crate) fn poll_begins(&mut self, emit: Emit<'_>) {
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

    /// Ends the polling request.
    pub(crate) fn poll_ends(&mut self) {
        self.parked = false;
    }

    /// Returns the queued frames.
    pub(crate) fn into_frames(self) -> VecDeque<Frame> {
        self.queue
    }

    /// Drops all queued frames.
    pub(crate) fn forget(&mut self) {
        self.queue = VecDeque::new();
        self.budget.clear();
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
    fn frames_leave_in_order_and_only_for_requests() {
        let mut polling = PollingQueue::new(1_000_000, 1_000_000);
        let mut sent: Vec<String> = Vec::new();
        let mut next = 0;
        let mut send = |polling: &mut PollingQueue, sent: &mut Vec<String>| {
            let delivery = polling.send(None, &frame(next), FrameClass::Event, &mut |frame| {
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
    fn answer_has_at_most_the_packets_that_the_strictest_client_accepts() {
        const TAKEN: usize = 16;
        let body = "[\"message\",{}]";
        for step in 1..=10 {
            let mut polling = PollingQueue::new(1_000_000, 1_000_000);
            let mut refuse = |_: &Frame| Err(Delivery::Full);
            let mut waiting = 0;
            for n in 0..60 {
                let attachments = vec![Bytes::from_static(b"x"); n * step % 11];
                let frame = Frame::new(None, body, &attachments);
                polling.send(None, &frame, FrameClass::Event, &mut refuse);
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
        let mut polling = PollingQueue::new(100, 1_000);
        let full = Frame::new(None, &format!("[\"{}\"]", "x".repeat(80)), &[]);
        assert_eq!(
            polling.send(None, &full, FrameClass::Chunk, &mut |_| Ok(())),
            Delivery::Queued
        );
        assert_eq!(
            polling.send(None, &full, FrameClass::Chunk, &mut |_| Ok(())),
            Delivery::Full
        );
        assert_eq!(
            polling.send(None, &full, FrameClass::Event, &mut |_| Ok(())),
            Delivery::Queued
        );
        assert_eq!(
            polling.send(None, &full, FrameClass::Event, &mut |_| Ok(())),
            Delivery::Full
        );
    }

    #[test]
    fn long_event_is_queued_with_the_events_after_it() {
        let long = Frame::new(None, &format!("[\"{}\"]", "x".repeat(4_000)), &[]);
        let mut polling = PollingQueue::new(100, 1_000);
        let mut refuse = |_: &Frame| Err(Delivery::Full);
        for frame in [&frame(0), &long, &frame(1), &frame(2)] {
            let delivery = polling.send(None, frame, FrameClass::Event, &mut refuse);
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
