//! Client against a server of a few lines over the loopback: the bytes of each side.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use weir_testkit::{Arrival, ConnectError, Disconnect, RequestError, SocketClient, placeholder};

const NONE: &[Bytes] = &[];

/// Server's end of a connection.
struct Peer {
    stream: TcpStream,
}

impl Peer {
    async fn accept(listener: &TcpListener) -> Self {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(
            head.starts_with("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"),
            "{head}"
        );
        // The opening may come in one packet with the response.
        let mut answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
            .to_vec();
        answer.extend(frame(0x81, br#"0{"sid":"engine","pingInterval":25000}"#));
        stream.write_all(&answer).await.unwrap();
        let mut peer = Self { stream };
        assert_eq!(peer.text().await, "40");
        peer
    }

    /// Reads a frame; returns its opcode and payload.
    async fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let [first, second] = [self.stream.read_u8().await?, self.stream.read_u8().await?];
        assert_eq!(second & 0x80, 0x80, "a client must mask");
        let len = match second & 0x7f {
            126 => u64::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await?,
            short => u64::from(short),
        };
        assert_eq!(
            self.stream.read_u32().await?,
            0,
            "with the key that changes nothing"
        );
        let mut payload = vec![0; len as usize];
        self.stream.read_exact(&mut payload).await?;
        Ok((first & 0x0f, payload))
    }

    async fn text(&mut self) -> String {
        let (opcode, payload) = self.frame().await.unwrap();
        assert_eq!(opcode, 1);
        String::from_utf8(payload).unwrap()
    }

    async fn send(&mut self, text: &str) {
        self.stream
            .write_all(&frame(0x81, text.as_bytes()))
            .await
            .unwrap();
    }
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match u16::try_from(payload.len()) {
        Ok(len @ 0..126) => bytes.push(len as u8),
        Ok(len) => {
            bytes.push(126);
            bytes.extend(len.to_be_bytes());
        }
        Err(_) => {
            bytes.push(127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

async fn pair() -> (SocketClient, Peer) {
    let (listener, addr) = listen().await;
    let server = async {
        let mut peer = Peer::accept(&listener).await;
        peer.send(r#"40{"sid":"socket"}"#).await;
        peer
    };
    let (client, peer) = tokio::join!(SocketClient::connect(addr), server);
    (client.unwrap(), peer)
}

#[tokio::test]
async fn client_connects_from_its_source_and_keeps_the_handshake() {
    let (listener, addr) = listen().await;
    let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 5));
    let server = async {
        let mut peer = Peer::accept(&listener).await;
        peer.send(r#"40{"sid":"socket"}"#).await;
        peer.stream.peer_addr().unwrap().ip()
    };
    let (client, seen) = tokio::join!(SocketClient::connect_from(source, addr), server);
    let client = client.unwrap();
    assert_eq!(seen, source);
    assert_eq!(client.opening().sid, "socket");
    assert_eq!(client.opening().engine["pingInterval"], 25_000);
}

#[tokio::test]
async fn refused_namespace_returns_the_servers_message() {
    let (listener, addr) = listen().await;
    let server = async {
        let mut peer = Peer::accept(&listener).await;
        peer.send(r#"44{"message":"unauthorized: no"}"#).await;
    };
    let (client, ()) = tokio::join!(SocketClient::connect(addr), server);
    let Err(ConnectError::Refused(message)) = client else {
        panic!("not refused: {client:?}");
    };
    assert_eq!(message, "unauthorized: no");
}

#[tokio::test]
async fn acknowledgements_match_requests_in_any_order() {
    let (client, mut peer) = pair().await;
    let server = async {
        assert_eq!(peer.text().await, r#"420["a",{"x":1}]"#);
        assert_eq!(
            peer.text().await,
            r#"451-1["b",{"_placeholder":true,"num":0}]"#
        );
        assert_eq!(peer.frame().await.unwrap(), (2, b"bytes".to_vec()));
        peer.send(r#"431["second"]"#).await;
        peer.send(r#"430["first"]"#).await;
    };
    let (first, second, ()) = tokio::join!(
        client.request("a", json!({"x": 1})),
        client.request_binary("b", placeholder(0), &[b"bytes"]),
        server,
    );
    assert_eq!(first.unwrap(), "first");
    assert_eq!(second.unwrap(), "second");
}

#[tokio::test]
async fn events_and_acknowledgements_keep_the_order_of_the_wire() {
    let (mut client, mut peer) = pair().await;
    let id = client
        .request_in_order("ask", Value::Null, NONE)
        .await
        .unwrap();
    peer.send(r#"42["before"]"#).await;
    peer.send(r#"430[{"ok":true}]"#).await;
    peer.send(r#"42["after"]"#).await;
    let mut order = Vec::new();
    for _ in 0..3 {
        order.push(match client.next_arrival().await.unwrap() {
            Arrival::Event(event) => event.event,
            Arrival::Ack(ack) => format!("{} {}", ack.id, ack.args[0]),
        });
    }
    assert_eq!(
        order,
        [
            "before".into(),
            format!(r#"{id} {{"ok":true}}"#),
            "after".into()
        ]
    );
}

#[tokio::test]
async fn chunks_of_every_size_are_sent_and_received_intact() {
    let (mut client, mut peer) = pair().await;
    for len in [0, 200, 70_000] {
        let payload = vec![7; len];
        client.send_media(3, -5, true, &payload).await.unwrap();
        let sent: Value = serde_json::from_str(&peer.text().await["451-".len()..]).unwrap();
        let header = json!({"track": 3, "ts": -5, "key": true});
        assert_eq!(
            sent,
            json!(["media", header, {"_placeholder": true, "num": 0}])
        );
        assert_eq!(peer.frame().await.unwrap(), (2, payload.clone()));

        let header = r#"{"track":3,"seq":1,"ts":-5,"key":true,"replay":true,"dur":20}"#;
        peer.send(&format!(
            r#"451-["media",{header},{{"_placeholder":true,"num":0}}]"#
        ))
        .await;
        peer.stream.write_all(&frame(0x82, &payload)).await.unwrap();
        let event = client.next().await.unwrap();
        let (header, received) = event.media().unwrap();
        assert_eq!(
            (header.seq, header.dur, header.key, header.replay),
            (1, Some(20), true, true)
        );
        assert_eq!(received[..], payload[..]);
    }
}

#[tokio::test]
async fn pings_are_answered() {
    let (_client, mut peer) = pair().await;
    peer.send("2").await;
    assert_eq!(peer.text().await, "3");
    peer.stream.write_all(&frame(0x89, b"hello")).await.unwrap();
    assert_eq!(peer.frame().await.unwrap(), (10, b"hello".to_vec()));
}

#[tokio::test]
async fn paused_client_reads_nothing_until_it_resumes() {
    let (mut client, peer) = pair().await;
    client.pause_reading();
    let event = frame(0x81, format!(r#"42["{}"]"#, "x".repeat(1 << 16)).as_bytes());
    // Fills the kernel's buffers until the client's pause blocks the server.
    let mut sent = Vec::new();
    loop {
        match peer.stream.try_write(&event[sent.len() % event.len()..]) {
            Ok(written) => sent.resize(sent.len() + written, 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    // A client that is not paused would read in any of these turns.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(client.try_next().is_none(), "read although paused");
    client.resume_reading();
    for _ in 0..sent.len() / event.len() {
        assert_eq!(client.next().await.unwrap().event.len(), 1 << 16);
    }
}

#[tokio::test]
async fn pending_requests_return_the_close_reason() {
    let (mut client, mut peer) = pair().await;
    let server = async {
        peer.text().await;
        peer.send(r#"42["last"]"#).await;
        peer.stream
            .write_all(&frame(0x88, b"\x03\xf1too big"))
            .await
            .unwrap();
    };
    let (answer, ()) = tokio::join!(client.request("a", Value::Null), server);
    let too_big = |reason: &Disconnect| matches!(reason, Disconnect::WebSocket { code: 1009, reason } if reason == "too big");
    assert!(matches!(answer, Err(RequestError::Ended(reason)) if too_big(&reason)));
    assert!(too_big(&client.disconnected().await));
    assert_eq!(
        client.next().await.unwrap().event,
        "last",
        "what came before is not lost"
    );
    assert!(too_big(&client.next().await.unwrap_err()));
    let late = client.request("b", Value::Null).await;
    assert!(matches!(late, Err(RequestError::Ended(reason)) if too_big(&reason)));
}

#[tokio::test]
async fn close_disconnects_namespace_and_websocket() {
    let (client, mut peer) = pair().await;
    let server = async {
        assert_eq!(peer.text().await, "41");
        assert_eq!(peer.frame().await.unwrap(), (8, vec![0x03, 0xe8]));
        drop(peer);
    };
    let (closed, ()) = tokio::join!(client.close(), server);
    closed.unwrap();
}

#[tokio::test]
async fn vanish_resets_the_connection() {
    let (client, mut peer) = pair().await;
    client.vanish().await.unwrap();
    let error = peer.frame().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}
