//! A server as a child process.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long a server may take to come up.
const START: Duration = Duration::from_secs(30);
/// How many of its last log lines are kept.
const KEPT_LINES: usize = 200;

/// Why a server did not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program could not be run.
    #[error("{program} could not be started")]
    Spawn {
        /// The program's path.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// It ended, or said nothing of listening within 30 s; its output so far.
    #[error("{program} did not come up; it said:\n{output}")]
    NotUp {
        /// The program's path.
        program: String,
        /// Its standard error.
        output: String,
    },
}

/// A running server that logs JSON to its standard error and says where it listens in a line with
/// `"message": "listening"`. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// The child's id, which stays known after it has ended.
    pid: u32,
    listen: SocketAddr,
    ops_listen: Option<SocketAddr>,
    /// The last lines of its log.
    log: Arc<Mutex<VecDeque<String>>>,
    reader: JoinHandle<()>,
}

impl Process {
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

    /// Where clients connect.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where operations are served, if the server said so.
    pub fn ops_listen(&self) -> Option<SocketAddr> {
        self.ops_listen
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The last 200 lines of its log.
    pub fn log(&self) -> String {
        let lines = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Waits for the process to end by itself.
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

impl Drop for Process {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Reads up to the line that says where the server listens; `None` if there is none.
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

/// Keeps the pipe empty and the last lines at hand.
async fn keep(mut lines: Lines<BufReader<ChildStderr>>, log: Arc<Mutex<VecDeque<String>>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let mut kept = log.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
}
