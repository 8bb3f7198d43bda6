//! Server as a child process.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Deadline of a server's start.
const START: Duration = Duration::from_secs(30);
/// Number of log lines that are kept.
const KEPT_LINES: usize = 200;

/// Failure to start a server.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program could not be run.
    #[error("{program} could not be started")]
    Spawn {
        /// Path of the program.
        program: String,
        /// Error of the system.
        source: io::Error,
    },
    /// It ended, or did not listen within 30 s.
    #[error("{program} did not start; its log:\n{output}")]
    NotUp {
        /// Path of the program.
        program: String,
        /// Its standard error.
        output: String,
    },
}

/// Running server, which is killed when this is dropped.
///
/// It logs JSON to its standard error. A line with `"message": "listening"` holds its addresses.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    /// Id of the child, which stays known after its end.
    pid: u32,
    listen: SocketAddr,
    ops_listen: Option<SocketAddr>,
    /// Last lines of its log.
    log: Arc<Mutex<VecDeque<String>>>,
    reader: JoinHandle<()>,
}

impl ServerProcess {
    /// Starts `command` and waits until it listens.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(mut command: Command) -> Result<Self, StartError> {
        let program = command
            .as_std()
            .get_program()
            .to_string_lossy()
            .into_owned();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let spawned = command.kill_on_drop(true).spawn();
        let not_up = |output| StartError::NotUp {
            program: program.clone(),
            output,
        };
        let mut child = spawned.map_err(|source| StartError::Spawn {
            program: program.clone(),
            source,
        })?;
        let (Some(stderr), Some(pid)) = (child.stderr.take(), child.id()) else {
            return Err(not_up(String::new()));
        };
        let mut lines = BufReader::new(stderr).lines();
        let mut seen = VecDeque::new();
        let up = timeout(START, listening(&mut lines, &mut seen))
            .await
            .ok()
            .flatten();
        let Some((listen, ops_listen)) = up else {
            return Err(not_up(Vec::from(seen).join("\n")));
        };
        let log = Arc::new(Mutex::new(seen));
        let reader = tokio::spawn(keep(lines, Arc::clone(&log)));
        Ok(Self {
            child,
            pid,
            listen,
            ops_listen,
            log,
            reader,
        })
    }

    /// Returns the address for clients.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Returns the operations listener's address, if the server has one.
    pub fn ops_listen(&self) -> Option<SocketAddr> {
        self.ops_listen
    }

    /// Returns the id of the process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns the last 200 lines of its log.
    pub fn log(&self) -> String {
        let lines = self.log.lock();
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Waits for the end of the process.
    ///
    /// # Errors
    /// The system does not know the process any more.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Kills the process and waits for its end.
    ///
    /// # Errors
    /// The system does not know the process any more.
    pub async fn kill(mut self) -> io::Result<()> {
        self.child.kill().await
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Reads up to the line with the server's addresses; returns `None` at the end of the log.
async fn listening(
    lines: &mut Lines<BufReader<ChildStderr>>,
    seen: &mut VecDeque<String>,
) -> Option<(SocketAddr, Option<SocketAddr>)> {
    while let Ok(Some(line)) = lines.next_line().await {
        let fields: Value = serde_json::from_str(&line).unwrap_or_default();
        seen.push_back(line);
        if fields["message"] == "listening" {
            let address = |name: &str| fields[name].as_str()?.parse().ok();
            return Some((address("listen")?, address("ops_listen")));
        }
    }
    None
}

/// Drains the pipe and keeps the last lines.
async fn keep(mut lines: Lines<BufReader<ChildStderr>>, log: Arc<Mutex<VecDeque<String>>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let mut kept = log.lock();
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
}
