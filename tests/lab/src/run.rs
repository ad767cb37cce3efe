//! One run: its name, its folder, its lock, and the removal of everything that carries its name.
//!
//! In: a wished name. Out: `<temp>/ambit-lab-<run>/` with `lock` (held while the owner lives) and
//! `state.json`; namespaces `ambit-<run>-<machine>`; cgroup `ambit-<run>`.
//! Never: `-` in a run's name, so that `ambit-<run>-` is no other run's prefix.

pub(crate) mod stale;
pub(crate) mod state;

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail};
use parking_lot::Mutex;

use self::state::State;
use crate::{bpffs, cgroup, namespace, signals};

/// The start of a run folder's name.
pub(crate) const FOLDER_PREFIX: &str = "ambit-lab-";

/// The longest wished name: with the temp folder and a socket's name it must fit into `sun_path` (108 bytes).
const MAX_NAME: usize = 24;

/// How many names of the same wish are tried.
const MAX_ATTEMPTS: u32 = 1000;

/// One lab's claim on the machine.
#[derive(Debug)]
pub(crate) struct Run {
    name: String,
    folder: PathBuf,
    group: PathBuf,
    /// The group that this process shares with the run, where programs in the kernel may capture.
    shared: Option<PathBuf>,
    /// Held, never read: the kernel lets go of it when this process ends, however it ends.
    _lock: File,
    removed: Mutex<bool>,
    serial: AtomicU32,
}

/// Whether a run's name is exactly the wish or made unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// `<wish>_<process>_<number>`: suites side by side.
    Unique,
    /// The wish itself: a lab that a person addresses by name.
    Exact,
}

impl Run {
    /// Claims a name: folder, lock and cgroup; `in_kernel` for programs in the kernel, which need a common cgroup and a bpffs.
    pub(crate) fn claim(wish: &str, naming: Naming, in_kernel: bool) -> Result<Arc<Self>> {
        let wish = sanitize(wish)?;
        if signals::closing() {
            bail!("the process is ending");
        }
        let (name, folder) = match naming {
            Naming::Exact => {
                let folder = folder_of(&wish);
                if !make_folder(&folder)? {
                    bail!(
                        "a lab named {wish} exists ({}): use it, `lab down {wish}`, or `lab clean` if its owner is dead",
                        folder.display()
                    );
                }
                (wish, folder)
            }
            Naming::Unique => unique(&wish)?,
        };
        let claimed = Self::furnish(name, folder.clone(), in_kernel);
        if claimed.is_err() {
            // The first error is the one to tell.
            let _ = unmount(&folder).and_then(|()| remove_folder(&folder));
        }
        claimed
    }

    fn furnish(name: String, folder: PathBuf, in_kernel: bool) -> Result<Arc<Self>> {
        let lock = take_lock(&folder)?;
        let tree = cgroup::tree(&folder)?;
        let shared = if in_kernel {
            bpffs::create(&folder)?;
            Some(cgroup::own::join(&tree)?)
        } else {
            None
        };
        let group = shared
            .as_ref()
            .unwrap_or(&tree)
            .join(format!("ambit-{name}"));
        State::begin(&name, &group)?.write(&folder)?;
        cgroup::create(&group)?;
        let run = Arc::new(Self {
            name,
            folder,
            group,
            shared,
            _lock: lock,
            removed: Mutex::new(false),
            serial: AtomicU32::new(0),
        });
        signals::register(&run)?;
        Ok(run)
    }

    /// The run's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The run's folder; removed with the run.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The run's cgroup; every process of the run is below it.
    pub(crate) fn group(&self) -> &Path {
        &self.group
    }

    /// The cgroup that everything of the run is below, this process too: `CGROUP_PATH`.
    pub(crate) fn shared_group(&self) -> Option<&Path> {
        self.shared.as_deref()
    }

    /// Where a machine's ztunnel pins what outlives it: `PIN_PATH`.
    pub(crate) fn pins(&self, machine: &str) -> PathBuf {
        bpffs::place(&self.folder).join(machine)
    }

    /// A number that no other file or group of this run has.
    pub(crate) fn serial(&self) -> u32 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// The namespace of a machine.
    pub(crate) fn namespace(&self, machine: &str) -> String {
        namespace_of(&self.name, machine)
    }

    /// Ends every process of the run and removes everything that carries its name. The second call
    /// does nothing.
    ///
    /// # Errors
    ///
    /// The first thing that could not be removed; the rest has been tried all the same.
    pub(crate) fn remove(&self) -> Result<()> {
        let mut removed = self.removed.lock();
        if *removed {
            return Ok(());
        }
        *removed = true;
        let removed = remove_all(&self.name, &self.folder, &self.group);
        let left = match self.shared {
            Some(_) => cgroup::own::leave(),
            None => Ok(()),
        };
        removed.and(left)
    }
}

/// Removes a run by its name: processes, cgroup, namespaces, mount, folder.
pub(crate) fn remove_all(name: &str, folder: &Path, group: &Path) -> Result<()> {
    let killed = cgroup::kill_and_remove(group);
    let namespaces = namespace::delete(&namespaces_of(name));
    // Never the folder while foreign groups are mounted in it.
    let folder = unmount(folder).and_then(|()| remove_folder(folder));
    killed
        .and(namespaces)
        .and(folder)
        .with_context(|| format!("remove lab {name}"))
}

fn unmount(folder: &Path) -> Result<()> {
    cgroup::unmount(folder).and_then(|()| bpffs::remove(folder))
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The folder of a run.
pub(crate) fn folder_of(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("{FOLDER_PREFIX}{name}"))
}

/// The namespace of a run's machine.
pub(crate) fn namespace_of(run: &str, machine: &str) -> String {
    format!("ambit-{run}-{machine}")
}

/// The namespaces that a run has now.
pub(crate) fn namespaces_of(run: &str) -> Vec<String> {
    let prefix = namespace_of(run, "");
    namespace::list()
        .into_iter()
        .filter(|name| name.starts_with(&prefix))
        .collect()
}

fn sanitize(wish: &str) -> Result<String> {
    let name: String = wish
        .chars()
        .take(MAX_NAME)
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .collect();
    if name.is_empty() {
        bail!("a lab's name is empty, expected letters and digits");
    }
    Ok(name)
}

fn unique(wish: &str) -> Result<(String, PathBuf)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..MAX_ATTEMPTS {
        let name = format!(
            "{wish}_{}_{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = folder_of(&name);
        if make_folder(&folder)? {
            return Ok((name, folder));
        }
    }
    bail!("{MAX_ATTEMPTS} labs named {wish} exist: `lab clean` removes those whose owner is dead")
}

/// Makes the folder; `false` when it is there already.
fn make_folder(folder: &Path) -> Result<bool> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).with_context(|| format!("create {}", folder.display())),
    }
}

/// The lock appears under its name only when it is held, so that `clean` never takes a young run for dead.
fn take_lock(folder: &Path) -> Result<File> {
    let young = folder.join("lock.new");
    let lock = File::create(&young)?;
    lock.try_lock()
        .with_context(|| format!("lock {}", young.display()))?;
    fs::rename(young, folder.join("lock"))?;
    Ok(lock)
}
