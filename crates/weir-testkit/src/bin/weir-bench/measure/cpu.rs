//! CPU time and memory of processes.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use procfs::process::Process;

/// CPU time of each thread of a process, user and system together.
///
/// It comes from `schedstat`, in nanoseconds. The 10 ms ticks of `/proc/PID/stat` are too coarse
/// for a server that idles.
#[derive(Debug)]
pub(crate) struct CpuTime(HashMap<i32, u64>);

impl CpuTime {
    /// Reads the CPU time of a process.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let mut threads = HashMap::new();
        for thread in Process::new(i32::try_from(pid)?)?.tasks()? {
            let thread = thread?;
            // A thread may end between the listing and the read.
            if let Ok(stat) = thread.schedstat() {
                threads.insert(thread.tid, stat.sum_exec_runtime);
            }
        }
        Ok(Self(threads))
    }

    /// Returns the CPU time since an earlier reading.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        let used = |(thread, nanos): (&i32, &u64)| {
            nanos.saturating_sub(earlier.0.get(thread).copied().unwrap_or(0))
        };
        Duration::from_nanos(self.0.iter().map(used).sum())
    }
}

/// CPU time of servers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CpuUse {
    /// CPU time of all nodes.
    pub(crate) nodes: Duration,
    /// CPU time of the Redis servers that join them.
    pub(crate) redis: Duration,
}

impl CpuUse {
    /// Returns the CPU time of nodes and Redis.
    pub(crate) fn total(self) -> Duration {
        self.nodes + self.redis
    }
}

/// Returns the resident memory of a process in KiB.
pub(crate) fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = Process::new(i32::try_from(pid)?)?.status()?;
    status.vmrss.context("a process without VmRSS")
}
