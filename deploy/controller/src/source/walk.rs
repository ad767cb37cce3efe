//! Which files there are below a directory.
//!
//! In: a directory. Out: a [`Walk`]: the manifests with what tells their versions apart, the directories to watch,
//! and what could not be looked at.
//! Never: opens a file, waits for one, or goes around in circles.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::status::Finding;

/// Directories within each other; people need three.
const MAX_DEPTH: usize = 32;
/// Entries of all directories together, whatever they are: what one walk looks at.
const MAX_ENTRIES: usize = 1_000_000;
/// Manifests: room for 100,000 workloads with their services and policies in a file each.
const MAX_FILES: usize = 250_000;
/// Bytes of all manifests together. They are read one by one, but the objects are held.
const MAX_TOTAL_BYTES: u64 = 4 << 30;

/// What differs between two versions of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    pub(super) bytes: u64,
    modified: (i64, i64),
    /// When its content or its owner changed, by the clock of the kernel. Units: seconds and nanoseconds since 1970.
    pub(super) changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Which file it is, in all its versions.
    pub(super) fn identity(&self) -> Identity {
        (self.device, self.inode)
    }
}

/// Which directory or file it is: device and inode.
pub(super) type Identity = (u64, u64);

/// What there is.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// The manifests.
    pub(super) files: BTreeMap<Arc<Path>, Stamp>,
    /// The directories that were looked into.
    pub(super) directories: BTreeMap<PathBuf, Identity>,
    /// What could not be looked at, a manifest or a directory: nobody knows what is there now.
    pub(super) unseen: BTreeMap<PathBuf, Unseen>,
    /// What is told beside.
    pub(super) findings: Vec<Finding>,
}

/// Something that could not be looked at.
#[derive(Debug)]
pub(super) struct Unseen {
    /// Why.
    pub(super) finding: Finding,
    /// Whether that matters to nobody unless manifests were there before.
    pub(super) only_if_known: bool,
}

/// Looks at everything below `root`.
///
/// # Errors
/// Nothing can be said about what is there: `root` cannot be read, or holds more than is read.
pub(super) fn walk(root: &Path) -> Result<Walk, Finding> {
    let mut walker = Walker {
        walk: Walk::default(),
        paths: HashMap::new(),
        entries: 0,
        bytes: 0,
    };
    let metadata = fs::metadata(root).map_err(|error| {
        refused(
            root,
            &format!("cannot be read, expected a directory: {error}"),
        )
    })?;
    if !metadata.is_dir() {
        return Err(refused(root, "expected a directory"));
    }
    walker.directory(root, &metadata, 0)?;
    // It could be looked at, but not into.
    match walker.walk.unseen.remove(root) {
        Some(unseen) => Err(unseen.finding),
        None if !walker.walk.directories.contains_key(root) => {
            Err(refused(root, "vanished while it was read"))
        }
        None => Ok(walker.walk),
    }
}

struct Walker {
    walk: Walk,
    /// Every directory that was looked into, and over which path.
    paths: HashMap<Identity, PathBuf>,
    entries: usize,
    bytes: u64,
}

impl Walker {
    fn directory(&mut self, path: &Path, metadata: &Metadata, depth: usize) -> Result<(), Finding> {
        let identity = (metadata.dev(), metadata.ino());
        if let Some(earlier) = self.paths.get(&identity) {
            let text = format!(
                "the same directory as {}, not read again",
                earlier.display()
            );
            self.walk.findings.push(warned(path, &text));
            return Ok(());
        }
        if depth > MAX_DEPTH {
            let text = format!("more than {MAX_DEPTH} directories within each other, not read");
            self.unseen(path, &text, false);
            return Ok(());
        }
        let names = match self.names(path) {
            Ok(names) => names?,
            // It went between two looks.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                let text = format!("cannot be read, expected a readable directory: {error}");
                self.unseen(path, &text, false);
                return Ok(());
            }
        };
        self.paths.insert(identity, path.to_owned());
        self.walk.directories.insert(path.to_owned(), identity);
        for (name, kind) in names {
            self.entry(&path.join(name), kind, depth)?;
        }
        Ok(())
    }

    /// What a directory holds, by name; the order in which the system has it means nothing.
    fn names(
        &mut self,
        path: &Path,
    ) -> io::Result<Result<BTreeMap<std::ffi::OsString, fs::FileType>, Finding>> {
        let mut names = BTreeMap::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                let text =
                    format!("more than {MAX_ENTRIES} entries, expected a folder of manifests");
                return Ok(Err(refused(path, &text)));
            }
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            match entry.file_type() {
                Ok(kind) => {
                    names.insert(entry.file_name(), kind);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Ok(names))
    }

    fn entry(&mut self, path: &Path, kind: fs::FileType, depth: usize) -> Result<(), Finding> {
        let manifest = path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml");
        // Nothing that lies in the folder beside manifests is looked at.
        if !manifest && !kind.is_dir() && !kind.is_symlink() {
            return Ok(());
        }
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            // It went between two looks. A symlink that leads nowhere is still there.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !kind.is_symlink() => {
                return Ok(());
            }
            Err(error) => {
                let text = format!("cannot be read, expected a readable file: {error}");
                self.unseen(path, &text, !manifest);
                return Ok(());
            }
        };
        if metadata.is_dir() {
            return self.directory(path, &metadata, depth + 1);
        }
        if !manifest {
            return Ok(());
        }
        if !metadata.is_file() {
            self.unseen(path, "expected a regular file", false);
            return Ok(());
        }
        self.bytes = self.bytes.saturating_add(metadata.len());
        if self.walk.files.len() >= MAX_FILES || self.bytes > MAX_TOTAL_BYTES {
            let text = format!(
                "more than {MAX_FILES} files or {MAX_TOTAL_BYTES} bytes, expected a smaller folder"
            );
            return Err(refused(path, &text));
        }
        let stamp = Stamp::of(&metadata);
        self.walk.files.insert(path.into(), stamp);
        Ok(())
    }

    fn unseen(&mut self, path: &Path, text: &str, only_if_known: bool) {
        let unseen = Unseen {
            finding: refused(path, text),
            only_if_known,
        };
        self.walk.unseen.insert(path.to_owned(), unseen);
    }
}

/// Something at `path` that is left out.
pub(super) fn refused(path: &Path, text: &str) -> Finding {
    Finding {
        object: None,
        refused: true,
        text: format!("{}: {text}", path.display()),
    }
}

fn warned(path: &Path, text: &str) -> Finding {
    Finding {
        refused: false,
        ..refused(path, text)
    }
}
