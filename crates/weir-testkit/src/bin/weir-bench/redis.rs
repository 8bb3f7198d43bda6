//! The Redis that the nodes of a cluster share.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::peer::root;

/// How long it may take to come up.
const START: Duration = Duration::from_secs(10);

/// A `redis-server` that keeps nothing. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Redis {
    child: Child,
    pid: u32,
    port: u16,
    /// Keeps the log's pipe empty.
    reader: JoinHandle<()>,
}

impl Redis {
    /// Starts it on a free port of the loopback with `deploy/redis.conf`, if that exists, and
    /// waits until it accepts connections.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        // Redis takes no port 0: the kernel's choice is passed on.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let mut command = Command::new("redis-server");
        let settings = root().join("deploy/redis.conf");
        if settings.exists() {
            command.arg(settings);
        }
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--logfile", "", "--dir"])
            .arg(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .context("redis-server could not be run; Redis 7.0 or later is needed")?;
        let pid = child.id().context("redis-server has ended")?;
        let log = child.stdout.take().context("redis-server has no log")?;
        let (mut lines, mut seen) = (BufReader::new(log).lines(), String::new());
        let up = async {
            while let Some(line) = lines.next_line().await? {
                if line.contains("Ready to accept connections") {
                    return anyhow::Ok(());
                }
                seen += &line;
                seen.push('\n');
            }
            bail!("it ended")
        };
        let up = timeout(START, up)
            .await
            .unwrap_or_else(|late| Err(late.into()));
        up.with_context(|| format!("redis-server did not come up; it said:\n{seen}"))?;
        let reader =
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self {
            child,
            pid,
            port,
            reader,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it and waits for its end.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
