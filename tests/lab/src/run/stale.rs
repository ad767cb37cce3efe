//! Finding runs from outside: which exist, which are dead, and what lies about without a folder.
//!
//! A run is dead when nobody holds its lock. A folder without a lock is dead when it is older than
//! the moment that it takes to make one.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::state::State;
use super::{FOLDER_PREFIX, folder_of, remove_all};
use crate::{cgroup, namespace};

/// How long a folder may be without a lock: its owner is between two system calls.
const YOUNG: Duration = Duration::from_secs(10);

/// A run's folder as seen from outside.
#[derive(Debug)]
pub(crate) struct Found {
    /// The run's name.
    pub(crate) name: String,
    /// The run's folder.
    pub(crate) folder: PathBuf,
    /// Whether its owner lives.
    pub(crate) alive: bool,
    /// What it says about itself, if it got that far.
    pub(crate) state: Option<State>,
}

/// Every run with a folder in this temp folder, by name.
pub(crate) fn find() -> Vec<Found> {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return Vec::new();
    };
    let mut found: Vec<_> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|entry| entry.strip_prefix(FOLDER_PREFIX).map(str::to_owned))
        .map(|name| {
            let folder = folder_of(&name);
            Found {
                alive: is_alive(&folder),
                state: State::read(&folder).ok(),
                name,
                folder,
            }
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Removes what a dead run left.
pub(crate) fn remove(found: &Found) -> Result<()> {
    let groups: BTreeSet<PathBuf> = match &found.state {
        Some(state) => BTreeSet::from([state.group.clone()]),
        None => groups_of(&found.name).collect(),
    };
    for group in &groups {
        cgroup::kill_and_remove(group)?;
    }
    remove_all(
        &found.name,
        &found.folder,
        &groups
            .into_iter()
            .next()
            .unwrap_or_else(|| found.folder.join("none")),
    )
}

/// Names of runs that have namespaces or a cgroup but no folder here: somebody removed the folder,
/// or the owner has another temp folder.
pub(crate) fn orphans() -> BTreeSet<String> {
    let namespaces = namespace::list();
    let groups = cgroup::known_trees()
        .filter_map(|tree| fs::read_dir(tree).ok())
        .flatten();
    let groups = groups
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !cgroup::own::is_own(name));
    namespaces
        .iter()
        .cloned()
        .chain(groups)
        .filter_map(|name| Some(name.strip_prefix("ambit-")?.split('-').next()?.to_owned()))
        .filter(|run| !run.is_empty() && !folder_of(run).exists())
        .collect()
}

/// Removes the namespaces and cgroups of a run that has no folder.
pub(crate) fn remove_orphan(run: &str) -> Result<()> {
    for group in groups_of(run) {
        cgroup::kill_and_remove(&group)?;
    }
    namespace::delete(&super::namespaces_of(run))
}

fn groups_of(run: &str) -> impl Iterator<Item = PathBuf> {
    cgroup::known_trees().map(move |tree| tree.join(format!("ambit-{run}")))
}

fn is_alive(folder: &Path) -> bool {
    match File::open(folder.join("lock")) {
        Ok(lock) => matches!(lock.try_lock(), Err(TryLockError::WouldBlock)),
        Err(_) => fs::metadata(folder)
            .and_then(|meta| meta.modified())
            .is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age < YOUNG)),
    }
}
