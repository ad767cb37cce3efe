//! `lab exec`: this process enters the machine and becomes the command.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result};

use super::choose;
use crate::run::namespace_of;
use crate::{cgroup, namespace, programs};

pub(super) fn exec(lab: Option<&str>, machine: &str, line: &[OsString]) -> Result<()> {
    let found = choose(lab)?;
    let path = namespace::path(&namespace_of(&found.name, machine));
    let netns = File::open(&path).with_context(|| {
        let machines = found
            .state
            .iter()
            .flat_map(|state| state.machines.keys().cloned())
            .collect::<Vec<_>>();
        format!(
            "no machine {machine} in lab {}, there are {}",
            found.name,
            machines.join(", ")
        )
    })?;
    let program = line.first().context("no command after --")?;
    let program = programs::require(&program.to_string_lossy())?;
    let state = found.state.context("the lab is not complete yet")?;
    // In the machine's cgroup, so that it ends with the lab.
    cgroup::enter(&state.group.join(machine))?;
    namespace::enter(
        &netns,
        Some(&found.folder.join(machine).join("resolv.conf")),
    )?;
    let error = std::process::Command::new(&program)
        .args(line.iter().skip(1))
        .exec();
    Err(error).with_context(|| format!("start {}", program.display()))
}
