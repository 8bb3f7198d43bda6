//! Network between a node and Redis that a test can cut.

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::AbortHandle,
};

/// Forwards connections to a local port, until it is cut.
pub(crate) struct Forwarder {
    pub(crate) port: u16,
    open: watch::Sender<bool>,
    task: AbortHandle,
}

impl Forwarder {
    /// Starts a forwarder to a port.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").port();
        let (open, opened) = watch::channel(true);
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut opened = opened.clone();
                tokio::spawn(async move {
                    if !*opened.borrow_and_update() {
                        return;
                    }
                    if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
                        tokio::select! {
                            _ = copy_bidirectional(&mut client, &mut server) => {}
                            _ = opened.wait_for(|open| !open) => {}
                        }
                    }
                });
            }
        });
        Self {
            port: address,
            open,
            task: task.abort_handle(),
        }
    }

    /// Closes all connections, and each new one at once.
    pub(crate) fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Forwards new connections again.
    pub(crate) fn heal(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}
