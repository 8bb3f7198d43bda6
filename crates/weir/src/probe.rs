//! `weir probe`: checks as a client that nodes form one cluster.

use std::{
    fmt::Write as _,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};
use weir_protocol::event;

/// Timeout of each step.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Payload of the chunk.
const PAYLOAD: &[u8] = b"weir probe";

/// Client of one node. It ignores all events that it does not wait for.
struct ProbeClient {
    address: SocketAddr,
    socket: WebSocket<TcpStream>,
    requests: u64,
}

impl ProbeClient {
    fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, STEP_TIMEOUT)?;
        stream.set_read_timeout(Some(STEP_TIMEOUT))?;
        stream.set_write_timeout(Some(STEP_TIMEOUT))?;
        stream.set_nodelay(true)?;
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let (socket, _) = tungstenite::client(url, stream)?;
        let mut client = Self {
            address,
            socket,
            requests: 0,
        };
        client.next(|text| text.starts_with('0').then_some(()))?;
        client.send("40")?;
        client.next(|text| text.starts_with("40").then_some(()))?;
        Ok(client)
    }

    fn send(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::text(text))?)
    }

    /// Waits for the first packet that `select` maps to a value. Answers pings.
    fn next<T>(&mut self, mut select: impl FnMut(&str) -> Option<T>) -> anyhow::Result<T> {
        let deadline = Instant::now() + STEP_TIMEOUT;
        while Instant::now() < deadline {
            match self.socket.read()? {
                Message::Text(text) if text.as_str() == "2" => self.send("3")?,
                Message::Text(text) if text.as_str().starts_with("44") => bail!("refused: {text}"),
                Message::Text(text) => {
                    if let Some(found) = select(&text) {
                        return Ok(found);
                    }
                }
                Message::Close(_) => bail!("the node closed the connection"),
                _ => {}
            }
        }
        bail!("no answer within {} s", STEP_TIMEOUT.as_secs())
    }

    /// Sends a request and returns its result, which must be a success.
    fn request(&mut self, name: &str, argument: &Value) -> anyhow::Result<Value> {
        let id = self.requests;
        self.requests += 1;
        self.send(&format!("42{id}{}", json!([name, argument])))?;
        let answer = format!("43{id}[");
        let text = self
            .next(|text| text.starts_with(&answer).then(|| text.to_owned()))
            .with_context(|| format!("{name} got no answer"))?;
        let mut answer: Value = serde_json::from_str(&text[answer.len() - 1..])?;
        let answer = answer[0].take();
        ensure!(
            answer["ok"] == true,
            "{name} is refused: {}",
            answer["error"]
        );
        Ok(answer)
    }

    fn join(&mut self, room: &Value) -> anyhow::Result<Duration> {
        let start = Instant::now();
        self.request(
            event::ROOM_JOIN,
            &json!({ "room": room, "name": "weir probe" }),
        )?;
        Ok(start.elapsed())
    }

    fn send_chunk(&mut self, track: &Value) -> anyhow::Result<()> {
        let header = json!({ "track": track, "ts": 0, "key": true });
        let arguments = json!([event::MEDIA, header, { "_placeholder": true, "num": 0 }]);
        self.send(&format!("451-{arguments}"))?;
        Ok(self.socket.send(Message::binary(PAYLOAD))?)
    }

    /// Waits for the chunk and compares it with the one that was sent.
    fn receive_chunk(&mut self) -> anyhow::Result<()> {
        let media = format!("[\"{}\"", event::MEDIA);
        self.next(|text| (text.starts_with("451-") && text.contains(&media)).then_some(()))
            .context("the chunk did not arrive")?;
        match self.socket.read()? {
            Message::Binary(payload) if payload == PAYLOAD => Ok(()),
            other => bail!("an unexpected chunk arrived: {other:?}"),
        }
    }
}

/// Resolves the hosts of `urls` to their addresses, each once.
fn addresses(urls: &[String]) -> anyhow::Result<Vec<SocketAddr>> {
    let mut found = Vec::new();
    for url in urls {
        let host = url
            .strip_prefix("http://")
            .unwrap_or(url)
            .trim_end_matches('/');
        ensure!(!host.contains("://"), "{url}: only http:// can be probed");
        let name = if host.contains(':') {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let resolved = name
            .to_socket_addrs()
            .with_context(|| format!("{url} has no address"))?;
        found.extend(resolved);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Joins one room through each node of `urls`, and sends a chunk from one to all others. Returns a
/// report.
///
/// # Errors
/// If there are fewer than `nodes` nodes, or a step fails.
pub(crate) fn probe(urls: &[String], nodes: usize) -> anyhow::Result<String> {
    let addresses = addresses(urls)?;
    let listed = addresses.iter().map(ToString::to_string);
    ensure!(
        addresses.len() >= nodes,
        "{} of {nodes} nodes found: {}",
        addresses.len(),
        listed.collect::<Vec<_>>().join(", ")
    );
    let mut clients = Vec::new();
    for address in addresses {
        let client = ProbeClient::connect(address);
        clients.push(client.with_context(|| format!("cannot connect to {address}"))?);
    }
    let [publisher, others @ ..] = clients.as_mut_slice() else {
        bail!("no node to probe");
    };
    let mut lines = String::new();
    let mut line = |address: SocketAddr, joined: Duration, what: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(
            lines,
            "{address:<21} joined in {:.1} ms, {what}",
            joined.as_secs_f64() * 1e3
        );
    };
    let at = publisher.address;
    let failed = || format!("at {at}");
    let created = publisher
        .request(event::ROOM_CREATE, &json!({}))
        .with_context(failed)?;
    let room = &created["room"]["id"];
    let joined = publisher.join(room).with_context(failed)?;
    let mut waits = Vec::new();
    for other in &mut *others {
        waits.push(
            other
                .join(room)
                .with_context(|| format!("at {}", other.address))?,
        );
    }
    let track = json!({ "kind": "data", "codec": "text", "name": "weir probe" });
    let published = publisher
        .request(event::TRACK_PUBLISH, &track)
        .with_context(failed)?;
    let sent = Instant::now();
    publisher
        .send_chunk(&published["track"]["id"])
        .with_context(failed)?;
    line(at, joined, "sent a chunk");
    for (other, joined) in others.iter_mut().zip(waits) {
        let address = other.address;
        other
            .receive_chunk()
            .with_context(|| format!("at {address}, from {at}"))?;
        let after = sent.elapsed().as_secs_f64() * 1e3;
        line(address, joined, &format!("got it {after:.1} ms later"));
    }
    Ok(lines)
}
