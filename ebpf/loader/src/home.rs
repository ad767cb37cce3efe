//! The cgroup that is the proxy's alone, by which the hooks tell it from applications.
//!
//! A mark can be copied by whoever may set marks; a cgroup cannot be entered from inside a pod.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{Error, claims::unique, mounts};

/// Groups that are looked at for one of which only something is known: more than any node has, few enough for a start.
const MAX_GROUPS: usize = 65_536;
/// The file of a group's processes.
const PROCS: &str = "cgroup.procs";
/// What the names of our groups begin with.
const PREFIX: &str = "ambit.";

/// A cgroup that holds this process and no other.
#[derive(Clone, Debug)]
pub struct Home {
    id: u64,
    path: PathBuf,
}

/// Why this process has no cgroup of its own.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The tree cannot be looked at.
    #[error(transparent)]
    Mounts(#[from] Error),
    /// No cgroup2 that is mounted here shows this process.
    #[error(
        "no mounted cgroup2 shows the cgroup of this process: mount the host's and name it in CGROUP_PATH"
    )]
    NotFound,
    /// It shares one, and may not leave it.
    #[error(
        "cannot make a cgroup of its own in {path} ({source}), and shares that one with {others} other processes"
    )]
    Shared {
        /// The shared cgroup.
        path: PathBuf,
        /// How many others are in it.
        others: usize,
        /// Why it cannot be left.
        source: io::Error,
    },
}

impl Home {
    /// Moves this process, with all of its threads, into a child of its cgroup. Where that is not permitted, the
    /// cgroup that it is in will do if nobody else is in it. Once there, does nothing.
    ///
    /// # Errors
    /// See [`HomeError`].
    pub fn enter(cgroup: Option<&Path>) -> Result<Self, HomeError> {
        let process = std::process::id();
        let mut places = own_cgroups(process)?;
        // Inside a container the visible part is often read-only, while the host's tree is mounted elsewhere.
        let from_attach_point = cgroup.and_then(|root| {
            walk(root, &mut |path| {
                processes(path).is_ok_and(|ids| ids.contains(&process))
            })
        });
        places.extend(from_attach_point);
        let name = unique(PREFIX);
        let mut first = None;
        for place in &places {
            let is_ours = |name: &OsStr| name.to_string_lossy().starts_with(PREFIX);
            if place.file_name().is_some_and(is_ours) && is_alone(place, process) {
                return Self::at(place.clone());
            }
            remove_empty(place);
            match enter(place, &name, process) {
                Ok(path) => return Self::at(path),
                Err(error) => first = first.or(Some((place.clone(), error))),
            }
        }
        let Some((path, source)) = first else {
            return Err(HomeError::NotFound);
        };
        match processes(&path) {
            Ok(ids) if ids == [process] => Self::at(path),
            Ok(ids) => Err(HomeError::Shared {
                path,
                others: ids.len().saturating_sub(1),
                source,
            }),
            Err(_unreadable) => Err(HomeError::NotFound),
        }
    }

    fn at(path: PathBuf) -> Result<Self, HomeError> {
        let id = mounts::cgroup_id(&path).map_err(|source| Error::Cgroup {
            path: path.clone(),
            source,
        })?;
        Ok(Self { id, path })
    }

    /// Its number, by which the hooks know it.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The folders that are this process's cgroup, through every mount that shows it.
fn own_cgroups(process: u32) -> Result<Vec<PathBuf>, Error> {
    let text = fs::read_to_string("/proc/self/cgroup").map_err(Error::Mounts)?;
    let Some(own) = text.lines().find_map(|line| line.strip_prefix("0::")) else {
        return Ok(Vec::new());
    };
    let mounts = mounts::cgroups()?;
    let places = mounts.iter().filter_map(|mount| resolve(mount, own));
    // A name may lead elsewhere: through a mount of another part, or after a move.
    Ok(places
        .filter(|path| processes(path).is_ok_and(|ids| ids.contains(&process)))
        .collect())
}

/// Where a mount shows a cgroup, if it does.
fn resolve(mount: &mounts::Mount, cgroup: &str) -> Option<PathBuf> {
    let below = Path::new(cgroup).strip_prefix(&mount.root).ok()?;
    Some(mount.point.join(below))
}

fn enter(place: &Path, name: &str, process: u32) -> io::Result<PathBuf> {
    let path = place.join(name);
    // One that is there already is somebody else's.
    fs::create_dir(&path)?;
    // 0 is whoever writes.
    fs::write(path.join(PROCS), "0")?;
    if !is_alone(&path, process) {
        return Err(io::Error::other("others are in the new one too"));
    }
    Ok(path)
}

fn is_alone(cgroup: &Path, process: u32) -> bool {
    processes(cgroup).is_ok_and(|ids| ids == [process])
}

/// Removes the groups of predecessors. One that is in use stays: the kernel refuses.
fn remove_empty(place: &Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            drop(fs::remove_dir(entry.path()));
        }
    }
}

/// The processes of a cgroup, not of those below it.
fn processes(cgroup: &Path) -> io::Result<Vec<u32>> {
    let text = fs::read_to_string(cgroup.join(PROCS))?;
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

/// Which of these cgroups have a process in them; `None` when there are too many groups to tell.
pub(crate) fn populated(root: &Path, ids: &[u64]) -> Option<Vec<u64>> {
    let mut found = Vec::new();
    let mut seen = 0_usize;
    walk(root, &mut |path| {
        seen += 1;
        if let Ok(id) = mounts::cgroup_id(path)
            && ids.contains(&id)
            && processes(path).is_ok_and(|processes| !processes.is_empty())
        {
            found.push(id);
        }
        false
    });
    (seen < MAX_GROUPS).then_some(found)
}

/// The first cgroup, `root` or below it, that is wanted.
fn walk(root: &Path, wanted: &mut impl FnMut(&Path) -> bool) -> Option<PathBuf> {
    let mut left = vec![root.to_owned()];
    for _ in 0..MAX_GROUPS {
        let path = left.pop()?;
        if wanted(&path) {
            return Some(path);
        }
        let below = fs::read_dir(&path).into_iter().flatten().flatten();
        left.extend(
            below
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
    None
}

#[cfg(test)]
mod tests;
