//! Network between a client and a local server that a test can cut or redirect.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::AbortHandle,
};

/// Forwards connections to a local port until it is dropped.
#[derive(Debug)]
pub struct Forwarder {
    port: u16,
    target: Arc<AtomicU16>,
    open: watch::Sender<bool>,
    task: AbortHandle,
}

impl Forwarder {
    /// Starts a forwarder to a port.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").port();
        let target = Arc::new(AtomicU16::new(port));
        let (open, opened) = watch::channel(true);
        let task = tokio::spawn(accept(listener, Arc::clone(&target), opened));
        Self {
            port: address,
            target,
            open,
            task: task.abort_handle(),
        }
    }

    /// Returns the port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL of a Redis behind it.
    pub fn redis_url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Directs new connections to another port. Established connections keep their server.
    pub fn redirect(&self, port: u16) {
        self.target.store(port, Ordering::Relaxed);
    }

    /// Closes all connections, and each new one at once.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Forwards new connections again.
    pub fn heal(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: Arc<AtomicU16>, opened: watch::Receiver<bool>) {
    while let Ok((client, _)) = listener.accept().await {
        let port = target.load(Ordering::Relaxed);
        tokio::spawn(forward(client, port, opened.clone()));
    }
}

/// Copies both directions until one side closes or the network is cut.
async fn forward(mut client: TcpStream, port: u16, mut opened: watch::Receiver<bool>) {
    if !*opened.borrow_and_update() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = opened.wait_for(|open| !open) => {}
    }
}
