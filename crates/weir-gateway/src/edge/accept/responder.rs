//! Responses to refused connections.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

/// Maximum refused connections that are responded to at a time. Beyond it, the oldest is finished
/// at once.
pub const RESERVE: usize = 1024;

/// Grace period for the request of a refused connection, before the response is sent regardless.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Grace period for the peer to read the response and close.
const LINGER: Duration = Duration::from_secs(2);

/// Maximum bytes of the request's head that are read.
const HEAD_BYTES: usize = 16 * 1024;

/// Responds to a bounded number of refused connections at a time. Clones share their state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Responder {
    /// Guards the pending responses, the oldest first.
    pending: Arc<Mutex<VecDeque<PendingResponse>>>,
}

/// Response that waits for its peer's request, or for the peer to close.
#[derive(Debug)]
struct PendingResponse {
    /// Ends the wait when it is dropped.
    wait: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Responder {
    /// Responds to a connection with 503 and a line with the reason.
    ///
    /// The peer has time to send its request and to read the response (lingering close). If too
    /// many are pending, the oldest gets its response and is closed at once. So every connection
    /// gets a response, and a flood of refusals delays no other connection.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn respond(&self, stream: TcpStream, reason: &impl ToString) {
        let body = format!("{}\n", reason.to_string());
        let (wait, hurry) = oneshot::channel();
        let mut pending = self.pending.lock();
        if pending.len() >= RESERVE {
            pending.retain(|response| !response.wait.is_closed());
        }
        if pending.len() >= RESERVE {
            pending.pop_front();
        }
        let task = tokio::spawn(async move {
            // A peer that has gone needs no response.
            let _ = respond(stream, &body, hurry).await;
        });
        pending.push_back(PendingResponse { wait, task });
    }

    /// Sends every pending response at once, and returns when all are sent.
    pub(crate) async fn finish(&self) {
        let pending = std::mem::take(&mut *self.pending.lock());
        let (waits, tasks): (Vec<_>, Vec<_>) = pending
            .into_iter()
            .map(|response| (response.wait, response.task))
            .unzip();
        drop(waits);
        for task in tasks {
            // A response that panicked has no peer to wait for.
            let _ = task.await;
        }
    }
}

async fn respond(
    mut stream: TcpStream,
    body: &str,
    mut hurry: oneshot::Receiver<()>,
) -> io::Result<()> {
    let mut hurried = tokio::select! {
        // A full reserve takes priority over the peer.
        biased;
        _ = &mut hurry => true,
        read = timeout(REQUEST_TIMEOUT, read_head(&mut stream)) => {
            read.unwrap_or(Ok(()))?;
            false
        }
    };
    let length = body.len();
    let response = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n\
         content-length: {length}\r\nretry-after: 5\r\nconnection: close\r\n\r\n{body}"
    );
    // An unused connection always has room for this in its send buffer.
    stream.write_all(response.as_bytes()).await?;
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
    let (mut scrap, mut total, mut end) = ([0; 512], 0, [0; 4]);
    loop {
        let read = stream.read(&mut scrap).await?;
        if read == 0 || total == 0 && !scrap[0].is_ascii_uppercase() {
            return Ok(());
        }
        total += read;
        for byte in &scrap[..read] {
            end.rotate_left(1);
            end[3] = *byte;
            if end == *b"\r\n\r\n" || end[2..] == *b"\n\n" {
                return Ok(());
            }
        }
        if total > HEAD_BYTES {
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn peers_that_are_silent_get_their_response_when_the_responder_finishes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let responder = Responder::default();
        let mut peers = Vec::new();
        for _ in 0..3 {
            peers.push(TcpStream::connect(address).await.expect("it connects"));
            let (stream, _) = listener.accept().await.expect("it is accepted");
            responder.respond(stream, &"over the limit");
        }
        timeout(REQUEST_TIMEOUT / 2, responder.finish())
            .await
            .expect("no response waits for a request");
        for mut peer in peers {
            let mut response = String::new();
            peer.read_to_string(&mut response)
                .await
                .expect("it is read");
            assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
            assert!(response.ends_with("\r\n\r\nover the limit\n"), "{response}");
        }
    }
}
