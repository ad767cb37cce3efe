//! The group that this process is in while it has labs whose pods programs in the kernel capture: hooks of a cgroup see
//! the sockets that a test opens in a pod itself only if the test's process is below it too.
//!
//! In: labs that begin and end. Out: `ambit-self_<process>_0`, with `self` for this process and a group for each lab.
//! Never: stays once the last of them has ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use parking_lot::Mutex;

use super::{create, enter, known_trees, remove};
use crate::eventually::eventually;

/// The start of the name; the process id and `_0` follow, as behind the names of labs.
const PREFIX: &str = "ambit-self_";

/// How long what this process has started may take to leave its group.
const DEADLINE: Duration = Duration::from_secs(5);

static OWN: Mutex<Option<Own>> = Mutex::new(None);

#[derive(Debug)]
struct Own {
    group: PathBuf,
    before: PathBuf,
    labs: usize,
}

/// Moves this process into a group of its own in `tree`, unless it is there. Each call is undone by [`leave`].
///
/// # Errors
///
/// When the kernel refuses.
pub(crate) fn join(tree: &Path) -> Result<PathBuf> {
    let mut own = OWN.lock();
    if let Some(own) = &mut *own {
        own.labs += 1;
        return Ok(own.group.clone());
    }
    let group = tree.join(format!("{PREFIX}{}_0", std::process::id()));
    let before = current(tree)?;
    let inside = group.join("self");
    create(&inside)?;
    enter(&inside)?;
    *own = Some(Own {
        group: group.clone(),
        before,
        labs: 1,
    });
    Ok(group)
}

/// Moves this process back when the last lab has ended.
///
/// # Errors
///
/// When the kernel refuses, or something else is left in the group.
pub(crate) fn leave() -> Result<()> {
    let mut own = OWN.lock();
    let Some(joined) = &mut *own else {
        return Ok(());
    };
    joined.labs -= 1;
    if joined.labs > 0 {
        return Ok(());
    }
    enter(&joined.before)?;
    let group = joined.group.clone();
    *own = None;
    // A program that was started a moment ago has yet to go to its own place.
    eventually(
        &format!("remove cgroup {}", group.display()),
        DEADLINE,
        || remove(&group),
    )
}

/// Groups of processes that are no more.
pub(crate) fn dead() -> Vec<PathBuf> {
    let entries = known_trees()
        .filter_map(|tree| fs::read_dir(tree).ok())
        .flatten()
        .flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            owner(&name).is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists())
        })
        .collect()
}

/// Whether a name in the tree is that of such a group.
pub(crate) fn is_own(name: &str) -> bool {
    owner(name).is_some()
}

fn owner(name: &str) -> Option<u32> {
    let owner = name.strip_prefix(PREFIX)?.strip_suffix("_0")?;
    owner.parse().ok()
}

fn current(tree: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup")?;
    let path = text
        .lines()
        .find_map(|line| line.strip_prefix("0::/"))
        .context("no cgroup2 in /proc/self/cgroup")?;
    Ok(tree.join(path))
}
