use std::{
    future::poll_fn,
    io,
    task::{Context, Poll, Waker},
};

use tokio::time::Instant;
use weir_cluster::{MemoryHub, MemoryOptions};
use weir_engine::{Engine, EngineOptions};

use super::*;
use crate::edge::websocket::{
    admission::{CAPACITY_BYTES, FREE_BYTES, Intake, PATIENCE},
    frames::{
        TEXT,
        tests::{filled, frame},
    },
};

const BEGINNING: u8 = 0x01;
const MIDDLE: u8 = 0x00;
const ENDING: u8 = 0x80;
const PING: u8 = 0x89;

/// Returns an intake whose capacity one message of unknown length exhausts.
fn intake() -> (Intake, Engine) {
    let hub = MemoryHub::new(MemoryOptions::default());
    let engine = Engine::in_memory(EngineOptions::default(), &hub);
    (Intake::new(CAPACITY_BYTES, engine.clone()), engine)
}

fn forwarder(intake: &Intake) -> StreamForwarder {
    StreamForwarder::new(MessageAdmission::new(intake.clone()))
}

fn poll(forwarder: &mut StreamForwarder) -> Poll<io::Result<()>> {
    let mut context = Context::from_waker(Waker::noop());
    forwarder.admission.poll(&mut context)
}

fn waits(forwarder: &mut StreamForwarder) -> bool {
    poll(forwarder).is_pending()
}

/// Forwards bytes until they end or must wait. Returns what the library reads.
fn forward(forwarder: &mut StreamForwarder, bytes: &[u8]) -> Vec<u8> {
    let mut space = vec![0; bytes.len()];
    let mut buffer = ReadBuf::new(&mut space);
    let forwarded = forwarder.forward(bytes, &mut buffer);
    assert_eq!(buffer.filled().len(), forwarded);
    buffer.filled().to_vec()
}

/// Forwards all of `bytes`, in as many steps as it takes.
fn forward_all(forwarder: &mut StreamForwarder, bytes: &[u8]) {
    let mut forwarded = 0;
    while forwarded < bytes.len() {
        assert!(!waits(forwarder), "it waits after {forwarded} bytes");
        forwarded += forward(forwarder, &bytes[forwarded..]).len();
    }
}

#[tokio::test]
async fn short_messages_are_admitted_whatever_others_do() {
    let (intake, _) = intake();
    let all = intake.admit(None).await.expect("a share");
    let mut forwarder = forwarder(&intake);
    for length in [0, 5, 70_000, FREE_BYTES as usize] {
        forward_all(&mut forwarder, &filled(TEXT, length, true));
        assert!(!waits(&mut forwarder) && forwarder.is_between_messages());
    }
    drop(all);
}

#[tokio::test]
async fn long_messages_take_turns_however_they_are_split() {
    let (intake, _) = intake();
    let (mut first, mut second) = (forwarder(&intake), forwarder(&intake));
    // Two frames of 200 KiB, with a ping in between: too long only together.
    forward_all(&mut first, &filled(BEGINNING, 200 * 1024, true));
    forward_all(&mut first, &filled(PING, 100, true));
    assert!(!first.is_between_messages());
    let more = filled(MIDDLE, 200 * 1024, true);
    let header = forward(&mut first, &more).len();
    assert!(header < 20, "{header} bytes without admission");
    assert!(!waits(&mut first));

    let whole = filled(TEXT, 300 * 1024, true);
    let forwarded = forward(&mut second, &whole).len();
    assert!(forwarded < 20, "{forwarded} bytes without admission");
    assert!(waits(&mut second));
    forward_all(&mut first, &more[header..]);
    assert!(waits(&mut second), "the first is not complete");
    forward_all(&mut first, &filled(ENDING, 10, true));
    assert!(!waits(&mut second));
    forward_all(&mut second, &whole[forwarded..]);
    assert_eq!(intake.available(), CAPACITY_BYTES);
}

#[tokio::test]
async fn closed_connection_releases_its_share() {
    let (intake, _) = intake();
    let (mut first, mut second) = (forwarder(&intake), forwarder(&intake));
    forward(&mut first, &filled(BEGINNING, 300 * 1024, true));
    forward(&mut second, &filled(BEGINNING, 300 * 1024, true));
    assert!(!waits(&mut first));
    assert!(waits(&mut second));
    drop(second);
    drop(first);
    assert_eq!(intake.available(), CAPACITY_BYTES);
}

#[tokio::test(start_paused = true)]
async fn long_message_over_its_time_limit_ends_its_connection() {
    let (intake, engine) = intake();
    let mut forwarder = forwarder(&intake);
    assert!(forward(&mut forwarder, &filled(TEXT, 300 * 1024, true)).len() < 20);
    assert!(!waits(&mut forwarder));
    let start = Instant::now();
    let error = poll_fn(|context| match forwarder.admission.poll(context) {
        Poll::Ready(Err(error)) => Poll::Ready(error),
        Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
    })
    .await;
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(start.elapsed() >= PATIENCE);
    assert_eq!(engine.counters().connections_closed_late.value(), 1);
}

#[tokio::test]
async fn message_over_the_limit_is_counted() {
    let (intake, engine) = intake();
    let mut forwarder = forwarder(&intake);
    let header = &filled(TEXT, CAPACITY_BYTES as usize + 1, true)[..14];
    assert_eq!(forward(&mut forwarder, header).len(), header.len());
    assert!(forwarder.admission.is_oversize() && !waits(&mut forwarder));
    assert_eq!(engine.counters().connections_closed_oversize.value(), 1);
}

const LONG: &str = "4212345678901234567890[\"room:leave\"]";
const LONG_MARKED: &str = "42123456789012345678\r\r[\"room:leave\"]";

/// Encodes one message in masked frames, each followed by a ping.
fn message(pieces: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let last = u8::from(at + 1 == pieces.len()) << 7;
        let opcode = u8::from(at == 0);
        let key = [1, 2, at as u8, 250];
        bytes.extend(frame(last | opcode, piece.as_bytes(), Some(key)));
        bytes.extend(frame(PING, b"=", Some([9; 4])));
    }
    bytes
}

#[tokio::test]
async fn long_acknowledgement_ids_are_marked_however_the_stream_is_split() {
    let (intake, _) = intake();
    for cut in 0..=LONG.len() {
        let sent = message(&[&LONG[..cut], &LONG[cut..]]);
        let marked = message(&[&LONG_MARKED[..cut], &LONG_MARKED[cut..]]);
        let sent = [sent, message(&[LONG])].concat();
        let marked = [marked, message(&[LONG_MARKED])].concat();
        for at in 0..=sent.len() {
            let mut forwarder = forwarder(&intake);
            let (left, right) = sent.split_at(at);
            let left = forward(&mut forwarder, left);
            let right = forward(&mut forwarder, right);
            assert_eq!([left, right].concat(), marked, "split at {cut} and {at}");
        }
    }
}
