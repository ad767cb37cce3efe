//! `make scale`: a folder of 100,000 pods, the controller that reads it, and a ztunnel's side of workload xDS.
//!
//! In: the command line ([`arguments`]), `target/release/controller`. Out: one table on standard output,
//! `--json FILE`, progress on standard error; the exit code says whether everything worked, never how fast.
//! Never: a figure that is asserted; root, a namespace, an address but 127.0.0.1; anything left behind.
//!
//! Each of the two mesh sizes is measured by a process of its own ([`children`]), whose memory holds nothing of
//! the other's. Reading order: [`arguments`], [`round`] (what is measured, in which order), [`shape`] and
//! [`manifests`] (the mesh), [`controller`], [`client`], [`changes`], [`stalled`], [`demand`], [`lookups`], then
//! [`figures`], [`report`].

mod arguments;
mod changes;
mod children;
mod client;
mod controller;
mod demand;
mod figures;
mod log;
mod lookups;
mod manifests;
mod memory;
mod report;
mod round;
mod shape;
mod stalled;
mod statistics;
mod system;
mod table;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use crate::arguments::Arguments;
use crate::children::Children;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.round {
        Some(folder) => round::run(&arguments, folder).and_then(|figures| print(&figures)),
        None => all(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("scale: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// All rounds, the smaller mesh first.
fn all(arguments: &Arguments) -> Result<()> {
    arguments.check()?;
    // Before the first thread, so that no other one is given the signals.
    let children = Children::new()?;
    let mut rounds = Vec::new();
    for size in arguments.sizes() {
        rounds.push(children.round(arguments, size)?);
    }
    let text = report::text(&rounds);
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("write the table")?;
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&rounds)?;
        std::fs::write(path, text + "\n").with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// The figures of one round, for the process that started it.
fn print(figures: &figures::Figures) -> Result<()> {
    let text = serde_json::to_string(figures)?;
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("write the figures")
}

/// A line of progress, on standard error. Nobody is left to tell when that is closed.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
