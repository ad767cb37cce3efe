//! The command `lab`: labs for people.
//!
//! In: `up`, `exec`, `down`, `clean`, `list`. Out: text for people, an exit code.
//! Never: touches a lab whose owner lives, except `down` and `exec` of the lab that was named.

mod exec;
mod out;
mod remove;
mod up;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};

use crate::run::stale::{self, Found};

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "lab",
    about = "Two nodes of network namespaces with pods, programs and ztunnels"
)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Builds a lab with nginx, redis and mariadb, and runs it until Ctrl-C
    Up(up::Options),
    /// Runs a command in a pod, a node (node1, node2) or the host outside
    Exec {
        /// The lab, if there are several
        #[arg(long)]
        lab: Option<String>,
        /// client, nginx, redis, mariadb, node1, node2 or outside
        pod: String,
        /// The command, after --
        #[arg(last = true, required = true)]
        line: Vec<OsString>,
    },
    /// Ends a lab that `up` made and waits until it is gone
    Down {
        /// The lab, if there are several
        lab: Option<String>,
    },
    /// Removes what labs left whose owner was killed
    Clean {
        /// Also namespaces and cgroups of runs that have no folder here
        #[arg(long)]
        orphans: bool,
    },
    /// Shows labs, their machines and addresses
    List,
}

/// Runs the command.
pub fn main(arguments: Arguments) -> ExitCode {
    let result = match arguments.verb {
        Verb::Up(options) => up::up(&options),
        Verb::Exec { lab, pod, line } => exec::exec(lab.as_deref(), &pod, &line),
        Verb::Down { lab } => remove::down(lab.as_deref()),
        Verb::Clean { orphans } => remove::clean(orphans),
        Verb::List => list(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            out::error(&format!("lab: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn list() -> Result<()> {
    let found = stale::find();
    if found.is_empty() {
        out::line("no labs");
    }
    for found in found {
        let owner = found.state.as_ref().map_or(0, |state| state.owner);
        let life = if found.alive {
            format!("owner {owner}")
        } else {
            "dead: lab clean removes it".to_owned()
        };
        out::line(&format!(
            "{}  ({life})  {}",
            found.name,
            found.folder.display()
        ));
        for (machine, addresses) in found.state.iter().flat_map(|state| &state.machines) {
            out::line(&format!("  {machine:<12} {}", addresses.join("  ")));
        }
    }
    Ok(())
}

/// The lab of that name, or the only one that `up` made.
fn choose(name: Option<&str>) -> Result<Found> {
    let mut found = stale::find();
    match name {
        Some(name) => found.retain(|found| found.name == name),
        None => found
            .retain(|found| found.alive && found.state.as_ref().is_some_and(|state| state.by_hand)),
    }
    if found.len() > 1 {
        let names: Vec<_> = found.iter().map(|found| found.name.as_str()).collect();
        bail!("several labs are up, name one: {}", names.join(", "));
    }
    match (found.pop(), name) {
        (Some(found), _) => Ok(found),
        (None, Some(name)) => bail!("no lab {name}: `lab list` shows those that are there"),
        (None, None) => bail!("no lab is up: `lab up` makes one"),
    }
}
