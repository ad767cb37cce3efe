//! Notices that a folder may have changed, by watching its directories and the one that holds it.
//!
//! Directories, not files: editors and Kubernetes put a new file in the old one's place, and a watch on the old
//! file would never tell.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::walk::Identity;

/// Watches on the directories of a folder.
///
/// **Shape**: the watcher's own thread rings `changed`, which remembers one ring; it ends with this value.
#[derive(Debug)]
pub(super) struct Watch {
    changed: Arc<Notify>,
    /// Watched directories that were removed. Their inode numbers may be given to those that replace them.
    lost: Arc<Mutex<HashSet<PathBuf>>>,
    /// `None` where the system has none to give.
    watcher: Option<RecommendedWatcher>,
    /// By absolute path, as the events name them.
    watched: HashMap<PathBuf, Identity>,
    /// Whether all of the directories are watched.
    whole: bool,
}

impl Watch {
    /// A watch on `root`'s parent, and on nothing else before [`Watch::renew`].
    pub(super) fn new(root: &Path) -> Self {
        let root = absolute(root);
        let changed = Arc::new(Notify::new());
        let lost = Arc::new(Mutex::new(HashSet::new()));
        let (ring, losing, top) = (Arc::clone(&changed), Arc::clone(&lost), root.clone());
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            match event {
                Ok(event) if !may_have_changed(event.kind) => return,
                // The parent is watched for nothing but the folder itself.
                Ok(event) if !concerns(&event, &top) => return,
                Ok(event) => {
                    if event.kind.is_remove() {
                        losing.lock().extend(event.paths);
                    }
                }
                // It may stand for events that were lost.
                Err(_) => {}
            }
            ring.notify_one();
        });
        let mut watch = Self {
            changed,
            lost,
            watcher: watcher
                .inspect_err(|error| tracing::warn!(%error, "cannot watch the folder of manifests, polling it"))
                .ok(),
            watched: HashMap::new(),
            whole: false,
        };
        if let Some(parent) = root.parent() {
            watch.add(parent);
        }
        watch
    }

    /// Watches just `directories`, as a walk found them; returns whether one of them is new, so that it may have
    /// changed between the walk and now.
    pub(super) fn renew(&mut self, directories: &BTreeMap<PathBuf, Identity>) -> bool {
        let wanted: HashMap<PathBuf, Identity> = directories
            .iter()
            .map(|(path, identity)| (absolute(path), *identity))
            .collect();
        let lost = std::mem::take(&mut *self.lost.lock());
        let gone: Vec<PathBuf> = self
            .watched
            .iter()
            .filter(|(path, identity)| lost.contains(*path) || wanted.get(*path) != Some(identity))
            .map(|(path, _)| path.clone())
            .collect();
        for path in gone {
            self.watched.remove(&path);
            if let Some(watcher) = &mut self.watcher {
                // It fails where the directory itself has gone, and its watch with it.
                drop(watcher.unwatch(&path));
            }
        }
        let (mut new, mut whole) = (false, !wanted.is_empty());
        for (path, identity) in wanted {
            if self.watched.contains_key(&path) {
                continue;
            }
            if self.add(&path) {
                self.watched.insert(path, identity);
                new = true;
            } else {
                whole = false;
            }
        }
        self.whole = whole;
        new
    }

    fn add(&mut self, path: &Path) -> bool {
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        watcher
            .watch(path, RecursiveMode::NonRecursive)
            .inspect_err(|error| tracing::debug!(directory = %path.display(), %error, "cannot watch a directory of manifests, polling it"))
            .is_ok()
    }

    /// Whether changes of every directory are told of.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Waits until something has changed since the last time. Cancel-safe.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// As the events name it.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn concerns(event: &Event, root: &Path) -> bool {
    event.need_rescan()
        || event.paths.is_empty()
        || event.paths.iter().any(|path| path.starts_with(root))
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
