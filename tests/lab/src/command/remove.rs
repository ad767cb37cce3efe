//! `lab down` and `lab clean`.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{choose, out};
use crate::cgroup;
use crate::eventually::until;
use crate::run::stale;

/// How long the owner may take to clean up.
const DEADLINE: Duration = Duration::from_secs(20);

pub(super) fn down(lab: Option<&str>) -> Result<()> {
    let found = choose(lab)?;
    let owner = found
        .state
        .as_ref()
        .filter(|state| found.alive && state.owner_lives())
        .map(|state| state.owner);
    match owner {
        Some(owner) => {
            let id = Pid::from_raw(i32::try_from(owner)?);
            kill(id, Signal::SIGTERM).with_context(|| format!("ask owner {owner} to end"))?;
            until(&format!("end of lab {}", found.name), DEADLINE, || {
                !found.folder.exists()
            })?;
        }
        None if found.alive => bail!("lab {} is being built: try again", found.name),
        None => stale::remove(&found)?,
    }
    out::line(&format!("lab {} is gone", found.name));
    Ok(())
}

pub(super) fn clean(orphans: bool) -> Result<()> {
    let mut failed = false;
    let mut report = |name: &str, result: Result<()>| match result {
        Ok(()) => out::line(&format!("removed {name}")),
        Err(error) => {
            failed = true;
            out::error(&format!("{error:#}"));
        }
    };
    for found in stale::find().iter().filter(|found| !found.alive) {
        report(&found.name, stale::remove(found));
    }
    for group in cgroup::own::dead() {
        report(
            &group.display().to_string(),
            cgroup::kill_and_remove(&group),
        );
    }
    for orphan in stale::orphans() {
        if orphans {
            report(&orphan, stale::remove_orphan(&orphan));
        } else {
            out::line(&format!(
                "{orphan} has no folder here; if nobody uses it: lab clean --orphans"
            ));
        }
    }
    if failed {
        bail!("not everything could be removed")
    } else {
        Ok(())
    }
}
