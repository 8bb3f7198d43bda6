//! Connections that are refused: each is told why, all are counted, and some are logged.

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

/// How many refused connections are told why at a time. One more has the first of them end.
pub const RESERVE: usize = 1024;

/// How long a refused connection may take to ask, before it is told all the same.
const ASKING: Duration = Duration::from_secs(5);

/// How long it may take to hear it.
const HEARING: Duration = Duration::from_secs(1);

/// What is read of what it asks.
const HEAD_BYTES: usize = 16 * 1024;

/// Between two lines of a log that say the same.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a connection to the public listener is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// By a limit.
    Limit(Refused),
    /// A trusted proxy that did not begin with a good header of the PROXY protocol.
    ProxyHeader,
}

impl Reason {
    /// As the label of the metric has it.
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

    /// The key that decides it, and its value if that is a number.
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

/// Counts and logs refusals. Clones are of the same node.
#[derive(Debug, Clone)]
pub(crate) struct Refusals {
    /// What is still to be logged, by reason; locked to count.
    tallies: Arc<[Mutex<Tally>; 3]>,
    pub(crate) told: Told,
    engine: Engine,
}

#[derive(Debug, Default)]
struct Tally {
    count: u64,
    /// Whether a task logs what is counted.
    logged: bool,
}

impl Refusals {
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            tallies: Arc::default(),
            told: Told::default(),
            engine,
        }
    }

    /// Counts a refused connection from `address`, and has it logged: at once, and then once a second
    /// for as long as there are more. Must be called in a tokio runtime.
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
            // The pause is what is meant: one line for all that come within it.
            #[allow(clippy::disallowed_methods)]
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The connections that are being told that they are refused, a bounded number. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// One for each, which has it end when it is dropped; the first is the oldest. Locked to add one.
    waiting: Arc<Mutex<VecDeque<oneshot::Sender<()>>>>,
}

impl Told {
    /// Answers a connection with 503 and a line that says why.
    ///
    /// It is given time to ask, so that the answer is one, and to hear it. When too many are told at a
    /// time, the one that has had most of it is answered and closed at once: so nobody is closed without
    /// an answer, and whoever floods a node cannot hold it up.
    pub(crate) fn tell(&self, stream: TcpStream, why: &impl ToString) {
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
        // Whoever does not listen is not told.
        tokio::spawn(async move { answer(stream, &body, hurry).await });
    }
}

async fn answer(
    mut stream: TcpStream,
    body: &str,
    mut hurry: oneshot::Receiver<()>,
) -> io::Result<()> {
    let mut hurried = tokio::select! {
        biased;
        _ = &mut hurry => true,
        asked = timeout(ASKING, asked(&mut stream)) => {
            asked.unwrap_or(Ok(()))?;
            false
        }
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n\
         content-length: {length}\r\nretry-after: 5\r\nconnection: close\r\n\r\n{body}"
    );
    // What the kernel always has room for on a connection on which nothing was sent before.
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // A socket that is closed with unread bytes takes the answer back.
    if !hurried {
        hurried = tokio::select! {
            biased;
            _ = hurry => true,
            heard = timeout(HEARING, ended(&mut stream)) => heard.is_err(),
        };
    }
    let mut scrap = [0; 512];
    while hurried && stream.try_read(&mut scrap)? > 0 {}
    Ok(())
}

/// Waits until a request's head has come, or what can be none.
async fn asked(stream: &mut TcpStream) -> io::Result<()> {
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

/// Reads until the other side ends.
async fn ended(stream: &mut TcpStream) -> io::Result<()> {
    let mut scrap = [0; 512];
    while stream.read(&mut scrap).await? > 0 {}
    Ok(())
}
