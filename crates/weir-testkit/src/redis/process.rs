//! A Redis process.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::certificate::Certificate;
use super::ports::free_port;
use crate::eventually;

/// Deadline of a condition that servers reach by themselves.
pub(super) const SOON: Duration = Duration::from_secs(30);

/// Script that runs `$0 $1` in folder `$2` until its standard input ends.
///
/// Redis ends with the test, however the test ends.
const KEEPER: &str =
    r#""$0" "$1" >/dev/null & echo $! >"$2/pid"; read -r _; kill -9 $!; rm -rf "$2""#;

/// Redis process in a folder of its own.
#[derive(Debug)]
pub struct RedisProcess {
    /// Shell that ends Redis when it is dropped.
    keeper: Child,
    /// Port on the loopback.
    pub port: u16,
    program: String,
    folder: PathBuf,
    certificate: Option<Certificate>,
}

impl RedisProcess {
    /// Starts `program` with configuration lines.
    pub(super) fn start(program: &str, config: &str) -> Self {
        Self::start_in(program, config, |_| None)
    }

    /// Starts `redis-server`, which accepts TLS only.
    pub(super) fn start_tls(config: &str) -> Self {
        Self::start_in("redis-server", config, |folder| {
            Some(Certificate::create(folder))
        })
    }

    fn start_in(
        program: &str,
        config: &str,
        certificate: impl FnOnce(&Path) -> Option<Certificate>,
    ) -> Self {
        let port = free_port();
        let folder = format!("weir-redis-{}-{port}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let certificate = certificate(&folder);
        let listener = match &certificate {
            Some(certificate) => certificate.config(port),
            None => format!("port {port}"),
        };
        let config = format!(
            "{listener}\nbind 127.0.0.1\ndir {}\nprotected-mode no\n{config}\n",
            folder.display()
        );
        std::fs::write(folder.join("redis.conf"), config).expect("the configuration is written");
        Self {
            keeper: Self::spawn(program, &folder),
            port,
            program: program.to_owned(),
            folder,
            certificate,
        }
    }

    fn spawn(program: &str, folder: &Path) -> Child {
        let known = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        known.expect(
            "Redis runs; it is installed with: apt-get install redis-server redis-sentinel",
        );
        Command::new("sh")
            .args(["-c", KEEPER, program])
            .arg(folder.join("redis.conf"))
            .arg(folder)
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell runs")
    }

    /// Runs `redis-cli`; returns its output.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string()]);
        if let Some(certificate) = &self.certificate {
            command.arg("--tls").arg("--cacert").arg(certificate.ca());
        }
        let output = command.args(arguments).output().expect("redis-cli runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Returns the id of the process.
    pub fn pid(&self) -> u32 {
        let pid = std::fs::read_to_string(self.folder.join("pid")).expect("its id");
        pid.trim().parse().expect("a number")
    }

    /// Kills Redis with SIGKILL. Returns when it has ended: until then it keeps its port.
    pub fn kill(&mut self) {
        let pid = self.pid();
        let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
        assert!(killed.expect("kill runs").success());
        while is_running(pid) {
            std::thread::yield_now();
        }
    }

    /// Restarts a killed Redis without its data.
    pub fn restart_empty(&mut self) {
        let before = std::mem::replace(&mut self.keeper, Self::spawn(&self.program, &self.folder));
        // The folder stays in use.
        end_without_cleanup(before);
    }

    /// Returns the file of the CA that signed the certificate of a Redis with TLS.
    pub(super) fn ca(&self) -> Option<PathBuf> {
        self.certificate.as_ref().map(Certificate::ca)
    }

    /// Waits until the output of `redis-cli` contains `part`.
    pub(super) async fn until(&self, what: &str, arguments: &[&str], part: &str) {
        eventually(what, SOON, async || {
            self.cli(arguments).contains(part).then_some(())
        })
        .await;
    }
}

/// Whether a process runs. One that has ended, and that its parent has not waited for, has closed its sockets.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    // The state follows the name in parentheses.
    let state = stat.ok().and_then(|stat| {
        let (_, rest) = stat.rsplit_once(") ")?;
        rest.chars().next()
    });
    state.is_some_and(|state| state != 'Z')
}

/// Ends the keeper of a dead Redis without its cleanup.
fn end_without_cleanup(mut keeper: Child) {
    keeper.kill().expect("it was waiting");
    keeper.wait().expect("it ends");
}

impl Drop for RedisProcess {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
