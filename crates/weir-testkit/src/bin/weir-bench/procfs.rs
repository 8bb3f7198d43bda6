//! What the kernel says of a process.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// The CPU time of each thread of a process so far, user and system together.
///
/// From `schedstat`, in nanoseconds: the 10 ms ticks of `/proc/PID/stat` are too coarse for a
/// server that idles.
#[derive(Debug)]
pub(crate) struct CpuTime(HashMap<String, u64>);

impl CpuTime {
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let mut threads = HashMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let entry = entry?;
            // A thread may end between the listing and the reading.
            let Ok(stat) = fs::read_to_string(entry.path().join("schedstat")) else {
                continue;
            };
            let nanos = stat.split(' ').next().and_then(|first| first.parse().ok());
            let nanos = nanos.context("schedstat has no number")?;
            threads.insert(entry.file_name().to_string_lossy().into_owned(), nanos);
        }
        Ok(Self(threads))
    }

    /// What was used from then until now.
    pub(crate) fn since(&self, then: &Self) -> Duration {
        let used = |(thread, nanos): (&String, &u64)| {
            nanos.saturating_sub(then.0.get(thread).copied().unwrap_or(0))
        };
        Duration::from_nanos(self.0.iter().map(used).sum())
    }
}

/// The resident memory of a process in KiB.
pub(crate) fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number
        .and_then(|number| number.parse().ok())
        .context("no VmRSS in the process's status")
}
