//! `weir serve`: a node's life in this process, from its configuration to the signal that ends it.

use anyhow::{Context, bail};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::info;
use weir_gateway::config::Config;
use weir_gateway::node::{Node, Shutdown};
use weir_gateway::telemetry::logs;
use weir_gateway::telemetry::otlp::Collector;

use crate::files;

/// After how many turns of tasks a busy thread looks at its sockets, Redis' among them. The runtime's own
/// number is 61, but a turn may be some chunks to hundreds of subscribers each.
const TURNS: u32 = 16;

/// Runs a node until a signal ends it.
pub(crate) fn serve(config: Config) -> anyhow::Result<()> {
    let mut runtime = Builder::new_multi_thread();
    runtime.event_interval(TURNS);
    if let Some(threads) = config.server.threads {
        runtime.worker_threads(threads.get());
    }
    let runtime = runtime.enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let collector = {
        let _in_it = runtime.enter();
        Collector::connect(&config.telemetry).context("telemetry")?
    };
    logs::init(&config.log, &collector)?;
    files::raise_limit(&config);
    let ended = runtime.block_on(until_signalled(config, collector));
    // After a second signal nothing may be waited for.
    runtime.shutdown_background();
    ended
}

async fn until_signalled(config: Config, collector: Collector) -> anyhow::Result<()> {
    // Before anything is bound: a signal from here on is never lost.
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let node = Node::build(config, collector)?;
    let (stop, stopped) = oneshot::channel();
    let run = node.run(async {
        // A sender that is gone has stopped, too.
        stopped.await.unwrap_or(Shutdown::Now)
    });
    let impatience = async {
        // Awaited apart: what a log line names is evaluated only where the line is logged.
        let signal = signals.next().await;
        info!(signal, "told to stop");
        // Whoever types Ctrl-C waits for it.
        let how = if signal == "SIGTERM" {
            Shutdown::Drain
        } else {
            Shutdown::Now
        };
        let _ = stop.send(how);
        signals.next().await
    };
    tokio::select! {
        // A node that has ended has done so properly, whatever signal came with it.
        biased;
        () = run => Ok(()),
        signal = impatience => bail!("ended at once by a second signal ({signal})"),
    }
}

/// The signals that ask a process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one and names it.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
