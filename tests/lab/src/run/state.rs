//! `state.json` of a run: what `lab exec`, `lab down` and `lab clean` need to know about it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// What a run tells other processes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    /// The run's name.
    pub(crate) run: String,
    /// The process that made it.
    pub(crate) owner: u32,
    /// That process's start time in clock ticks since boot: tells a reused id apart.
    pub(crate) owner_started: u64,
    /// The run's cgroup.
    pub(crate) group: PathBuf,
    /// Whether `lab up` made it, as opposed to a test.
    pub(crate) by_hand: bool,
    /// The machines: name and addresses.
    pub(crate) machines: BTreeMap<String, Vec<String>>,
}

impl State {
    /// The state of a run that this process has just begun.
    pub(crate) fn begin(run: &str, group: &Path) -> Result<Self> {
        let owner = std::process::id();
        Ok(Self {
            run: run.to_owned(),
            owner,
            owner_started: start_time(owner).context("read the start time of this process")?,
            group: group.to_owned(),
            by_hand: false,
            machines: BTreeMap::new(),
        })
    }

    /// Reads the state from a run's folder.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("state.json");
        let text = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("parse {}", path.display()))
    }

    /// Writes the state, whole or not at all.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let young = folder.join("state.json.new");
        fs::write(&young, serde_json::to_vec_pretty(self)?)?;
        fs::rename(&young, folder.join("state.json"))?;
        Ok(())
    }

    /// Whether the owner's process id still means the owner.
    pub(crate) fn owner_lives(&self) -> bool {
        start_time(self.owner) == Some(self.owner_started)
    }
}

/// A process's start time in clock ticks since boot. Source: proc(5), `/proc/PID/stat` field 22.
fn start_time(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field may hold spaces and parentheses; the third begins after the last one.
    text.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()
}
