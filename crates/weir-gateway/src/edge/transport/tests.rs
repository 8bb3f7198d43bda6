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
struct Library(Arc<ClientTransport>, Arc<AcceptedConnection>);

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

/// Connects a transport to a peer whose system buffers little unread data.
async fn pair() -> (Library, SessionOutlet, TcpStream) {
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
    let transport = ClientTransport::websocket(Arc::clone(&connection), QUEUE_BYTES);
    let transport = Arc::new(transport);
    let outlet = transport.start_session();
    (Library(transport, connection), outlet, peer)
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
async fn frames_of_both_writers_keep_their_order_for_a_slow_peer() {
    const OURS: usize = 60;
    const THEIRS: usize = 200;
    let (mut library, outlet, mut peer) = pair().await;
    let theirs = tokio::spawn(async move {
        for number in 0..THEIRS {
            // As the library writes: in pieces that may end anywhere.
            let text = format!("L{number:07}{}", "y".repeat(number * 7));
            let mut frame = frames::tests::filled(0x81, text.len(), false);
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
        match outlet.notice(&notice(number, 8_000)) {
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
async fn full_queue_refuses_chunks_first_and_then_closes_the_connection() {
    let (library, outlet, mut peer) = pair().await;
    let mut chunks = 0;
    while outlet.chunk(None, &notice(chunks, 10_000)) != Delivery::Full {
        chunks += 1;
    }
    assert!(chunks * 10_000 >= QUEUE_BYTES, "only {chunks} wait");
    let gap = notice(99, 10);
    assert_eq!(outlet.chunk(Some(&gap), &notice(0, 10_000)), Delivery::Full);
    let mut events = 0;
    while outlet.notice(&notice(events, 10_000)) == Delivery::Queued {
        events += 1;
    }
    assert!(events * 10_000 >= QUEUE_BYTES / 2, "only {events} wait");
    assert!(library.0.is_closed());
    assert_eq!(outlet.notice(&gap), Delivery::Closed);
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(20), peer.read_to_end(&mut rest)).await;
    let _ = ended.expect("the peer sees the end");
}

#[tokio::test]
async fn long_event_and_the_events_after_it_reach_a_slow_peer() {
    const LONG: usize = 4 * 1024 * 1024;
    const LATER: usize = 40;
    let (_library, outlet, mut peer) = pair().await;
    assert_eq!(outlet.notice(&notice(0, 200_000)), Delivery::Queued);
    assert_eq!(outlet.notice(&notice(1, LONG)), Delivery::Queued);
    // As many as may be queued without the long one.
    for number in 2..2 + LATER {
        assert_eq!(outlet.notice(&notice(number, 8_000)), Delivery::Queued);
    }
    assert_eq!(outlet.chunk(None, &notice(99, 10)), Delivery::Full);
    let reading = frames(&mut peer, 2 + LATER);
    let read = timeout(Duration::from_secs(20), reading).await;
    let read = read.expect("all frames come");
    let wanted: Vec<_> = (0..2 + LATER)
        .map(|number| format!("{number:08}"))
        .collect();
    assert_eq!(read, wanted);
    assert_eq!(outlet.notice(&notice(99, 10)), Delivery::Sent);
}

#[tokio::test]
async fn revoked_session_leaves_nothing_to_a_later_one_but_the_rest_of_a_frame() {
    let (library, outlet, mut peer) = pair().await;
    let transport = &library.0;
    while outlet.notice(&notice(1, 50_000)) == Delivery::Sent {}
    for number in 2..6 {
        assert_eq!(outlet.notice(&notice(number, 1_000)), Delivery::Queued);
    }
    outlet.revoke();
    assert!(transport.queued().0 < 51_000, "{:?}", transport.queued());
    let later = transport.start_session();
    assert_eq!(outlet.notice(&notice(7, 10)), Delivery::Closed);
    assert_eq!(outlet.chunk(None, &notice(8, 10)), Delivery::Closed);
    assert_ne!(later.notice(&notice(9, 10)), Delivery::Closed);
    outlet.revoke();
    assert_ne!(later.notice(&notice(10, 10)), Delivery::Closed);
    let reading = async {
        loop {
            let frame = frames(&mut peer, 1).await.remove(0);
            if frame != "00000001" {
                return [frame, frames(&mut peer, 1).await.remove(0)];
            }
        }
    };
    let next = timeout(Duration::from_secs(20), reading).await;
    assert_eq!(next.expect("two frames"), ["00000009", "00000010"]);
    assert_eq!(transport.queued(), (0, None));
}

#[tokio::test]
async fn closed_transport_releases_its_socket_and_its_permit() {
    let (library, _outlet, mut peer) = pair().await;
    let Library(transport, connection) = library;
    let address: IpAddr = connection.peer().ip();
    assert!(address.is_loopback());
    transport.shut();
    drop(connection);
    assert_eq!(peer.read(&mut [0; 8]).await.expect("an end"), 0);
    // The peer's writes fail once its socket is gone.
    while peer.write(&[0; 1024]).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
