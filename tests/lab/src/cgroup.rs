//! Control groups (version 2): one folder per machine, one below it per program.
//!
//! In: the run's name and folder. Out: folders `ambit-<run>/<machine>/<program>` of a cgroup2 tree.
//! Membership, not a process id, decides who is killed: an id can be reused, membership cannot.
//! Never: a controller is switched on; no group of anybody else is touched.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use nix::unistd::{AccessFlags, access};

use crate::eventually::{eventually, until};

pub(crate) mod own;
#[cfg(test)]
mod tests;

/// Where a machine keeps cgroup2, mixed and pure hierarchy.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/// How long killed processes may take to be gone.
const DEADLINE_KILL: Duration = Duration::from_secs(10);

/// Finds the machine's cgroup2 tree, or mounts one inside `folder`.
pub(crate) fn tree(folder: &Path) -> Result<PathBuf> {
    for place in MOUNTS.map(Path::new) {
        if is_cgroup2(place) && access(place, AccessFlags::W_OK).is_ok() {
            return Ok(place.to_owned());
        }
    }
    mount_private(folder)
}

fn mount_private(folder: &Path) -> Result<PathBuf> {
    let place = private_mount(folder);
    fs::create_dir_all(&place)?;
    mount(
        Some("none"),
        &place,
        Some("cgroup2"),
        MsFlags::empty(),
        None::<&str>,
    )
    .with_context(|| format!("mount cgroup2 on {}", place.display()))?;
    Ok(place)
}

/// The trees of the machine that may hold groups of any run.
pub(crate) fn known_trees() -> impl Iterator<Item = PathBuf> {
    MOUNTS
        .map(PathBuf::from)
        .into_iter()
        .filter(|place| is_cgroup2(place))
}

/// Undoes the mount that [`tree`] may have made in `folder`.
pub(crate) fn unmount(folder: &Path) -> Result<()> {
    let place = private_mount(folder);
    if place.exists() && is_cgroup2(&place) {
        umount2(&place, MntFlags::MNT_DETACH)
            .with_context(|| format!("unmount {}", place.display()))?;
    }
    Ok(())
}

/// Makes a group and those above it.
pub(crate) fn create(group: &Path) -> Result<()> {
    fs::create_dir_all(group).with_context(|| format!("create cgroup {}", group.display()))
}

/// Moves the calling process into `group`.
pub(crate) fn enter(group: &Path) -> Result<()> {
    fs::write(group.join("cgroup.procs"), "0")
        .with_context(|| format!("enter cgroup {}", group.display()))
}

/// Kills every process of `group` and below, waits for their end and removes the folders.
///
/// # Errors
///
/// When a process survives or a folder stays.
pub(crate) fn kill_and_remove(group: &Path) -> Result<()> {
    if !group.exists() {
        return Ok(());
    }
    // A program that enters between the kill and the removal is met the next time.
    eventually(
        &format!("remove cgroup {}", group.display()),
        DEADLINE_KILL,
        || {
            kill(group)?;
            remove(group)
        },
    )
}

/// Kills every process of `group` and below and waits until none is left.
pub(crate) fn kill(group: &Path) -> Result<()> {
    let name = group.display();
    match fs::write(group.join("cgroup.kill"), "1") {
        // Somebody else is removing the same run.
        Err(_) if !group.exists() => return Ok(()),
        written => written.with_context(|| format!("kill cgroup {name}"))?,
    }
    until(
        &format!("end of the processes in {name}"),
        DEADLINE_KILL,
        || !populated(group),
    )
}

/// The CPU time that the processes of `group` have used, also those that ended.
pub(crate) fn cpu_time(group: &Path) -> Result<Duration> {
    let text = fs::read_to_string(group.join("cpu.stat"))?;
    let micros = text
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec "))
        .context("cpu.stat has no usage_usec")?;
    Ok(Duration::from_micros(micros.trim().parse()?))
}

fn populated(group: &Path) -> bool {
    fs::read_to_string(group.join("cgroup.events"))
        .is_ok_and(|events| events.contains("populated 1"))
}

fn remove(group: &Path) -> Result<()> {
    let entries = match fs::read_dir(group) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path())?;
        }
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn is_cgroup2(place: &Path) -> bool {
    statfs(place).is_ok_and(|stat| stat.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

fn private_mount(folder: &Path) -> PathBuf {
    folder.join("cgroup")
}
