//! Folders of manifests in real directories.

mod following;
mod good;
mod layouts;
mod property;
mod retained;
mod stand_ins;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use super::{Batch, Folder, Scan};
use crate::objects::{Kind, Object, ObjectKey, Update};

/// A directory that is removed with this value.
#[derive(Debug)]
struct Directory {
    path: PathBuf,
}

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("manifests-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Puts a complete file in its place, as editors do.
    fn replace(&self, name: &str, text: &str) {
        self.write(".new", text);
        fs::rename(self.at(".new"), self.at(name)).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.at(name)).unwrap();
    }

    fn link(&self, to: &str, name: &str) {
        std::os::unix::fs::symlink(to, self.at(name)).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.path));
    }
}

/// A folder in a directory, and what a receiver of its batches knows.
struct Followed {
    directory: Directory,
    folder: Folder,
    known: BTreeMap<ObjectKey, Object>,
    findings: Vec<String>,
}

impl Followed {
    fn new() -> Self {
        let directory = Directory::new();
        let folder = Folder::new(&directory.path);
        Self {
            directory,
            folder,
            known: BTreeMap::new(),
            findings: Vec::new(),
        }
    }

    /// Looks once; returns what came of it, in words.
    ///
    /// By a clock that is late, so that every file is read and none is waited for.
    fn look(&mut self) -> Vec<String> {
        self.look_at(net::clock::wall() - Duration::from_secs(60))
    }

    fn look_at(&mut self, now: std::time::SystemTime) -> Vec<String> {
        let Scan {
            batch, findings, ..
        } = self.folder.scan(now);
        let root = format!("{}/", self.directory.path.display());
        self.findings = findings
            .into_iter()
            .map(|finding| finding.text.replace(&root, ""))
            .collect();
        let batch = batch.unwrap_or_default();
        let words = words(&batch);
        apply(&mut self.known, batch);
        assert_eq!(self.known, self.folder.objects());
        words
    }
}

/// What a batch does, in words.
fn words(batch: &Batch) -> Vec<String> {
    batch
        .iter()
        .map(|update| match update {
            Update::Put(object) => format!("+{}", object.key()),
            Update::Delete(key) => format!("-{key}"),
        })
        .collect()
}

fn apply(known: &mut BTreeMap<ObjectKey, Object>, batch: Batch) {
    for update in batch {
        match update {
            Update::Put(object) => {
                let before = known.insert(object.key(), object.clone());
                assert_ne!(before, Some(object), "put although nothing changed");
            }
            Update::Delete(key) => assert!(known.remove(&key).is_some(), "{key} was not there"),
        }
    }
}

/// The text of a pod on a node.
fn pod(name: &str, node: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n  nodeName: {node}\n"
    )
}

/// The node of a pod that is known.
fn node_of<'a>(known: &'a BTreeMap<ObjectKey, Object>, name: &str) -> Option<&'a str> {
    let key = ObjectKey::new(Kind::Pod, "default", name);
    let Some(Object::Pod(pod)) = known.get(&key) else {
        return None;
    };
    Some(&pod.node)
}

/// A fresh look at a directory.
fn fresh(path: &Path) -> (BTreeMap<ObjectKey, Object>, Vec<String>) {
    let mut folder = Folder::new(path);
    let scan = folder.scan(net::clock::wall());
    let findings = scan.findings.into_iter().map(|finding| finding.text);
    (folder.objects(), findings.collect())
}
