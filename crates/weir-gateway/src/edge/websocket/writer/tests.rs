use std::{net::IpAddr, pin::Pin, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};
use weir_cluster::{MemoryHub, MemoryOptions};
use weir_core::ConnectionLimits;
use weir_engine::{Engine, EngineOptions};

use super::*;
use crate::{
    config::ServerConfig,
    edge::{
        accept::{acceptor::Acceptor, gate::Gate, listener::BoundListener, responder::Responder},
        client_address::proxies::Proxies,
        websocket::frames,
    },
};

const QUEUE_BYTES: usize = 256 * 1024;

/// Writer that the library uses.
struct Library(Arc<Lane>, Arc<AcceptedConnection>);

impl AsyncWrite for Library {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_library_write(&self.1, context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Connects a lane to a peer whose system buffers little unread data.
async fn pair() -> (Library, TcpStream) {
    let hub = MemoryHub::new(MemoryOptions::default());
    let engine = Engine::in_memory(EngineOptions::default(), &hub);
    let limits = ConnectionLimits {
        total: 1,
        per_address: 1,
    };
    let acceptor = Acceptor {
        gate: Gate::new(limits, engine),
        proxies: Proxies::new(&ServerConfig::default()),
        responder: Responder::default(),
        header_timeout: Duration::from_secs(10),
        unsent_bytes: 16 * 1024,
    };
    let address = "127.0.0.1:0".parse().expect("an address");
    let listener = BoundListener::bind(address).expect("a port");
    let address = listener.address();
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(16 * 1024).expect("a size");
    let (accepted, mut connections) = mpsc::channel(1);
    let taking = acceptor.run(&listener, move |connection| {
        accepted.try_send(connection).expect("one connection");
    });
    let peer = tokio::select! {
        () = taking => unreachable!("it goes on"),
        peer = async {
            let peer = socket.connect(address).await.expect("it connects");
            (peer, connections.recv().await.expect("it is accepted"))
        } => peer,
    };
    let (peer, connection) = peer;
    let connection = Arc::new(connection);
    let lane = Arc::new(Lane::new(Arc::clone(&connection), QUEUE_BYTES));
    (Library(lane, connection), peer)
}

fn notice(number: usize, length: usize) -> Frame {
    Frame::new(None, &format!("{number:08}{}", "x".repeat(length)), &[])
}

/// Reads whole frames. Returns their first eight bytes of text, or of payload after the type.
async fn frames(peer: &mut TcpStream, count: usize) -> Vec<String> {
    let mut read = Vec::new();
    while read.len() < count {
        let mut header = [0; 2];
        peer.read_exact(&mut header).await.expect("a header");
        let length = match header[1] {
            126 => u64::from(peer.read_u16().await.expect("a length")),
            127 => peer.read_u64().await.expect("a length"),
            short => short.into(),
        };
        let mut payload = vec![0; usize::try_from(length).expect("a length")];
        peer.read_exact(&mut payload).await.expect("a payload");
        let text = String::from_utf8(payload).expect("text");
        read.push(text.trim_start_matches("42").chars().take(8).collect());
    }
    read
}

#[tokio::test]
async fn frames_of_both_come_whole_and_each_in_its_order_however_slowly_they_are_read() {
    const OURS: usize = 60;
    const THEIRS: usize = 200;
    let (mut library, mut peer) = pair().await;
    let lane = Arc::clone(&library.0);
    let theirs = tokio::spawn(async move {
        for number in 0..THEIRS {
            // As the library writes: in pieces that may end anywhere.
            let text = format!("L{number:07}{}", "y".repeat(number * 7));
            let mut frame = frames::tests::frame(0x81, text.len(), false);
            let start = frame.len() - text.len();
            frame[start..].copy_from_slice(text.as_bytes());
            for piece in frame.chunks(301) {
                library.write_all(piece).await.expect("it is written");
            }
        }
        library
    });
    let mut queued = 0;
    for number in 0..OURS {
        match lane.notice(&notice(number, 8_000), || {}) {
            Delivery::Queued => queued += 1,
            Delivery::Sent => {}
            other => panic!("{other:?}"),
        }
        tokio::task::yield_now().await;
    }
    assert!(queued > 0, "the peer takes everything at once");
    let reading = frames(&mut peer, OURS + THEIRS);
    let read = timeout(Duration::from_secs(20), reading).await;
    let read = read.expect("all frames come");
    let of = |library: bool| {
        let mine = read
            .iter()
            .filter(move |text| text.starts_with('L') == library);
        mine.map(|text| {
            text.trim_start_matches('L')
                .parse::<usize>()
                .expect("a number")
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(of(true), (0..THEIRS).collect::<Vec<_>>());
    assert_eq!(of(false), (0..OURS).collect::<Vec<_>>());
    theirs.await.expect("all is written");
}

#[tokio::test]
async fn chunks_are_refused_before_events_and_events_close_what_cannot_take_them() {
    let (library, mut peer) = pair().await;
    let lane = &library.0;
    let mut chunks = 0;
    while lane.chunk(None, &notice(chunks, 10_000)) != Delivery::Full {
        chunks += 1;
    }
    assert!(chunks * 10_000 >= QUEUE_BYTES, "only {chunks} wait");
    let gap = notice(99, 10);
    assert_eq!(lane.chunk(Some(&gap), &notice(0, 10_000)), Delivery::Full);
    let mut events = 0;
    while lane.notice(&notice(events, 10_000), || {}) == Delivery::Queued {
        events += 1;
    }
    assert!(events * 10_000 >= QUEUE_BYTES / 2, "only {events} wait");
    assert!(lane.is_closed());
    assert_eq!(lane.notice(&gap, || {}), Delivery::Closed);
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(20), peer.read_to_end(&mut rest)).await;
    let _ = ended.expect("the peer sees the end");
}

#[tokio::test]
async fn long_event_and_all_that_come_behind_it_are_delivered_however_slowly_they_are_read() {
    const LONG: usize = 4 * 1024 * 1024;
    const LATER: usize = 40;
    let (library, mut peer) = pair().await;
    let lane = &library.0;
    assert_eq!(lane.notice(&notice(0, 200_000), || {}), Delivery::Queued);
    assert_eq!(lane.notice(&notice(1, LONG), || {}), Delivery::Queued);
    // As many as may be queued without the long one.
    for number in 2..2 + LATER {
        assert_eq!(lane.notice(&notice(number, 8_000), || {}), Delivery::Queued);
    }
    assert_eq!(lane.chunk(None, &notice(99, 10)), Delivery::Full);
    let reading = frames(&mut peer, 2 + LATER);
    let read = timeout(Duration::from_secs(20), reading).await;
    let read = read.expect("all frames come");
    let wanted: Vec<_> = (0..2 + LATER)
        .map(|number| format!("{number:08}"))
        .collect();
    assert_eq!(read, wanted);
    assert_eq!(lane.notice(&notice(99, 10), || {}), Delivery::Sent);
}

#[tokio::test]
async fn what_waits_is_forgotten_but_for_the_rest_of_a_frame() {
    let (library, mut peer) = pair().await;
    let lane = &library.0;
    while lane.notice(&notice(1, 50_000), || {}) == Delivery::Sent {}
    for number in 2..6 {
        assert_eq!(lane.notice(&notice(number, 1_000), || {}), Delivery::Queued);
    }
    lane.forget();
    assert!(lane.waiting().0 < 51_000, "{:?}", lane.waiting());
    assert_ne!(lane.notice(&notice(9, 10), || {}), Delivery::Closed);
    let reading = async {
        loop {
            let frame = frames(&mut peer, 1).await.remove(0);
            if frame != "00000001" {
                return frame;
            }
        }
    };
    let next = timeout(Duration::from_secs(20), reading).await;
    assert_eq!(next.expect("frames go on"), "00000009");
    assert_eq!(lane.waiting(), (0, None));
}

#[tokio::test]
async fn a_closed_lane_gives_its_socket_and_its_place_back() {
    let (library, mut peer) = pair().await;
    let Library(lane, connection) = library;
    let address: IpAddr = connection.peer().ip();
    assert!(address.is_loopback());
    lane.close();
    drop(connection);
    assert_eq!(peer.read(&mut [0; 8]).await.expect("an end"), 0);
    // The peer's writes fail once its socket is gone.
    while peer.write(&[0; 1024]).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
