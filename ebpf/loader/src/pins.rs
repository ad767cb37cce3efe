//! What stands in the bpffs, and outlives the proxy.
//!
//! ```text
//! PIN_PATH/
//!   <build>-<cgroup>/          one generation: the programs of one build, attached to one cgroup
//!     hooks/                   links of the hooks, and their maps
//!     pods/<cookie>/           one pod: POD and LISTENERS (maps), then steer (a link)
//! ```
//!
//! A proxy writes into the generation of its own build alone, whose structs it knows. What others left goes on until
//! every pod has been taken over.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use ebpf_abi::names::STEER;

use crate::Error;

/// The folders of one proxy.
#[derive(Clone, Debug)]
pub(crate) struct Pins {
    root: PathBuf,
    generation: PathBuf,
}

impl Pins {
    pub(crate) fn new(root: &Path, build: u64, cgroup: u64) -> Self {
        Self {
            root: root.to_owned(),
            // No dots: a bpffs reserves them.
            generation: root.join(format!("{build:016x}-{cgroup}")),
        }
    }

    pub(crate) fn generation(&self) -> &Path {
        &self.generation
    }

    /// Where the hooks of this generation are.
    pub(crate) fn hooks(&self) -> PathBuf {
        hooks(&self.generation)
    }

    /// Where a pod of this generation is.
    pub(crate) fn pod(&self, cookie: u64) -> PathBuf {
        pod(&self.generation, cookie)
    }

    /// Whether a pod of this generation is captured: its link is pinned last.
    pub(crate) fn has_pod(&self, cookie: u64) -> bool {
        self.pod(cookie).join(STEER).exists()
    }

    /// The pods of this generation, captured or half made.
    pub(crate) fn pods(&self) -> Result<Vec<u64>, Error> {
        let names = list(&self.generation.join("pods"))?;
        Ok(names
            .iter()
            .filter_map(|path| u64::from_str_radix(path.file_name()?.to_str()?, 16).ok())
            .collect())
    }

    /// The generations of others.
    pub(crate) fn others(&self) -> Result<Vec<PathBuf>, Error> {
        let mut generations = self.generations()?;
        generations.retain(|path| *path != self.generation);
        Ok(generations)
    }

    /// Removes what dry runs have left that were killed.
    pub(crate) fn remove_trials(&self) -> Result<(), Error> {
        let is_trial = |path: &&PathBuf| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with(TRIAL)
        };
        list(&self.root)?
            .iter()
            .filter(is_trial)
            .map(|path| remove(path))
            .fold(Ok(()), Result::and)
    }

    /// All generations. The kernel has files of its own in a bpffs, which may be the root.
    fn generations(&self) -> Result<Vec<PathBuf>, Error> {
        let mut paths = list(&self.root)?;
        paths.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.split_once('-').is_some_and(|(build, cgroup)| {
                u64::from_str_radix(build, 16).is_ok() && cgroup.parse::<u64>().is_ok()
            })
        });
        Ok(paths)
    }

    /// Removes a pod's pins from this generation and, first, from those of others.
    pub(crate) fn remove_pod(&self, cookie: u64) -> Result<(), Error> {
        let others = self.remove_others_pod(cookie);
        let own = remove(&self.pod(cookie));
        others.and(own)
    }

    /// Removes a pod's pins from generations of others.
    pub(crate) fn remove_others_pod(&self, cookie: u64) -> Result<(), Error> {
        self.others()?
            .iter()
            .map(|generation| remove(&pod(generation, cookie)))
            .fold(Ok(()), Result::and)
    }

    /// Removes everything, also of others.
    pub(crate) fn remove_all(&self) -> Result<(), Error> {
        self.generations()?
            .iter()
            .map(|path| remove(path))
            .fold(Ok(()), Result::and)?;
        match fs::remove_dir(&self.root) {
            // It was never made, is where the bpffs is mounted, or holds what is not ours.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound
                        | io::ErrorKind::ResourceBusy
                        | io::ErrorKind::DirectoryNotEmpty
                ) =>
            {
                Ok(())
            }
            result => result.map_err(|error| Error::pin("cannot remove", &self.root, &error)),
        }
    }
}

/// What the names of folders of trials begin with; the process id follows.
const TRIAL: &str = "trial-";

/// Where a dry run has its pins.
pub(crate) fn trial(root: &Path) -> PathBuf {
    root.join(format!("{TRIAL}{}", std::process::id()))
}

/// Removes what is left of a dry run: with it goes the root, if it was made for it.
pub(crate) fn remove_trial(trial: &Path) {
    for folder in [Some(trial), trial.parent()].into_iter().flatten() {
        // In use, or gone.
        drop(fs::remove_dir(folder));
    }
}

/// Where the hooks of a generation are.
pub(crate) fn hooks(generation: &Path) -> PathBuf {
    generation.join("hooks")
}

fn pod(generation: &Path, cookie: u64) -> PathBuf {
    generation.join("pods").join(format!("{cookie:016x}"))
}

/// Makes a folder and those above it, for nobody but us.
pub(crate) fn create(folder: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Error::pin("cannot make the folder of", folder, &error))
}

/// Removes a folder with all pins in it. Twice is once.
pub(crate) fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(|error| Error::pin("cannot remove", folder, &error)),
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| Error::pin("cannot list", folder, &error))?,
    };
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}
