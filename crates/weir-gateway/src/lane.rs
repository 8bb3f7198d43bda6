//! The way of frames to one WebSocket: written at once by whoever has them, or queued.
//!
//! A server's WebSocket frames are neither masked nor dependent on each other, so a whole frame may
//! be written wherever the stream stands between two frames. The lane owns the socket: the
//! Socket.IO library writes its few frames (handshake, pings) through a [`crate::pipe::Pipe`] on
//! it, everything else is written here, by the task that has it, without waking anybody.

use std::{
    collections::VecDeque,
    io,
    net::Shutdown,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Instant,
};

use bytes::{Buf, Bytes};
use socket2::SockRef;
use weir_engine::Delivery;
use weir_protocol::Frame;

use crate::{accept::Connection, budget::Budget, follow::Follower};

/// A WebSocket connection, seen by those who write to it.
#[derive(Debug)]
pub(crate) struct Lane {
    /// The stream's position and what waits: whoever holds it may write.
    out: Mutex<Out>,
}

#[derive(Debug, Default)]
struct Out {
    /// The socket, until nothing more is written. With the last one who holds it, it is closed.
    connection: Option<Arc<Connection>>,
    /// What waits, oldest first. Only the front may be partly written.
    queue: VecDeque<Bytes>,
    /// What may be in `queue`, and how much is.
    budget: Budget,
    /// Since when something waits.
    since: Option<Instant>,
    /// Whether the rest of a frame is at the front, which must go before anything else.
    partial: bool,
    /// Where the library's own frames have come to.
    library: Follower,
    /// The library's writer, if it waits for the socket.
    library_waits: Option<Waker>,
    /// Whether a task is there that empties the queue.
    flushing: bool,
}

impl Out {
    /// Writes to the socket, if there is one.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.connection {
            Some(connection) => connection.stream().try_write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Takes what was written off the front of the queue.
    fn advance(&mut self, written: usize) {
        let Some(front) = self.queue.front_mut() else {
            return;
        };
        front.advance(written);
        self.budget.remove(written);
        self.partial = !front.is_empty();
        if !self.partial {
            self.queue.pop_front();
        }
        if self.queue.is_empty() {
            self.since = None;
        }
    }
}

/// How far a flush came.
#[derive(Debug, PartialEq, Eq)]
enum Flushed {
    /// The queue is empty.
    All,
    /// The socket takes no more.
    Blocked,
    /// The library is to write next.
    Yielded,
}

impl Lane {
    pub(crate) fn new(connection: Arc<Connection>, queue_bytes: usize) -> Self {
        let out = Out {
            connection: Some(connection),
            budget: Budget::new(queue_bytes),
            ..Out::default()
        };
        Self {
            out: Mutex::new(out),
        }
    }

    fn out(&self) -> std::sync::MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes or queues an event. What cannot even be queued closes the connection.
    pub(crate) fn notice(self: &Arc<Self>, frame: &Frame) -> Delivery {
        let mut out = self.out();
        let delivery = self.send(&mut out, frame.bytes(), Budget::takes_event);
        if delivery == Delivery::Full {
            self.close_with(&mut out);
        }
        delivery
    }

    /// Writes or queues a chunk, `before` right before it; both or none.
    pub(crate) fn chunk(self: &Arc<Self>, before: Option<&Frame>, chunk: &Frame) -> Delivery {
        let mut out = self.out();
        let Some(before) = before else {
            return self.send(&mut out, chunk.bytes(), Budget::takes_chunk);
        };
        let bytes = before.bytes().len() + chunk.bytes().len();
        if !out.budget.takes_chunk(bytes) {
            return Delivery::Full;
        }
        match self.send(&mut out, before.bytes(), |_, _| true) {
            Delivery::Closed => Delivery::Closed,
            _ => self.send(&mut out, chunk.bytes(), |_, _| true),
        }
    }

    /// Writes a frame, or queues it if `takes` says that it may wait.
    fn send(
        self: &Arc<Self>,
        out: &mut Out,
        frame: &Bytes,
        takes: fn(&Budget, usize) -> bool,
    ) -> Delivery {
        let Some(connection) = &out.connection else {
            return Delivery::Closed;
        };
        let mut written = 0;
        if out.queue.is_empty() && out.library.at_boundary() {
            match connection.stream().try_write(frame) {
                Ok(all) if all == frame.len() => return Delivery::Sent,
                Ok(some) => written = some,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    self.close_with(out);
                    return Delivery::Closed;
                }
            }
        }
        // Of a frame that is partly written the rest must follow; then nothing else waits.
        if !out.queue.is_empty() && !takes(&out.budget, frame.len()) {
            return Delivery::Full;
        }
        out.partial |= written > 0;
        out.since.get_or_insert_with(Instant::now);
        out.budget.add(frame.len(), written);
        out.queue.push_back(frame.slice(written..));
        self.keep_flushing(out);
        Delivery::Queued
    }

    /// Sees to it that a task empties the queue, unless the library's own frame must end first.
    fn keep_flushing(self: &Arc<Self>, out: &mut Out) {
        if let Some(connection) = &out.connection
            && !out.flushing
            && out.library.at_boundary()
        {
            tokio::spawn(Arc::clone(self).flush_when_writable(Arc::clone(connection)));
            out.flushing = true;
        }
    }

    async fn flush_when_writable(self: Arc<Self>, connection: Arc<Connection>) {
        loop {
            // An error is also an end: the next write meets it.
            let _ = connection.stream().writable().await;
            {
                let mut out = self.out();
                if !out.library.at_boundary() || self.flush(&mut out) == Flushed::All {
                    out.flushing = false;
                    return;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Writes what waits, as far as the socket takes it.
    fn flush(&self, out: &mut Out) -> Flushed {
        while let Some(front) = out.queue.front() {
            if !out.partial
                && let Some(library) = out.library_waits.take()
            {
                library.wake();
                return Flushed::Yielded;
            }
            match out.write(front) {
                Ok(written) => out.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Flushed::Blocked,
                Err(_) => self.close_with(out),
            }
        }
        if out.queue.capacity() > 64 {
            out.queue = VecDeque::new();
        }
        Flushed::All
    }

    /// Writes bytes of the library's own frames.
    pub(crate) fn poll_library_write(
        self: &Arc<Self>,
        connection: &Connection,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let ready = connection.stream().poll_write_ready(context);
            let mut out = self.out();
            if ready.is_pending() {
                out.library_waits = Some(context.waker().clone());
            }
            ready!(ready)?;
            // The waiter of an earlier poll is this one.
            out.library_waits = None;
            if out.partial && !self.finish_front(&mut out)? {
                continue;
            }
            match out.write(bytes) {
                Ok(written) => {
                    out.library.follow(&bytes[..written]);
                    if !out.queue.is_empty() {
                        self.keep_flushing(&mut out);
                    }
                    return Poll::Ready(Ok(written));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes the rest of the frame at the front; false if the socket took only part of it.
    fn finish_front(&self, out: &mut Out) -> io::Result<bool> {
        while let Some(front) = out.queue.front()
            && out.partial
        {
            match out.write(front) {
                Ok(written) => out.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// How many bytes wait for the socket, and since when some do.
    pub(crate) fn waiting(&self) -> (usize, Option<Instant>) {
        let out = self.out();
        (out.budget.queued(), out.since)
    }

    /// Whether nothing is written any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.out().connection.is_none()
    }

    /// Ends the connection: what waits is dropped, readers and writers of the socket see its end.
    pub(crate) fn close(&self) {
        self.close_with(&mut self.out());
    }

    fn close_with(&self, out: &mut Out) {
        out.queue = VecDeque::new();
        out.budget.clear();
        out.since = None;
        out.partial = false;
        if let Some(connection) = out.connection.take() {
            // Fails if the peer has already ended it, which is as good.
            let _ = SockRef::from(connection.stream()).shutdown(Shutdown::Both);
        }
        if let Some(library) = out.library_waits.take() {
            library.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, pin::Pin, time::Duration};

    use tokio::{
        io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        sync::mpsc,
        time::timeout,
    };
    use weir_cluster::{MemoryHub, MemoryOptions};
    use weir_core::ConnectionLimits;
    use weir_engine::{Engine, Options};

    use super::*;
    use crate::{
        accept::{Gate, accept},
        addresses::Proxies,
        config::Server,
        follow,
    };

    const QUEUE_BYTES: usize = 256 * 1024;

    /// What the library writes through.
    struct Library(Arc<Lane>, Arc<Connection>);

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

    /// A lane to a peer whose system takes little that it does not read.
    async fn pair() -> (Library, TcpStream) {
        let hub = MemoryHub::new(MemoryOptions::default());
        let engine = Engine::in_memory(Options::default(), &hub);
        let limits = ConnectionLimits {
            total: 1,
            per_address: 1,
        };
        let gate = Gate::new(limits, Proxies::new(&Server::default()), engine);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(16 * 1024).expect("a size");
        let (accepted, mut connections) = mpsc::channel(1);
        let taking = accept(&listener, &gate, 16 * 1024, move |connection| {
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

    /// Reads whole frames: their first eight bytes of text, or of payload after the type.
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
                // As the library does, in pieces that may end anywhere.
                let text = format!("L{number:07}{}", "y".repeat(number * 7));
                let mut frame = follow::tests::frame(0x81, text.len(), false);
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
            match lane.notice(&notice(number, 8_000)) {
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
        while lane.notice(&notice(events, 10_000)) == Delivery::Queued {
            events += 1;
        }
        assert!(events * 10_000 >= QUEUE_BYTES / 2, "only {events} wait");
        assert!(lane.is_closed());
        assert_eq!(lane.notice(&gap), Delivery::Closed);
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
        assert_eq!(lane.notice(&notice(0, 200_000)), Delivery::Queued);
        assert_eq!(lane.notice(&notice(1, LONG)), Delivery::Queued);
        // As many as may wait without the long one.
        for number in 2..2 + LATER {
            assert_eq!(lane.notice(&notice(number, 8_000)), Delivery::Queued);
        }
        assert_eq!(lane.chunk(None, &notice(99, 10)), Delivery::Full);
        let reading = frames(&mut peer, 2 + LATER);
        let read = timeout(Duration::from_secs(20), reading).await;
        let read = read.expect("all frames come");
        let wanted: Vec<_> = (0..2 + LATER)
            .map(|number| format!("{number:08}"))
            .collect();
        assert_eq!(read, wanted);
        assert_eq!(lane.notice(&notice(99, 10)), Delivery::Sent);
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
        // The peer's writes meet a socket that is no more.
        while peer.write(&[0; 1024]).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}
