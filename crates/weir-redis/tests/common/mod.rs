//! What the tests on real Redis share.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
};

use weir_redis::Target;

/// A Redis server of the test's own, without anything of an earlier one.
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    pub(crate) fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let child = Self::spawn(port);
        Self { child, port }
    }

    fn spawn(port: u16) -> Child {
        Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server runs; it is installed with: apt-get install redis-server")
    }

    pub(crate) fn target(&self) -> Target {
        let url = format!("redis://127.0.0.1:{}", self.port);
        url.parse().expect("a Redis")
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it ends");
    }

    /// Starts it again after it was killed, without what it held.
    pub(crate) fn restart_empty(&mut self) {
        self.child = Self::spawn(self.port);
    }

    /// What `redis-cli` answers.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(arguments)
            .output()
            .expect("redis-cli runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed by the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
