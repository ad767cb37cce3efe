//! `make bench`: raw TCP and the two-node path through two ztunnels; the waypoint beside Envoy; measured in one run.
//!
//! In: the command line ([`arguments`]). Out: one table on standard output, `--json FILE`, progress on
//! standard error; the exit code says whether it ran, never whether a goal is met.
//! Never: a figure that is asserted; two subjects loaded at once; a thread, connection or wait without
//! a bound.
//!
//! Reading order: [`arguments`], [`versus`], [`scenario`], [`subject`], [`load`] (the generator),
//! [`account`] (who used how much CPU), [`measure`], [`memory`], then [`waypoint`], then [`statistics`], [`record`],
//! [`report`], [`goals`]. The method is told in `benches/README.md`.

mod account;
mod arguments;
mod epoll;
mod goals;
mod host;
mod load;
mod measure;
mod memory;
mod record;
mod report;
mod scenario;
mod statistics;
mod subject;
mod tunables;
mod versus;
mod waypoint;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use crate::arguments::{Arguments, Plan};
use crate::host::Host;
use crate::record::{Program, Record, Ztunnels};
use crate::subject::Subject;

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
    tunables::ensure()?;
    let plan = arguments.plan()?;
    if let Some(path) = &arguments.json {
        // Minutes before it is needed: a path that cannot be written is told now.
        std::fs::write(path, "").with_context(|| format!("write {}", path.display()))?;
    }
    let host = Host::read();
    let ztunnels = ztunnels(&plan)?;
    let waypoint = plan.waypoint.as_ref().map(waypoint::run).transpose()?;
    let record = Record::new(host, &plan, ztunnels, waypoint);
    std::io::stdout()
        .write_all(report::text(&record).as_bytes())
        .context("write the table")?;
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&record)?;
        std::fs::write(path, text + "\n").with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// Raw TCP and ztunnels, unless the plan leaves all of that out. Their labs are gone when this returns.
fn ztunnels(plan: &Plan) -> Result<Ztunnels> {
    if plan.scenarios.is_empty() && !plan.memory {
        return Ok(Ztunnels::default());
    }
    say("building the labs");
    let subjects = Subject::build_all(plan)?;
    let blocks = measure::all(&subjects, plan)?;
    let memories = if plan.memory {
        memory::all(&subjects, plan)?
    } else {
        Vec::new()
    };
    let subjects = subjects.iter().map(Program::of).collect();
    Ok(Ztunnels {
        subjects,
        blocks,
        memories,
    })
}

/// A line of progress, on standard error. Nobody is left to tell when that is closed.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
