//! The machine that the figures belong to.

use std::fs;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// What a reader of the table must know of the machine. What cannot be read is `unknown`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Host {
    /// The processor's name.
    pub(crate) processor: String,
    /// How many of them.
    pub(crate) processors: usize,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// The load averages when the run began, as `/proc/loadavg` has them.
    pub(crate) load: String,
    /// Seconds since 1970 when the run began.
    pub(crate) time: u64,
}

impl Host {
    /// Reads it.
    pub(crate) fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_else(|_| "unknown".to_owned());
        let cpuinfo = text("/proc/cpuinfo");
        let processor = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown", |(_, name)| name);
        let load = text("/proc/loadavg");
        Self {
            processor: processor.trim().to_owned(),
            processors: thread::available_parallelism().map_or(1, usize::from),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: load
                .split_whitespace()
                .take(3)
                .collect::<Vec<_>>()
                .join(" "),
            time: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
        }
    }
}
