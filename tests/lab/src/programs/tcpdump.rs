//! tcpdump: what is on the wire.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use super::START;
use crate::eventually::{eventually, until};
use crate::machine::Machine;
use crate::pcap::{self, Packet};
use crate::process::Process;

/// How long the last packets may take from the kernel to the file.
const DRAIN: Duration = Duration::from_secs(3);

/// A running capture.
#[derive(Debug)]
pub struct Capture {
    process: Process,
    file: PathBuf,
}

/// Captures on an interface (`node-link` of a node, `eth0` of a pod); `filter` is tcpdump's, may be empty.
///
/// # Errors
///
/// When tcpdump is not installed or refuses the filter.
pub fn tcpdump(machine: &Machine, interface: &str, filter: &str) -> Result<Capture> {
    let file = machine
        .folder()
        .join(format!("capture-{}.pcap", machine.run_of().serial()));
    let path = file.display().to_string();
    let line = [
        "tcpdump",
        "-i",
        interface,
        "-n",
        "-U",
        "--immediate-mode",
        "-s",
        "0",
        "-B",
        "16384",
        "-Z",
        "root",
        "-w",
        &path,
    ];
    let filter = (!filter.is_empty()).then_some(filter);
    let process = machine.spawn(line.into_iter().chain(filter))?;
    process.wait_log("listening on", START)?;
    Ok(Capture { process, file })
}

impl Capture {
    /// Ends the capture and reads it.
    ///
    /// # Errors
    ///
    /// When tcpdump does not end or the file is none of its own.
    pub fn stop(self) -> Result<Vec<Packet>> {
        // What the kernel has seen but tcpdump has not yet written would be lost. A link that is never
        // quiet is cut off after a while.
        let _ = until("an empty capture buffer", DRAIN, || {
            self.is_drained().unwrap_or(true)
        });
        self.process.signal(Signal::SIGINT)?;
        self.process.wait(Duration::from_secs(10))?;
        pcap::read(&std::fs::read(&self.file)?)
    }

    /// Asks tcpdump for its counters: `N packets captured, M packets received by filter, ..`.
    fn is_drained(&self) -> Result<bool> {
        let before = self.process.log().len();
        self.process.signal(Signal::SIGUSR1)?;
        let counters = eventually("tcpdump's counters", DRAIN, || {
            let log = self.process.log();
            let said = log.get(before..).unwrap_or_default();
            said.lines()
                .find(|line| line.contains("dropped by kernel"))
                .map(str::to_owned)
                .context("none yet")
        })?;
        let mut numbers = counters
            .split(|c: char| !c.is_ascii_digit())
            .filter(|number| !number.is_empty());
        Ok(numbers.next() == numbers.next())
    }

    /// The capture's file: kept until the lab ends, also after [`Capture::stop`].
    pub fn file(&self) -> &std::path::Path {
        &self.file
    }
}
