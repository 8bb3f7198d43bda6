//! Keep-alive and header timeouts of a connection.
//!
//! Hyper has one timeout for both. A balancer whose keep-alive exceeds that timeout would lose
//! requests on connections that the node closes at that moment.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// Timeouts of a connection's next request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestTimeouts {
    /// Header timeout: for the first request from accept on, for later ones from their first byte
    /// on.
    pub(crate) header: Duration,
    /// Keep-alive timeout between requests, from the last byte of an answer on.
    pub(crate) keep_alive: Duration,
}

/// Phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No request has started yet.
    First,
    /// Part of a request's head has arrived.
    Head,
    /// A request is being answered.
    Busy,
    /// No request is pending.
    Idle,
}

/// Shared phase of a connection, updated by the code that answers its requests. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct RequestPhase(Arc<Mutex<Phase>>);

/// Guard of a request that is being answered.
#[derive(Debug)]
pub(super) struct ActiveRequest(RequestPhase);

impl RequestPhase {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Phase::First)))
    }

    /// Records that the head of a request has arrived.
    pub(super) fn begin(&self) -> ActiveRequest {
        *self.0.lock() = Phase::Busy;
        ActiveRequest(self.clone())
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        *self.0.0.lock() = Phase::Idle;
    }
}

/// Stream of a connection, which ends when its next request exceeds its timeout.
#[derive(Debug)]
pub(super) struct TimedStream<S, G> {
    stream: S,
    /// Guard of the connection, held as long as the stream.
    guard: G,
    timeouts: RequestTimeouts,
    requests: RequestPhase,
    /// Phase that `deadline` belongs to.
    phase: Phase,
    deadline: Pin<Box<Sleep>>,
}

impl<S, G> TimedStream<S, G> {
    pub(super) fn new(
        (stream, guard): (S, G),
        timeouts: RequestTimeouts,
        requests: RequestPhase,
    ) -> Self {
        Self {
            stream,
            guard,
            timeouts,
            requests,
            phase: Phase::First,
            deadline: Box::pin(sleep_until(Instant::now() + timeouts.header)),
        }
    }

    pub(super) fn into_parts(self) -> (S, G) {
        (self.stream, self.guard)
    }

    /// Polls the deadline of the current phase. A new phase or `progress` restarts it.
    fn poll_deadline(&mut self, progress: bool, context: &mut Context<'_>) -> Poll<Phase> {
        let phase = *self.requests.0.lock();
        let time = match phase {
            Phase::Busy => {
                self.phase = phase;
                return Poll::Pending;
            }
            Phase::First | Phase::Head => self.timeouts.header,
            Phase::Idle => self.timeouts.keep_alive,
        };
        if phase != self.phase || progress {
            self.phase = phase;
            self.deadline.as_mut().reset(Instant::now() + time);
        }
        self.deadline.as_mut().poll(context).map(|()| phase)
    }
}

impl<S: AsyncRead + Unpin, G: Unpin> AsyncRead for TimedStream<S, G> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            let mut phase = self.requests.0.lock();
            if *phase == Phase::Idle && buffer.filled().len() > before {
                *phase = Phase::Head;
            }
            return Poll::Ready(read);
        }
        match ready!(self.poll_deadline(false, context)) {
            Phase::Head => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            // No request was lost: reports an orderly end, as if the client had closed.
            Phase::First | Phase::Busy | Phase::Idle => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncWrite + Unpin, G: Unpin> TimedStream<S, G> {
    /// Extends the deadline while the client reads an answer.
    fn extend(&mut self, context: &mut Context<'_>, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(_))) && *self.requests.0.lock() == Phase::Idle {
            // The next read reports an expired deadline.
            let _ = self.poll_deadline(true, context);
        }
    }
}

impl<S: AsyncWrite + Unpin, G: Unpin> AsyncWrite for TimedStream<S, G> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.extend(context, &written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.extend(context, &written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::timeout,
    };

    use super::*;

    const TIMES: RequestTimeouts = RequestTimeouts {
        header: Duration::from_secs(10),
        keep_alive: Duration::from_secs(75),
    };
    const MOMENT: Duration = Duration::from_secs(1);

    fn pair() -> (TimedStream<DuplexStream, ()>, DuplexStream, RequestPhase) {
        let (near, far) = duplex(64);
        let requests = RequestPhase::new();
        (
            TimedStream::new((near, ()), TIMES, requests.clone()),
            far,
            requests,
        )
    }

    /// Reads until the stream ends. Asserts that this takes `time`, and at most a moment longer.
    async fn ends_after(
        stream: &mut TimedStream<DuplexStream, ()>,
        time: Duration,
    ) -> io::Result<usize> {
        let mut byte = [0];
        let early = timeout(time - MOMENT, stream.read(&mut byte)).await;
        assert!(early.is_err(), "it ends before {time:?}: {early:?}");
        let ended = timeout(2 * MOMENT, stream.read(&mut byte)).await;
        ended.expect("it ends")
    }

    #[tokio::test(start_paused = true)]
    async fn first_head_ends_at_the_header_timeout() {
        let (mut stream, mut client, _) = pair();
        client.write_all(b"G").await.expect("room");
        assert_eq!(stream.read(&mut [0]).await.expect("a byte"), 1);
        assert_eq!(
            ends_after(&mut stream, TIMES.header).await.expect("an end"),
            0
        );
    }

    #[tokio::test(start_paused = true)]
    async fn idle_connections_outlive_incomplete_heads() {
        let (mut stream, mut client, requests) = pair();
        drop(requests.begin());
        let ended = ends_after(&mut stream, TIMES.keep_alive).await;
        assert_eq!(ended.expect("an end"), 0);

        let (mut stream, mut client_again, requests) = pair();
        drop(requests.begin());
        let idle = timeout(TIMES.keep_alive - MOMENT, stream.read(&mut [0])).await;
        assert!(idle.is_err());
        client_again.write_all(b"G").await.expect("room");
        assert_eq!(stream.read(&mut [0]).await.expect("a byte"), 1);
        let ended = ends_after(&mut stream, TIMES.header).await;
        assert_eq!(ended.expect_err("too late").kind(), io::ErrorKind::TimedOut);
        client.shutdown().await.expect("it is there");
    }

    #[tokio::test(start_paused = true)]
    async fn answers_have_no_timeout_while_they_progress() {
        let (mut stream, mut client, requests) = pair();
        let request = requests.begin();
        let pending = timeout(10 * TIMES.keep_alive, stream.read(&mut [0])).await;
        assert!(pending.is_err(), "a poll may wait");
        drop(request);
        for _ in 0..10 {
            stream.write_all(&[0; 64]).await.expect("it is taken");
            let between = timeout(TIMES.keep_alive - MOMENT, stream.read(&mut [0])).await;
            assert!(between.is_err(), "it is being taken");
            client.read_exact(&mut [0; 64]).await.expect("it is sent");
        }
        stream.write_all(&[0; 64]).await.expect("it is taken");
        let ended = ends_after(&mut stream, TIMES.keep_alive).await;
        assert_eq!(ended.expect("an end"), 0);
    }
}
