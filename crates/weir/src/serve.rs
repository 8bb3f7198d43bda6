//! `weir serve`: runs a node until a signal.

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

/// Number of task polls after which a busy worker polls its sockets, Redis' among them. The runtime's
/// default of 61 is too many, since one poll may fan out several chunks to hundreds of subscribers.
const EVENT_INTERVAL: u32 = 16;

/// Runs a node until a signal.
pub(crate) fn serve(config: Config) -> anyhow::Result<()> {
    let mut runtime = Builder::new_multi_thread();
    runtime.event_interval(EVENT_INTERVAL);
    if let Some(threads) = config.server.threads {
        runtime.worker_threads(threads.get());
    }
    let runtime = runtime.enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let collector = {
        let _guard = runtime.enter();
        Collector::connect(&config.telemetry).context("telemetry")?
    };
    logs::init(&config.log, &collector)?;
    files::raise_limit(&config);
    let ended = runtime.block_on(until_signalled(config, collector));
    // A second signal ends the process at once, with tasks still running.
    runtime.shutdown_background();
    ended
}

async fn until_signalled(config: Config, collector: Collector) -> anyhow::Result<()> {
    // First, so that no later signal is lost.
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let node = Node::build(config, collector)?;
    let (stop, stopped) = oneshot::channel();
    let run = node.run(async {
        // A dropped sender also means shutdown.
        stopped.await.unwrap_or(Shutdown::Now)
    });
    let signalled_twice = async {
        // Outside of the macro, which evaluates its fields only if the line is logged.
        let signal = signals.next().await;
        info!(signal, "told to stop");
        // Interactive use of Ctrl-C expects an immediate end.
        let shutdown = if signal == "SIGTERM" {
            Shutdown::Drain
        } else {
            Shutdown::Now
        };
        let _ = stop.send(shutdown);
        signals.next().await
    };
    tokio::select! {
        // A node that has ended takes priority over a signal at the same time.
        biased;
        () = run => Ok(()),
        signal = signalled_twice => bail!("ended at once by a second signal ({signal})"),
    }
}

/// Signals that stop the process.
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

    /// Waits for the next signal and returns its name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
