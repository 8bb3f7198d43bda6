//! Command line: subcommands, output and exit codes.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use weir_gateway::config::{ConfigError, Effective, Flag, Sources};

use crate::{probe, serve, status};

/// Exit code for an invalid command line or configuration, the same as clap's.
const USAGE_ERROR: u8 = 2;

const AFTER_HELP: &str = "\
Sources of values, in ascending precedence: defaults, the file, the environment, flags. The variable
of a key is WEIR_, its section, two underscores and its name, in capitals: WEIR_LIMITS__CHUNK_BYTES
for chunk_bytes in [limits]. deploy/weir.example.toml documents every key.

Exit codes: 0 success, 1 failure, 2 invalid command line or configuration.";

/// Live audio, video and data in rooms, over plain Socket.IO.
#[derive(Debug, Parser)]
#[command(name = "weir", version, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node until SIGTERM or SIGINT; a second signal ends it at once
    #[command(after_help = AFTER_HELP)]
    Serve(Settings),
    /// Print the effective configuration as TOML, with the origin of each value
    ///
    /// The output is a valid file for --config.
    #[command(after_help = AFTER_HELP)]
    Config(Settings),
    /// Show the state of a running node: readiness, clients, rooms, media, losses, process, Redis
    Status {
        /// Operations listener of the node
        #[arg(value_name = "URL", default_value = "http://127.0.0.1:8081")]
        url: String,
        /// Check only the readiness; if the node is not ready, print the reasons and exit with 1
        #[arg(long)]
        ready: bool,
    },
    /// Check that nodes form one cluster: join a room through each, and send a chunk between them
    Probe {
        /// Minimum number of nodes behind the URLs
        #[arg(long, value_name = "N", default_value_t = 1)]
        nodes: usize,
        /// Addresses for clients; a name stands for one node for each of its addresses
        #[arg(value_name = "URL", default_value = "http://127.0.0.1:8080")]
        urls: Vec<String>,
    },
}

/// Flags for the configuration.
#[derive(Debug, Args)]
struct Settings {
    /// TOML file to read (also WEIR_CONFIG)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address for clients; sets server.listen [default: 0.0.0.0:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Address of /livez, /readyz and /metrics; sets server.ops_listen [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR")]
    ops_listen: Option<String>,
    /// Redis that connects the nodes of a cluster; sets redis.url [default: none]
    #[arg(long, value_name = "URL")]
    redis_url: Option<String>,
}

impl Settings {
    fn load(self) -> Result<Effective, ConfigError> {
        let flags = [
            ("--listen", "server.listen", self.listen),
            ("--ops-listen", "server.ops_listen", self.ops_listen),
            ("--redis-url", "redis.url", self.redis_url),
        ];
        let flags = flags
            .into_iter()
            .filter_map(|(name, key, value)| value.map(|value| Flag { name, key, value }))
            .collect();
        Sources {
            file: self.config,
            environment: std::env::vars_os().collect(),
            flags,
        }
        .load()
    }
}

/// Parses the command line and runs its subcommand.
pub(crate) fn run() -> ExitCode {
    // Prints and exits for --help, --version and errors.
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Serve(settings) => settings
            .load()
            .map(|effective| serve::serve(effective.config)),
        Command::Config(settings) => settings.load().map(|effective| print(&effective)),
        Command::Status { url, ready } => {
            let ask = if ready { status::ready } else { status::status };
            Ok(ask(&url).and_then(|state| print(&state)))
        }
        Command::Probe { urls, nodes } => {
            Ok(probe::probe(&urls, nodes).and_then(|seen| print(&seen)))
        }
    };
    match done {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            print_error(&chain(&error));
            ExitCode::FAILURE
        }
        Err(error) => {
            print_error(&error.to_string());
            ExitCode::from(USAGE_ERROR)
        }
    }
}

fn print(output: &impl ToString) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(output.to_string().as_bytes()) {
        // The reader closed the pipe early, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Formats an error and its causes, each once: some libraries' errors both quote their cause and
/// return it.
fn chain(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if message.is_empty() {
            message = cause;
        } else if !message.ends_with(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    message
}

fn print_error(message: &str) {
    // Fails if standard error is closed, which leaves no other output.
    let _ = writeln!(io::stderr().lock(), "weir: {message}");
}
