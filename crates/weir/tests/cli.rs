//! Command line of the binary: exit codes, output and signals.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;

/// Returns a command for the binary, without the `WEIR_` variables of the test run.
fn weir(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WEIR_") {
            command.env_remove(name);
        }
    }
    command
}

fn output(arguments: &[&str]) -> Output {
    weir(arguments).output().expect("it runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("it writes UTF-8")
}

/// Running node. Dropping it kills the process: a node that outlives a failed test would keep the
/// test's output open, and its reader would wait forever.
struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStderr>,
    up: Value,
}

impl Running {
    fn start(variables: &[(&str, &str)]) -> Self {
        let arguments = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--ops-listen",
            "127.0.0.1:0",
        ];
        let mut child = weir(&arguments)
            // Clients stay until the process ends.
            .env("WEIR_DRAIN__PAUSE_MS", "0")
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut node = Self {
            child,
            lines,
            up: Value::Null,
        };
        while node.up["message"] != "listening" {
            let mut line = String::new();
            let read = node.lines.read_line(&mut line).expect("it logs");
            assert!(read > 0, "it ended");
            node.up = serde_json::from_str(&line).expect("every line is JSON");
        }
        node
    }

    fn connect(&self, listener: &str) -> TcpStream {
        let address = self.up[listener].as_str().expect("an address");
        let address: SocketAddr = address.parse().expect("an address");
        TcpStream::connect(address).expect("it listens")
    }

    fn get(&self, listener: &str, path: &str) -> String {
        let mut stream = self.connect(listener);
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n\r\n"
        )
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    fn stop(mut self, signal: &str) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(killed.expect("kill runs").success());
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("it logs");
        (self.child.wait().expect("it ends").code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn node_logs_its_addresses_and_exits_0_on_sigterm_and_sigint() {
    for signal in ["TERM", "INT"] {
        let node = Running::start(&[]);
        assert!(node.get("ops_listen", "/livez").starts_with("HTTP/1.1 200"));
        let ready = node.get("ops_listen", "/readyz");
        assert!(
            ready.starts_with("HTTP/1.1 200") && ready.contains(r#""ready":true"#),
            "{ready}"
        );
        assert!(node.get("ops_listen", "/other").starts_with("HTTP/1.1 404"));
        assert!(
            node.get("ops_listen", "/metrics")
                .contains("\nweir_ready 1\n")
        );
        for probe in ["/livez", "/readyz", "/metrics"] {
            let answer = node.get("listen", probe);
            assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        }
        assert!(node.get("listen", "/").starts_with("HTTP/1.1 200"));
        let (code, rest) = node.stop(signal);
        assert_eq!(code, Some(0), "{rest}");
        assert!(rest.contains("stopped"), "{rest}");
    }
}

#[test]
fn node_with_quiet_log_filter_runs_until_sigterm() {
    // The filter hides the log line of the signal. A node that does not wait for the signal would
    // end within these requests.
    let node = Running::start(&[("WEIR_LOG__FILTER", "weir_gateway=info")]);
    for _ in 0..50 {
        let ready = node.get("ops_listen", "/readyz");
        assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    }
    let (code, rest) = node.stop("TERM");
    assert_eq!(code, Some(0), "{rest}");
    assert!(
        rest.contains("stopped") && !rest.contains("SIGTERM"),
        "{rest}"
    );
}

#[test]
fn config_prints_effective_values_with_their_origin() {
    let printed = weir(&["config", "--listen", "127.0.0.1:1"])
        .env("WEIR_LIMITS__NAME_CHARS", "9")
        .output()
        .expect("it runs");
    assert_eq!(printed.status.code(), Some(0));
    let printed = text(&printed.stdout);
    for (line, origin) in [
        ("listen = \"127.0.0.1:1\"", "# --listen"),
        ("name_chars = 9", "# env WEIR_LIMITS__NAME_CHARS"),
        ("ping_interval_ms = 25000", "# default"),
    ] {
        let found = printed.lines().find(|found| found.starts_with(line));
        assert!(found.expect(line).ends_with(origin), "{printed}");
    }
}

#[test]
fn invalid_configuration_or_arguments_exit_2_with_the_reason() {
    for command in ["serve", "config"] {
        let refused = output(&[command, "--listen", "here"]);
        assert_eq!(refused.status.code(), Some(2));
        let said = text(&refused.stderr);
        assert!(
            said.contains("server.listen = \"here\" (--listen)"),
            "{said}"
        );
    }
    assert_eq!(output(&["serve", "--lisen", "x"]).status.code(), Some(2));
    assert_eq!(output(&[]).status.code(), Some(2));
    assert_eq!(output(&["--version"]).status.code(), Some(0));
}

#[test]
fn address_in_use_exits_1_and_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken
        .local_addr()
        .map(|address| (taken, address.to_string()));
    let (_taken, address) = taken.expect("it has one");
    for (key, listen, ops_listen) in [
        ("server.listen: ", address.as_str(), "127.0.0.1:0"),
        ("server.ops_listen: ", "127.0.0.1:0", address.as_str()),
    ] {
        let refused = output(&["serve", "--listen", listen, "--ops-listen", ops_listen]);
        assert_eq!(refused.status.code(), Some(1));
        let said = text(&refused.stderr);
        assert!(said.contains(key) && said.contains(&address), "{said}");
        assert_eq!(said.matches("os error").count(), 1, "{said}");
    }
}

#[test]
fn os_errors_are_printed_once() {
    let folder = env!("CARGO_TARGET_TMPDIR");
    // Only root can bind this port, so nothing listens there.
    let nobody = "127.0.0.1:1";
    for arguments in [
        vec!["serve", "--config", "/no/such/file"],
        vec!["serve", "--config", folder],
        vec!["config", "--config", "/no/such/file"],
        vec!["status", nobody],
        vec!["probe", nobody],
        vec![
            "serve",
            "--listen",
            "192.0.2.1:0",
            "--ops-listen",
            "127.0.0.1:0",
        ],
    ] {
        let failed = output(&arguments);
        assert!(!failed.status.success());
        let said = text(&failed.stderr);
        assert_eq!(said.matches("os error").count(), 1, "{arguments:?}: {said}");
    }
    let wrong = output(&["serve", "--redis-url", "redis://[::1"]);
    let said = text(&wrong.stderr);
    assert_eq!(said.matches("invalid IPv6").count(), 1, "{said}");
}

#[test]
fn missing_or_invalid_file_exits_2_and_is_named() {
    let wrong = concat!(env!("CARGO_TARGET_TMPDIR"), "/wrong.toml");
    std::fs::write(wrong, "[rooms]\nmax_rooms = 0\n").expect("it is written");
    for (file, said) in [
        ("/no/such/file", "--config"),
        (wrong, "rooms.max_rooms = 0"),
    ] {
        for command in ["serve", "config"] {
            let refused = output(&[command, "--config", file]);
            assert_eq!(refused.status.code(), Some(2));
            let stderr = text(&refused.stderr);
            assert!(stderr.contains(file) && stderr.contains(said), "{stderr}");
            assert!(refused.stdout.is_empty());
        }
    }
}

#[test]
fn config_that_cannot_write_its_output_exits_1() {
    let full = File::options().write(true).open("/dev/full");
    let printed = weir(&["config"])
        .stdout(full.expect("Linux has it"))
        .output()
        .expect("it runs");
    assert_eq!(printed.status.code(), Some(1));
    assert!(text(&printed.stderr).starts_with("weir: "));
}

#[test]
fn connection_without_complete_request_head_is_closed() {
    let node = Running::start(&[("WEIR_SERVER__HEADER_TIMEOUT_MS", "100")]);
    let mut stream = node.connect("listen");
    // Well below the default, so that only the configured timeout can close it in time.
    let limit = Some(Duration::from_secs(5));
    stream.set_read_timeout(limit).expect("it can be set");
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost:")
        .expect("it reads");
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .expect("it is closed in time");
    assert!(
        !text(&answer).starts_with("HTTP/1.1 200"),
        "{}",
        text(&answer)
    );
    node.stop("TERM");
}

#[test]
fn status_prints_the_state_of_a_node() {
    let node = Running::start(&[]);
    let address = node.up["ops_listen"]
        .as_str()
        .expect("an address")
        .to_owned();
    let told = weir(&["status", &address]).output().expect("it runs");
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    let told = text(&told.stdout);
    for line in [
        "ready      yes",
        "clients    0 on 0 connections",
        "redis      none: the node is alone",
    ] {
        assert!(told.lines().any(|found| found == line), "{line}: {told}");
    }
    let ready = output(&["status", "--ready", &address]);
    assert_eq!(text(&ready.stdout), "ready\n");
    let (code, _) = node.stop("TERM");
    assert_eq!(code, Some(0));
    let failed = weir(&["status", &address]).output().expect("it runs");
    assert_eq!(failed.status.code(), Some(1));
    let said = text(&failed.stderr);
    assert!(
        said.contains(&address) && said.contains("cannot be reached"),
        "{said}"
    );
}
