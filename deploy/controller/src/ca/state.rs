//! The state folder: who may read it, and how it is written so that a crash leaves the old or the new.
//!
//! In: names of files and their bytes. Out: files that are whole. Never: knows what is in them.
//!
//! ```text
//! lock            held by the one controller that serves from the folder
//! edit.lock       held for a moment by whoever changes `tokens`, `revoked` or `rotate`
//! roots.json      0600  the authority's own root, with its key        (controller)
//! tokens          0600  hashes of tokens and whom they stand for      (`controller token`)
//! revoked         0600  serial numbers                                (`controller revoke`)
//! rotate          0600  which root shall be replaced                  (`controller rotate-root`)
//! root-cert.pem   0644  every root that is to be believed             (controller)
//! ca-crl.pem      0644  what is revoked                               (controller)
//! cacerts/              an authority below a root from elsewhere      (the operator)
//! ```

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::{Path, PathBuf},
};

/// For the owner only.
pub(crate) const SECRET: u32 = 0o600;

/// For everybody to read.
pub(crate) const PUBLIC: u32 = 0o644;

/// What is wrong with the folder or a file in it.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The system refused something.
    #[error("{}: cannot be {action}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Others have access that would let them be anybody in the mesh.
    #[error("{}: has mode {mode:03o}, expected no access for others: chmod {expected} it", path.display())]
    Exposed {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What to set.
        expected: &'static str,
    },
    /// Somebody else made it, and could change it at any time.
    #[error("{}: belongs to user {found}, expected {expected} (the user of this process) or 0: chown it", path.display())]
    Foreign {
        /// The file or folder.
        path: PathBuf,
        /// Its owner.
        found: u32,
        /// The effective user of this process.
        expected: u32,
    },
    /// Another process serves from the folder.
    #[error("{}: is held by another controller, expected one for each state folder", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A file that is no file of ours.
    #[error("{}: is larger than {max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        max: u64,
    },
}

/// An open state folder.
#[derive(Clone, Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// Opens the folder, and makes it (0700) if it is not there.
    ///
    /// A folder that is there keeps its mode, so that the roots in it can be read by others if the operator
    /// wants that; only one that others may write to is refused, or that is another user's: he could put files of his own
    /// there. The sticky bit does not help, for whoever comes first makes the files that are not there yet.
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        let dir = Self {
            path: path.to_path_buf(),
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| dir.error("", "made", source))?;
        dir.check_folder("")?;
        Ok(dir)
    }

    /// Refuses a folder that others may write to, or that belongs to somebody else. `""` is the state folder.
    pub(crate) fn check_folder(&self, name: &str) -> Result<(), StateError> {
        let path = if name.is_empty() {
            self.path.clone()
        } else {
            self.file(name)
        };
        let metadata = fs::metadata(&path).map_err(|source| self.error(name, "read", source))?;
        is_ours(&path, &metadata)?;
        deny(&path, &metadata, 0o002, "700")
    }

    /// Where a file of the folder is.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Takes the folder for one controller, until the file is dropped.
    pub(crate) fn lock(&self) -> Result<File, StateError> {
        let file = self.open_lock("lock")?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(StateError::Locked {
                path: self.file("lock"),
            }),
            Err(TryLockError::Error(source)) => Err(self.error("lock", "locked", source)),
        }
    }

    /// Waits until nobody else changes what commands change; until the file is dropped.
    pub(crate) fn edit(&self) -> Result<File, StateError> {
        let file = self.open_lock("edit.lock")?;
        file.lock()
            .map_err(|source| self.error("edit.lock", "locked", source))?;
        Ok(file)
    }

    fn open_lock(&self, name: &str) -> Result<File, StateError> {
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(SECRET)
            .open(self.file(name))
            .map_err(|source| self.error(name, "opened", source))
    }

    /// The bytes of a file that nobody else can have written; `None` if it is not there.
    pub(crate) fn read(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>, StateError> {
        read_own(&self.file(name), max)
    }

    /// A file that only its owner may read. Others' access is refused; the group's, which some volume drivers
    /// add at each mount, is taken away with a warning.
    pub(crate) fn read_secret(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>, StateError> {
        guarded(&self.file(name), max, 0o007, 0o070)
    }

    /// Replaces a file in one step: a reader, and a start after a crash, finds the old bytes or the new.
    ///
    /// For each file there is one writer at a time: the controller, or whoever holds [`StateDir::edit`].
    pub(crate) fn write(&self, name: &str, mode: u32, bytes: &[u8]) -> Result<(), StateError> {
        let draft = format!(".{name}.new");
        let draft_path = self.file(&draft);
        match fs::remove_file(&draft_path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(self.error(&draft, "removed", error));
            }
            Ok(()) | Err(_) => {}
        }
        let write = || {
            let mut file = OpenOptions::new()
                .create_new(true)
                .write(true)
                .mode(mode)
                .open(&draft_path)?;
            // The umask has had its say; what others are to read they can read.
            file.set_permissions(Permissions::from_mode(mode))?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(|source| self.error(&draft, "written", source))?;
        fs::rename(&draft_path, self.file(name))
            .and_then(|()| File::open(&self.path)?.sync_all())
            .map_err(|source| self.error(name, "replaced", source))
    }

    /// Writes a file unless it holds these bytes already.
    pub(crate) fn publish(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        if let Ok(Some(there)) = self.read(name, bytes.len() as u64)
            && there == bytes
        {
            return Ok(());
        }
        self.write(name, PUBLIC, bytes)
    }

    /// Removes a file; one that is not there is as good as removed.
    pub(crate) fn remove(&self, name: &str) -> Result<(), StateError> {
        match fs::remove_file(self.file(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.error(name, "removed", error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn error(&self, name: &str, action: &'static str, source: io::Error) -> StateError {
        let path = if name.is_empty() {
            self.path.clone()
        } else {
            self.file(name)
        };
        StateError::Io {
            path,
            action,
            source,
        }
    }
}

/// A file's bytes, at most `max`; `None` if it is not there. Whoever's file it is: for those that an operator
/// names.
pub(crate) fn read(path: &Path, max: u64) -> Result<Option<Vec<u8>>, StateError> {
    match open(path)? {
        Some(file) => take(path, file, max).map(Some),
        None => Ok(None),
    }
}

/// The same for a file that nobody else can have written.
pub(crate) fn read_own(path: &Path, max: u64) -> Result<Option<Vec<u8>>, StateError> {
    guarded(path, max, 0o002, 0o020)
}

/// The same with the access in `refused` refused and that in `narrowed` taken away. The file that is looked at is
/// the one that is read, whatever happens to its name.
fn guarded(
    path: &Path,
    max: u64,
    refused: u32,
    narrowed: u32,
) -> Result<Option<Vec<u8>>, StateError> {
    let Some(file) = open(path)? else {
        return Ok(None);
    };
    let metadata = file.metadata().map_err(|source| failed(path, source))?;
    is_ours(path, &metadata)?;
    deny(path, &metadata, refused, "600")?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & narrowed != 0 {
        let tightened = file.set_permissions(Permissions::from_mode(mode & !narrowed));
        tracing::warn!(file = %path.display(), mode = format!("{mode:03o}"), tightened = tightened.is_ok(),
            "the group had access to a file that is the owner's alone");
        if tightened.is_err() {
            deny(path, &metadata, 0o020, "600")?;
        }
    }
    take(path, file, max).map(Some)
}

fn deny(
    path: &Path,
    metadata: &Metadata,
    refused: u32,
    expected: &'static str,
) -> Result<(), StateError> {
    let mode = metadata.permissions().mode() & 0o777;
    if mode & refused == 0 {
        return Ok(());
    }
    Err(StateError::Exposed {
        path: path.to_path_buf(),
        mode,
        expected,
    })
}

/// Mounted secrets are root's, whoever reads them.
fn is_ours(path: &Path, metadata: &Metadata) -> Result<(), StateError> {
    let (found, expected) = (metadata.uid(), nix::unistd::geteuid().as_raw());
    if found == expected || found == 0 {
        return Ok(());
    }
    Err(StateError::Foreign {
        path: path.to_path_buf(),
        found,
        expected,
    })
}

fn failed(path: &Path, source: io::Error) -> StateError {
    StateError::Io {
        path: path.to_path_buf(),
        action: "read",
        source,
    }
}

fn open(path: &Path) -> Result<Option<File>, StateError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed(path, source)),
    }
}

fn take(path: &Path, file: File, max: u64) -> Result<Vec<u8>, StateError> {
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| failed(path, source))?;
    if bytes.len() as u64 > max {
        return Err(StateError::TooLarge {
            path: path.to_path_buf(),
            max,
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
