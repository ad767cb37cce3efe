//! The way out (`ztunnel uncapture`): what outlives ztunnel is removed from a node.
//!
//! In: the folder of pins; every network namespace that can be found. Out: pods that talk as if there had never been a mesh.
//! Never: runs beside a ztunnel that captures; touches the namespace that it runs in, that of the host, or rules of an agent.

use std::{
    collections::HashSet,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use net::Netns;

use super::iptables::{self, Owner};

/// Where the kernel shows who is in which namespace.
const PROCESSES: &str = "/proc";
/// Where namespaces stand that need no process. Source: ip-netns(8).
const NAMED: &str = "/run/netns";

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Pods that programs in the kernel captured.
    pub programs: usize,
    /// Namespaces with rules of ours.
    pub rules: usize,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { programs, rules } = self;
        write!(
            f,
            "programs removed from {programs} pods, rules removed from {rules} namespaces"
        )
    }
}

/// Why nothing, or not all, was removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The programs in the kernel; also where a ztunnel is alive.
    #[error(transparent)]
    Programs(#[from] ebpf_loader::Error),
    /// Rules of some namespaces.
    #[error("{removed}, but rules are left in {left} namespaces, the first one because {source}")]
    Rules {
        /// What was done all the same.
        removed: Removed,
        /// How many they are.
        left: usize,
        /// Why.
        source: iptables::Error,
    },
    /// The namespaces cannot be listed.
    #[error("cannot list {path}: {source}")]
    List {
        /// The folder.
        path: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// Removes programs and pins below `pins`, and rules and routing from every namespace that a process is in, or that has a name: those of
/// the host's processes, if this one sees them (`hostPID`). **Blocks**.
///
/// # Errors
/// See [`Error`]; where programs cannot be removed rules are not either.
pub fn uncapture(pins: &Path) -> Result<Removed, Error> {
    let programs = ebpf_loader::capture::uncapture(pins)?;
    let mut removed = Removed {
        programs: programs.pods,
        ..Removed::default()
    };
    let mut failures = Vec::new();
    for netns in namespaces()? {
        match remove(&netns) {
            Ok(false) => {}
            Ok(true) => removed.rules += 1,
            Err(error) => failures.push(error),
        }
    }
    let left = failures.len();
    match failures.into_iter().next() {
        None => Ok(removed),
        Some(source) => Err(Error::Rules {
            removed,
            left,
            source,
        }),
    }
}

fn remove(netns: &Netns) -> Result<bool, iptables::Error> {
    match iptables::owner(netns) {
        Ok(Owner::Ours) => iptables::remove(netns).map(|()| true),
        Ok(Owner::Nobody | Owner::Agent) | Err(iptables::Error::ProgramMissing { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// All but our own and that of the first process, each once.
fn namespaces() -> Result<Vec<Netns>, Error> {
    let own = [Path::new("/proc/self/ns/net"), Path::new("/proc/1/ns/net")];
    let mut seen: HashSet<u64> = own
        .into_iter()
        .filter_map(|path| Netns::open(path).ok())
        .map(|netns| netns.inode())
        .collect();
    let list = |path: &'static str| -> Result<Vec<PathBuf>, Error> {
        match fs::read_dir(path) {
            Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(Error::List { path, source }),
        }
    };
    let of_processes = list(PROCESSES)?.into_iter().filter_map(|path| {
        let is_process = path.file_name()?.to_str()?.parse::<u32>().is_ok();
        is_process.then(|| path.join("ns/net"))
    });
    // One that ends meanwhile needs nothing.
    let all = of_processes.chain(list(NAMED)?);
    Ok(all
        .filter_map(|path| Netns::open(path).ok())
        .filter(|netns| seen.insert(netns.inode()))
        .collect())
}
