//! Who used how much CPU time in a window.
//!
//! In: the ztunnels' cgroups (`usage_usec`, exact), this process's own usage (exact), `/proc/stat`
//! (sampled at ticks of 10 ms). Out: differences between two readings.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lab::Ztunnel;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::subject::Subject;

/// Ticks per second in `/proc/stat`. Source: proc(5), `USER_HZ`; 100 wherever ztunnel runs.
const TICKS_PER_SECOND: f64 = 100.0;

/// What has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Bytes, requests or connections.
    pub(crate) units: u64,
    /// Bytes of bulk, where the units are something else.
    pub(crate) beside: Option<u64>,
}

impl Passed {
    /// Units, and nothing beside them.
    pub(crate) fn units(units: u64) -> Self {
        Self {
            units,
            beside: None,
        }
    }

    fn since(self, earlier: Self) -> Self {
        let beside = self.beside.zip(earlier.beside);
        Self {
            units: self.units.saturating_sub(earlier.units),
            beside: beside.map(|(now, then)| now.saturating_sub(then)),
        }
    }
}

/// The clocks and counters at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    at: Instant,
    passed: Passed,
    ztunnels: [Option<Duration>; 2],
    machine: Ticks,
    generator: Duration,
}

/// What happened between two readings. CPU times in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// Wall time, seconds.
    pub(crate) seconds: f64,
    /// What has passed.
    pub(crate) passed: Passed,
    /// The ztunnel of the client's node.
    pub(crate) near: Option<f64>,
    /// The ztunnel of the server's node, if that is another.
    pub(crate) far: Option<f64>,
    /// All processors of the machine, whoever used them.
    pub(crate) machine: f64,
    /// What the hypervisor took.
    pub(crate) stolen: f64,
    /// This process: client and server.
    pub(crate) generator: f64,
}

impl Reading {
    /// Reads everything; `passed` was read first.
    ///
    /// # Errors
    ///
    /// When a counter cannot be read: a ztunnel has ended.
    pub(crate) fn take(subject: &Subject, passed: Passed) -> Result<Self> {
        let at = Instant::now();
        let time = |index: usize| -> Result<Option<Duration>> {
            let ztunnel = subject.ztunnels.get(index);
            ztunnel
                .map(Ztunnel::cpu_time)
                .transpose()
                .context("the CPU time of a ztunnel")
        };
        let ztunnels = [time(0)?, time(1)?];
        let machine = Ticks::read()?;
        let usage = getrusage(UsageWho::RUSAGE_SELF).context("getrusage")?;
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        let generator = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
        Ok(Self {
            at,
            passed,
            ztunnels,
            machine,
            generator,
        })
    }

    /// What happened until a later reading.
    pub(crate) fn until(&self, later: &Self) -> Used {
        let between = |index: usize| {
            let (from, to) = (self.ztunnels[index]?, later.ztunnels[index]?);
            Some(to.saturating_sub(from).as_secs_f64())
        };
        Used {
            seconds: (later.at - self.at).as_secs_f64(),
            passed: later.passed.since(self.passed),
            near: between(0),
            far: between(1),
            machine: later.machine.busy_since(&self.machine),
            stolen: later.machine.stolen_since(&self.machine),
            generator: later.generator.saturating_sub(self.generator).as_secs_f64(),
        }
    }
}

/// The first line of `/proc/stat`, in ticks over all processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticks {
    busy: u64,
    stolen: u64,
}

impl Ticks {
    /// Now.
    ///
    /// # Errors
    ///
    /// When the file is not what proc(5) says.
    pub(crate) fn read() -> Result<Self> {
        let text = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
        Self::parse(&text).context("/proc/stat has no line `cpu`")
    }

    /// Seconds of processor time since an earlier reading, whoever used them.
    pub(crate) fn busy_since(&self, earlier: &Self) -> f64 {
        self.busy.saturating_sub(earlier.busy) as f64 / TICKS_PER_SECOND
    }

    /// Seconds that the hypervisor has taken since.
    pub(crate) fn stolen_since(&self, earlier: &Self) -> f64 {
        self.stolen.saturating_sub(earlier.stolen) as f64 / TICKS_PER_SECOND
    }

    /// Source: proc(5): user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user.
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let fields: Vec<u64> = line
            .split_whitespace()
            .map_while(|field| field.parse().ok())
            .collect();
        let [user, nice, system, _idle, _iowait, irq, softirq, stolen, ..] = fields[..] else {
            return None;
        };
        Some(Self {
            busy: user + nice + system + irq + softirq,
            stolen,
        })
    }
}

#[cfg(test)]
mod tests;
