//! What stands in the bpffs, and outlives the proxy.
//!
//! ```text
//! PIN_PATH/
//!   <build>-<cgroup>/          one generation: the programs of one build, attached to one cgroup
//!     hooks/                   links of the hooks, and their maps
//!     pods/<cookie>/           one pod: POD, OWN and LISTENERS (maps), then steer (a link)
//!   kept/<cookie>/<setting>/   was on in the pod before it was captured
//!   claims/<number>/           locked by a proxy that lives
//!   served/<cookie>            a link with the number of the pod's proxy
//!   trial-.../                 a dry run
//! ```
//!
//! A proxy writes into the generation of its own build alone, whose structs it knows. What others left goes on until
//! every pod has been taken over: see `generation`.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt as _, symlink},
    path::{Path, PathBuf},
};

use crate::{
    Cookie, Error,
    claims::{Held, unique},
    generation::Generation,
};

/// The folder of settings that were on. A name in a bpffs has no dots.
const KEPT: &str = "kept";
/// The folder of who serves pods.
const SERVED: &str = "served";
/// What the names of folders of trials begin with.
const TRIAL: &str = "trial-";

/// The folders of one proxy.
#[derive(Clone, Debug)]
pub(crate) struct Pins {
    root: PathBuf,
    own: Generation,
}

impl Pins {
    pub(crate) fn new(root: &Path, build: u64, cgroup: u64) -> Self {
        Self {
            root: root.to_owned(),
            // No dots: a bpffs reserves them.
            own: Generation::at(root.join(format!("{build:016x}-{cgroup}"))),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// That of this build and attach point.
    pub(crate) fn own(&self) -> &Generation {
        &self.own
    }

    /// The generations of others.
    pub(crate) fn others(&self) -> Result<Vec<Generation>, Error> {
        let mut generations = generations(&self.root)?;
        generations.retain(|it| it.folder() != self.own.folder());
        Ok(generations)
    }

    /// Whether a generation holds a pod, captured or half made.
    pub(crate) fn knows(&self, cookie: Cookie) -> Result<bool, Error> {
        Ok(generations(&self.root)?.iter().any(|it| it.knows(cookie)))
    }

    /// Whether a pod is captured by any generation.
    pub(crate) fn captured(&self, cookie: Cookie) -> Result<bool, Error> {
        Ok(generations(&self.root)?
            .iter()
            .any(|it| it.captured(cookie)))
    }

    /// Removes a pod from the generations of others.
    pub(crate) fn remove_from_others(&self, cookie: Cookie) -> Result<(), Error> {
        self.others()?
            .iter()
            .map(|it| it.remove_pod(cookie))
            .fold(Ok(()), Result::and)
    }

    /// Removes what dry runs have left that were killed.
    pub(crate) fn remove_trials(&self) -> Result<(), Error> {
        for path in list(&self.root)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(TRIAL) && Held::take(&path)?.is_some() {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

/// All generations. The kernel has files of its own in a bpffs, which may be the root.
pub(crate) fn generations(root: &Path) -> Result<Vec<Generation>, Error> {
    let mut paths = list(root)?;
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.split_once('-').is_some_and(|(build, cgroup)| {
            u64::from_str_radix(build, 16).is_ok() && cgroup.parse::<u64>().is_ok()
        })
    });
    Ok(paths.into_iter().map(Generation::at).collect())
}

/// Removes everything.
pub(crate) fn remove_all(root: &Path) -> Result<(), Error> {
    generations(root)?
        .iter()
        .map(Generation::remove)
        .fold(Ok(()), Result::and)?;
    remove(&root.join(SERVED)).and(remove(&root.join(KEPT)))
}

/// Removes the root, if nothing is left in it.
pub(crate) fn remove_root(root: &Path) -> Result<(), Error> {
    match fs::remove_dir(root) {
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
        result => result.map_err(|error| Error::pin("cannot remove", root, error)),
    }
}

/// The settings of a pod's namespace that were on before any build captured it, and are to be when it no longer is.
pub(crate) fn kept(root: &Path, cookie: Cookie) -> Result<Vec<String>, Error> {
    let name = |path: PathBuf| {
        Some(
            path.file_name()?
                .to_str()?
                .replace('_', ".")
                .replace('-', "_"),
        )
    };
    let folder = root.join(KEPT).join(cookie.to_string());
    Ok(list(&folder)?.into_iter().filter_map(name).collect())
}

/// Remembers them.
pub(crate) fn set_kept(root: &Path, cookie: Cookie, names: &[&str]) -> Result<(), Error> {
    let folder = root.join(KEPT).join(cookie.to_string());
    remove(&folder)?;
    names
        .iter()
        .try_for_each(|name| create(&folder.join(name.replace('_', "-").replace('.', "_"))))
}

/// Which proxy put its listeners in last for a pod, by its claim.
pub(crate) fn server(root: &Path, cookie: Cookie) -> Option<u64> {
    let link = fs::read_link(root.join(SERVED).join(cookie.to_string())).ok()?;
    link.to_str()?.parse().ok()
}

/// Says who it is from now on, or nobody. The link leads nowhere: only its text counts.
pub(crate) fn set_server(root: &Path, cookie: Cookie, server: Option<u64>) -> Result<(), Error> {
    let folder = root.join(SERVED);
    let link = folder.join(cookie.to_string());
    match fs::remove_file(&link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::pin("cannot remove", link, error));
        }
        Ok(()) | Err(_) => {}
    }
    let Some(server) = server else { return Ok(()) };
    create(&folder)?;
    symlink(server.to_string(), &link).map_err(|error| Error::pin("cannot make", link, error))
}

/// The pins of a dry run, in nobody's way.
#[derive(Debug)]
pub(crate) struct Trial {
    path: PathBuf,
    held: Held,
}

impl Trial {
    pub(crate) fn make(root: &Path) -> Result<Self, Error> {
        let path = root.join(unique(TRIAL));
        create(&path)?;
        let held = Held::take(&path)?.ok_or_else(|| Error::Busy(path.clone()))?;
        Ok(Self { path, held })
    }

    /// Where the trial's own root is.
    pub(crate) fn pins(&self) -> PathBuf {
        self.path.join("pins")
    }

    /// Removes what is left; with it goes the root, if it was made for it.
    pub(crate) fn end(self) {
        drop(remove(&self.path));
        drop(self.held);
        if let Some(root) = self.path.parent() {
            // In use, or gone.
            drop(fs::remove_dir(root));
        }
    }
}

/// Makes a folder and those above it, for nobody but us.
pub(crate) fn create(folder: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Error::pin("cannot make the folder of", folder, error))
}

/// Removes a folder with all pins in it. Twice is once.
pub(crate) fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(|error| Error::pin("cannot remove", folder, error)),
    }
}

/// What is in a folder; nothing where there is none.
pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| Error::pin("cannot list", folder, error))?,
    };
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}
