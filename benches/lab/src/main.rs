//! `make bench`: raw TCP and pods through ztunnels, between nodes and on one; capture, policies, idle connections; the waypoint
//! beside Envoy; measured in one run.
//!
//! In: the command line ([`arguments`]). Out: a table per part on standard output, `--json FILE`, progress on
//! standard error; the exit code says whether it ran, never whether a goal is met.
//! Never: a figure that is asserted; two subjects loaded at once; a thread, connection or wait without
//! a bound.
//!
//! Reading order: [`arguments`], [`versus`], [`part`] (who is compared with whom), [`scenario`], [`spec`], [`subject`], `policies`,
//! [`load`] (the generator), [`account`] (who used how much CPU), [`measure`], [`memory`], [`idle`], then [`waypoint`],
//! then [`statistics`], [`record`], [`report`], [`goals`]. The method is told in `benches/README.md`.

mod account;
mod arguments;
mod epoll;
mod files;
mod goals;
mod host;
mod idle;
mod load;
mod measure;
mod memory;
mod part;
mod policies;
mod record;
mod report;
mod scenario;
mod spec;
mod statistics;
mod subject;
mod tunables;
mod versus;
mod waypoint;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use crate::arguments::Arguments;
use crate::host::Host;
use crate::record::Record;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    if let Some(hold) = arguments.hold {
        return hold.run();
    }
    tunables::ensure()?;
    let plan = arguments.plan()?;
    if let Some(path) = &arguments.json {
        // Minutes before it is needed: a path that cannot be written is told now.
        std::fs::write(path, "").with_context(|| format!("write {}", path.display()))?;
    }
    files::raise(idle::FILES)?;
    let host = Host::read();
    let parts = plan.parts.iter().map(part::run).collect::<Result<_>>()?;
    let waypoint = plan.waypoint.as_ref().map(waypoint::run).transpose()?;
    let record = Record::new(host, parts, waypoint);
    std::io::stdout()
        .write_all(report::text(&record).as_bytes())
        .context("write the table")?;
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&record)?;
        std::fs::write(path, text + "\n").with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// A line of progress, on standard error. Nobody is left to tell when that is closed.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
