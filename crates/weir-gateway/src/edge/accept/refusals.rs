//! Refused connections: responds to, counts and logs them.

use std::{
    collections::VecDeque,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    time::timeout,
};
use tracing::warn;
use weir_core::Refused;
use weir_engine::Engine;

/// Maximum refused connections that are responded to at a time. Beyond it, the oldest is finished
/// at once.
pub const RESERVE: usize = 1024;

/// Grace period for the request of a refused connection, before the response is sent regardless.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Grace period for the peer to read the response and close.
const LINGER: Duration = Duration::from_secs(2);

/// Maximum bytes of the request's head that are read.
const HEAD_BYTES: usize = 16 * 1024;

/// Interval between two log lines for the same reason.
const PAUSE: Duration = Duration::from_secs(1);

/// Reason for refusing a connection to the public listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A limit on connections is reached.
    Limit(Refused),
    /// A trusted proxy did not send a valid PROXY protocol header.
    ProxyHeader,
}

impl Reason {
    /// Returns the value of the metric's label.
    const fn label(self) -> &'static str {
        match self {
            Self::Limit(Refused::Total { .. }) => "total",
            Self::Limit(Refused::PerAddress { .. }) => "per-address",
            Self::ProxyHeader => "proxy-header",
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Limit(Refused::Total { .. }) => 0,
            Self::Limit(Refused::PerAddress { .. }) => 1,
            Self::ProxyHeader => 2,
        }
    }

    /// Returns the configuration key, and the limit if it is one.
    const fn key(self) -> (&'static str, Option<usize>) {
        match self {
            Self::Limit(Refused::Total { limit }) => ("server.max_connections", Some(limit)),
            Self::Limit(Refused::PerAddress { limit }) => {
                ("server.max_connections_per_address", Some(limit))
            }
            Self::ProxyHeader => ("server.proxy_protocol", None),
        }
    }
}

/// Counts, logs and responds to refused connections. Clones share their state.
#[derive(Debug, Clone)]
pub(crate) struct Refusals {
    /// Refusals not yet logged, by reason. Guards the counts only.
    tallies: Arc<[Mutex<Tally>; 3]>,
    pub(crate) responder: Responder,
    engine: Engine,
}

#[derive(Debug, Default)]
struct Tally {
    count: u64,
    /// Whether a task that logs the count is running.
    logged: bool,
}

impl Refusals {
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            tallies: Arc::default(),
            responder: Responder::default(),
            engine,
        }
    }

    /// Counts a refused connection from `address`. Logs the first at once, and further ones as a count
    /// once a second. Must be called within a tokio runtime.
    pub(crate) fn count(&self, reason: Reason, address: IpAddr) {
        let counters = self.engine.counters();
        let counter = match reason {
            Reason::Limit(Refused::Total { .. }) => &counters.connections_refused_total,
            Reason::Limit(Refused::PerAddress { .. }) => &counters.connections_refused_per_address,
            Reason::ProxyHeader => &counters.connections_refused_proxy_header,
        };
        counter.add_one();
        let mut tally = self.tally(reason);
        tally.count += 1;
        if !tally.logged {
            tally.logged = true;
            drop(tally);
            tokio::spawn(self.clone().log(reason, address));
        }
    }

    fn tally(&self, reason: Reason) -> MutexGuard<'_, Tally> {
        let tally = &self.tallies[reason.index()];
        tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn log(self, reason: Reason, address: IpAddr) {
        let (key, limit) = reason.key();
        let label = reason.label();
        loop {
            let count = {
                let mut tally = self.tally(reason);
                tally.logged = tally.count > 0;
                std::mem::take(&mut tally.count)
            };
            if count == 0 {
                return;
            }
            warn!(count, reason = label, key, limit, %address, "connections are refused");
            // Coalesces refusals in this interval into one line.
            #[allow(clippy::disallowed_methods)]
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Responds to a bounded number of refused connections at a time. Clones share their state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Responder {
    /// One sender per connection, the oldest first; dropping it finishes the connection at once.
    waiting: Arc<Mutex<VecDeque<oneshot::Sender<()>>>>,
}

impl Responder {
    /// Responds to a connection with 503 and a line with the reason.
    ///
    /// The peer has time to send its request and to read the response (lingering close). If too
    /// many are pending, the oldest gets its response and is closed at once. So every connection
    /// gets a response, and a flood of refusals delays no other connection.
    pub(crate) fn respond(&self, stream: TcpStream, why: &impl ToString) {
        let body = format!("{}\n", why.to_string());
        let (hold, hurry) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() >= RESERVE {
                waiting.retain(|hold| !hold.is_closed());
            }
            if waiting.len() >= RESERVE {
                waiting.pop_front();
            }
            waiting.push_back(hold);
        }
        // A peer that has gone needs no response.
        tokio::spawn(async move { respond(stream, &body, hurry).await });
    }
}

async fn respond(
    mut stream: TcpStream,
    body: &str,
    mut hurry: oneshot::Receiver<()>,
) -> io::Result<()> {
    let mut hurried = tokio::select! {
        biased;
        _ = &mut hurry => true,
        read = timeout(REQUEST_TIMEOUT, read_head(&mut stream)) => {
            read.unwrap_or(Ok(()))?;
            false
        }
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n\
         content-length: {length}\r\nretry-after: 5\r\nconnection: close\r\n\r\n{body}"
    );
    // An unused connection always has room for this in its send buffer.
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // Closing a socket with unread bytes resets it, which may discard the response.
    if !hurried {
        hurried = tokio::select! {
            biased;
            _ = hurry => true,
            drained = timeout(LINGER, drain(&mut stream)) => drained.is_err(),
        };
    }
    let mut scrap = [0; 512];
    while hurried && stream.try_read(&mut scrap)? > 0 {}
    Ok(())
}

/// Reads to the end of a request's head, or until it cannot be one.
async fn read_head(stream: &mut TcpStream) -> io::Result<()> {
    let (mut scrap, mut all, mut end) = ([0; 512], 0, [0; 4]);
    loop {
        let read = stream.read(&mut scrap).await?;
        if read == 0 || all == 0 && !scrap[0].is_ascii_uppercase() {
            return Ok(());
        }
        all += read;
        for byte in &scrap[..read] {
            end.rotate_left(1);
            end[3] = *byte;
            if end == *b"\r\n\r\n" || end[2..] == *b"\n\n" {
                return Ok(());
            }
        }
        if all > HEAD_BYTES {
            return Ok(());
        }
    }
}

/// Reads until the peer closes.
async fn drain(stream: &mut TcpStream) -> io::Result<()> {
    let mut scrap = [0; 512];
    while stream.read(&mut scrap).await? > 0 {}
    Ok(())
}
