//! Metrics of the process and its runtime.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use weir_cluster::Sample;

/// Metrics of this process and of the runtime that created them.
#[derive(Debug)]
pub(crate) struct ProcessMetrics {
    start: Instant,
    runtime: Handle,
}

impl ProcessMetrics {
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            runtime: Handle::current(),
        }
    }

    /// Returns the current metrics.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let metrics = self.runtime.metrics();
        let workers = metrics.num_workers();
        let busy = (0..workers).map(|worker| metrics.worker_total_busy_duration(worker));
        let busy: Duration = busy.sum();
        let mut samples = vec![
            Sample::seconds("process.uptime", &[], self.start.elapsed()),
            Sample::new("tokio.workers", &[], workers as u64),
            Sample::new("tokio.tasks", &[], metrics.num_alive_tasks() as u64),
            Sample::new(
                "tokio.queue.depth",
                &[],
                metrics.global_queue_depth() as u64,
            ),
            Sample::seconds("tokio.busy.time", &[], busy),
        ];
        samples.extend(system_samples());
        samples
    }
}

/// Returns the metrics that the operating system reports; none on other systems than Linux.
#[cfg(target_os = "linux")]
fn system_samples() -> Vec<Sample> {
    let read = || -> procfs::ProcResult<Vec<Sample>> {
        let process = procfs::process::Process::myself()?;
        let stat = process.stat()?;
        let second = procfs::ticks_per_second();
        let time = |ticks: u64| Duration::from_millis(ticks * 1000 / second);
        Ok(vec![
            Sample::seconds(
                "process.cpu.time",
                &[("cpu.mode", "user")],
                time(stat.utime),
            ),
            Sample::seconds(
                "process.cpu.time",
                &[("cpu.mode", "system")],
                time(stat.stime),
            ),
            Sample::new("process.memory.usage", &[], stat.rss * procfs::page_size()),
            Sample::new("process.open_fds", &[], process.fd_count()? as u64),
        ])
    };
    read().unwrap_or_default()
}

#[cfg(not(target_os = "linux"))]
fn system_samples() -> Vec<Sample> {
    Vec::new()
}
