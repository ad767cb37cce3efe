//! Notices that a file may have changed, by watching the directory that holds it.
//!
//! The directory, not the file: editors and Kubernetes put a new file in the old one's place (Kubernetes swaps
//! the symlink `..data` beside it), and a watch on the old file would never tell.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::Notify;

/// A watch on the directory of one file.
///
/// **Shape**: the watcher's own thread rings `changed`, which remembers one ring; it ends with this value.
#[derive(Debug)]
pub(super) struct DirectoryWatch {
    directory: PathBuf,
    changed: Arc<Notify>,
    /// `None` until that has worked.
    watching: Option<Watching>,
}

#[derive(Debug)]
struct Watching {
    /// Ends its thread when it is dropped.
    _watcher: RecommendedWatcher,
    /// Whether the watched directory was removed. Its inode number may be given to the one that replaces it.
    lost: Arc<AtomicBool>,
    /// Which directory it is: device and inode.
    identity: (u64, u64),
}

impl DirectoryWatch {
    /// A watch on the directory of `file`; it stands after [`DirectoryWatch::renew`].
    pub(super) fn new(file: &Path) -> Self {
        let directory = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        // Absolute, as the events name it.
        let directory = std::path::absolute(&directory).unwrap_or(directory);
        Self {
            directory,
            changed: Arc::new(Notify::new()),
            watching: None,
        }
    }

    /// Begins to watch, or begins again where the directory itself has been replaced.
    pub(super) fn renew(&mut self) {
        let identity = fs::metadata(&self.directory)
            .ok()
            .map(|directory| (directory.dev(), directory.ino()));
        if self.stands() && identity == self.watching.as_ref().map(|watching| watching.identity) {
            return;
        }
        // The slow poll goes on in any case, so that a failure costs seconds and not the change.
        self.watching = identity.and_then(|identity| match self.watch() {
            Ok((watcher, lost)) => Some(Watching { _watcher: watcher, lost, identity }),
            Err(error) => {
                tracing::debug!(directory = %self.directory.display(), %error, "cannot watch the directory of the configuration file, polling it");
                None
            }
        });
    }

    /// Whether changes are told of.
    pub(super) fn stands(&self) -> bool {
        self.watching
            .as_ref()
            .is_some_and(|watching| !watching.lost.load(Ordering::Acquire))
    }

    fn watch(&self) -> notify::Result<(RecommendedWatcher, Arc<AtomicBool>)> {
        let changed = Arc::clone(&self.changed);
        let directory = self.directory.clone();
        let lost = Arc::new(AtomicBool::new(false));
        let losing = Arc::clone(&lost);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            match event {
                Ok(event) if !may_have_changed(event.kind) => return,
                Ok(event) => {
                    if event.kind.is_remove() && event.paths.contains(&directory) {
                        losing.store(true, Ordering::Release);
                    }
                }
                // It may stand for events that were lost.
                Err(_) => {}
            }
            changed.notify_one();
        })?;
        watcher.watch(&self.directory, RecursiveMode::NonRecursive)?;
        Ok((watcher, lost))
    }

    /// Waits until something in the directory has changed since the last time. Cancel-safe.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Reading is no change: what we read ourselves would otherwise wake us again and again.
fn may_have_changed(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}
