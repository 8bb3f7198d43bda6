//! The command line: what is asked for, and what the process says and exits with.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use weir_gateway::config::{ConfigError, Effective, Flag, Sources};

use crate::{probe, serve, status};

/// Exit code of a process that was asked for something it cannot understand, as clap's own.
const REFUSED: u8 = 2;

const AFTER_HELP: &str = "\
Values come, from weakest to strongest, from the defaults, the file, the environment and flags.
The variable of a key is WEIR_, its section, two underscores and its name, in capitals:
WEIR_LIMITS__CHUNK_BYTES for chunk_bytes in [limits]. deploy/weir.example.toml documents every key.

Exit codes: 0 stopped as asked, 1 failed, 2 command line or configuration refused.";

/// Live audio, video and data in rooms, over plain Socket.IO.
#[derive(Debug, Parser)]
#[command(name = "weir", version, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node until SIGTERM or SIGINT; a second one ends it at once
    #[command(after_help = AFTER_HELP)]
    Serve(Settings),
    /// Print the effective configuration as TOML, and where each value came from
    ///
    /// What is printed is itself a file that --config takes.
    #[command(after_help = AFTER_HELP)]
    Config(Settings),
    /// Say how a running node is: readiness, clients, rooms, media, losses, process, Redis
    Status {
        /// Its operations listener
        #[arg(value_name = "URL", default_value = "http://127.0.0.1:8081")]
        url: String,
        /// Say only whether it is ready; if it is not, why not, with exit code 1
        #[arg(long)]
        ready: bool,
    },
    /// See whether nodes are one: join a room through each, and send a chunk from one to all others
    Probe {
        /// How many different nodes there must be behind the URLs
        #[arg(long, value_name = "N", default_value_t = 1)]
        nodes: usize,
        /// Where clients connect; of a name, each of its addresses is a node
        #[arg(value_name = "URL", default_value = "http://127.0.0.1:8080")]
        urls: Vec<String>,
    },
}

/// Flags that say how a node is configured.
#[derive(Debug, Args)]
struct Settings {
    /// TOML file to read (also WEIR_CONFIG)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where clients connect, instead of server.listen [default: 0.0.0.0:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Address of /livez and /readyz, instead of server.ops_listen [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR")]
    ops_listen: Option<String>,
    /// The Redis that joins the nodes of a cluster, instead of redis.url [default: none]
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

/// Does what the command line asks for.
pub(crate) fn run() -> ExitCode {
    // Prints and exits by itself where the command line is none, or asks for help.
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
            complain(&chain(&error));
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(REFUSED)
        }
    }
}

fn print(what: &impl ToString) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(what.to_string().as_bytes()) {
        // Whoever reads has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Formats an error and its causes, each once: some libraries' errors both quote their cause and
/// return it.
fn chain(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.is_empty() {
            said = cause;
        } else if !said.ends_with(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

fn complain(what: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "weir: {what}");
}
