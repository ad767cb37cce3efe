//! The folder as it was last seen, and what it delivers.
//!
//! In: the directory, when asked. Out: a [`Scan`]. Blocks for as long as reading what has changed takes.
//! Never: watches, waits, or knows a runtime.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    Batch,
    claims::{Claims, Place},
    judged::Judged,
    text::{self, Unread},
    walk::{Identity, Stamp, Walk, refused, walk},
};
use crate::{
    objects::{Object, ObjectKey, Update},
    status::Finding,
};

/// Findings that are told; of more, only how many.
const MAX_FINDINGS: usize = 1000;
/// How often a file that changes while it is read is left alone before that is told.
const MAX_TRIES: u32 = 10;
/// A file that changed so lately may change again without its times telling: the clock that stamps files is coarse.
/// It may also still be written: see [`is_cut_short`].
const FRESH: Duration = Duration::from_secs(2);

/// A folder of manifests.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    files: BTreeMap<Arc<Path>, File>,
    claims: Claims,
    delivered: HashMap<ObjectKey, Delivered>,
    /// What is told of objects that are named twice.
    duplicates: BTreeMap<ObjectKey, Vec<Finding>>,
    /// Whether it has been read once.
    configured: bool,
    again: bool,
}

/// What one look at the folder came to.
#[derive(Debug)]
pub struct Scan {
    /// What differs from the last one that there was. `None` while the folder has not been read once, and where it
    /// cannot be read at all. The first says "configured", even if it is empty.
    pub batch: Option<Batch>,
    /// All that is wrong, in the order of files and lines.
    pub findings: Vec<Finding>,
    /// Whether a file changed while it was read or seems to be half written, so that another look is due soon.
    pub again: bool,
    /// The directories that were looked into; empty where the folder cannot be read.
    pub(super) directories: BTreeMap<PathBuf, Identity>,
}

/// One file.
#[derive(Debug, Default)]
struct File {
    /// The version that was read last; `None` where it has to be read again in any case.
    stamp: Option<Stamp>,
    /// Of the text that was judged.
    hash: Option<u64>,
    /// Which file that was.
    identity: Option<Identity>,
    judged: Judged,
    /// Why what was judged is not what is there now.
    unread: Option<Finding>,
    /// Objects that it delivered and that nothing names any more, which stay while it is nameless.
    retained: HashSet<ObjectKey>,
    /// How often in a row it changed while it was read.
    tries: u32,
}

impl File {
    fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.unread.iter().chain(&self.judged.findings)
    }
}

/// An object that is in force.
#[derive(Debug)]
struct Delivered {
    object: Object,
    /// The file that it is from.
    origin: Arc<Path>,
}

impl Delivered {
    /// Whether it is what stands in for a policy that cannot be read.
    fn stands_in(&self) -> bool {
        matches!(self.object, Object::Unread(_))
    }
}

impl Folder {
    /// The folder at `root`, of which nothing has been read yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            files: BTreeMap::new(),
            claims: Claims::default(),
            delivered: HashMap::new(),
            duplicates: BTreeMap::new(),
            configured: false,
            again: false,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How many objects are in force.
    #[must_use]
    pub fn len(&self) -> usize {
        self.delivered.len()
    }

    /// Whether no object is in force.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.delivered.is_empty()
    }

    /// The objects that are in force, in the order of their keys.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<ObjectKey, Object> {
        let objects = self.delivered.iter();
        objects
            .map(|(key, delivered)| (key.clone(), delivered.object.clone()))
            .collect()
    }

    /// Looks at the folder, reads what has changed in it, and tells what that comes to.
    pub fn scan(&mut self, now: SystemTime) -> Scan {
        let walk = match walk(&self.root) {
            Ok(walk) => walk,
            Err(finding) => {
                // Everything stays as it is.
                let mut findings = vec![finding];
                findings.extend(self.findings());
                return Scan {
                    batch: None,
                    findings: bounded(findings),
                    again: false,
                    directories: BTreeMap::new(),
                };
            }
        };
        self.again = false;
        let mut affected = BTreeSet::new();
        let mut findings = walk.findings.clone();
        self.forget(&walk, &mut affected, &mut findings);
        for (path, stamp) in &walk.files {
            self.look(path, stamp, now, &mut affected);
        }
        let (mut deletes, mut puts) = (Batch::new(), Batch::new());
        for key in affected {
            match self.settle(&key) {
                Some(update @ Update::Delete(_)) => deletes.push(update),
                Some(update @ Update::Put(_)) => puts.push(update),
                None => {}
            }
        }
        findings.extend(self.findings());
        let batch = if self.configured {
            deletes.append(&mut puts);
            Some(deletes)
        } else if self.again {
            // Without a file that is being written it would be a mesh that nobody asked for.
            None
        } else {
            self.configured = true;
            Some(self.objects().into_values().map(Update::Put).collect())
        };
        Scan {
            batch,
            findings: bounded(findings),
            again: self.again,
            directories: walk.directories,
        }
    }

    /// Forgets files that are not there any more, but not those that cannot be looked at.
    fn forget(
        &mut self,
        walk: &Walk,
        affected: &mut BTreeSet<ObjectKey>,
        findings: &mut Vec<Finding>,
    ) {
        let missing: Vec<Arc<Path>> = self
            .files
            .keys()
            .filter(|path| !walk.files.contains_key(*path))
            .map(Arc::clone)
            .collect();
        let mut known: HashSet<&Path> = HashSet::new();
        for path in missing {
            let unseen = path
                .ancestors()
                .find(|above| walk.unseen.contains_key(*above));
            match unseen.and_then(|above| walk.unseen.get_key_value(above)) {
                Some((above, _)) => {
                    known.insert(above);
                    // When it is there again, it may be another with the same stamp.
                    if let Some(file) = self.files.get_mut(&path) {
                        file.stamp = None;
                        file.unread = None;
                    }
                }
                None => self.drop_file(&path, affected),
            }
        }
        findings.extend(
            walk.unseen
                .iter()
                .filter(|(path, unseen)| !unseen.only_if_known || known.contains(path.as_path()))
                .map(|(_, unseen)| unseen.finding.clone()),
        );
    }

    fn drop_file(&mut self, path: &Path, affected: &mut BTreeSet<ObjectKey>) {
        let Some(file) = self.files.remove(path) else {
            return;
        };
        for claim in file.judged.claims {
            self.claims.remove(&claim.key, path);
            affected.insert(claim.key);
        }
        affected.extend(file.retained);
    }

    /// Reads one file, if it has changed.
    fn look(
        &mut self,
        path: &Arc<Path>,
        stamp: &Stamp,
        now: SystemTime,
        affected: &mut BTreeSet<ObjectKey>,
    ) {
        let file = self.files.entry(Arc::clone(path)).or_default();
        if file.stamp.as_ref() == Some(stamp) {
            return;
        }
        let (text, stamp) = match text::read(path) {
            Ok(read) => read,
            Err(Unread::Gone) => {
                // The next walk tells whether it is; a symlink may just have lost what it leads to.
                self.again = true;
                return;
            }
            Err(Unread::Changing) => {
                file.stamp = None;
                file.tries = file.tries.saturating_add(1);
                if file.tries < MAX_TRIES {
                    self.again = true;
                } else {
                    let text = "keeps changing while it is read, expected it to be replaced by \
                                renaming a complete file over it";
                    file.unread = Some(refused(path, text));
                }
                return;
            }
            Err(Unread::Refused(finding)) => {
                file.stamp = None;
                file.tries = 0;
                file.unread = Some(finding);
                return;
            }
        };
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = Some(hasher.finish());
        file.stamp = (!is_fresh(&stamp, now)).then_some(stamp);
        file.tries = 0;
        file.unread = None;
        if file.hash == hash {
            file.identity = Some(stamp.identity());
            return;
        }
        let judged = Judged::new(path, &text);
        if is_cut_short(file, &judged, &stamp, now) {
            self.again = true;
            return;
        }
        file.identity = Some(stamp.identity());
        file.hash = hash;
        let before = std::mem::replace(&mut file.judged, judged);
        affected.extend(file.retained.iter().cloned());
        for claim in before.claims {
            self.claims.remove(&claim.key, path);
            affected.insert(claim.key);
        }
        for (index, claim) in file.judged.claims.iter().enumerate() {
            let place = Place {
                file: Arc::clone(path),
                index,
            };
            self.claims.add(&claim.key, place);
            affected.insert(claim.key.clone());
        }
    }

    /// Finds out what an object comes to now, and what of that is news.
    fn settle(&mut self, key: &ObjectKey) -> Option<Update> {
        self.tell_duplicates(key);
        let Some((place, _)) = self.claims.of(key) else {
            return self.settle_unnamed(key);
        };
        let origin = Arc::clone(&place.file);
        let claim = self.claim(place)?;
        let object = match (&claim.object, &claim.unread, self.delivered.get(key)) {
            (Some(object), _, _) => object.clone(),
            // Bad: what is in force, if anything, stays.
            (None, _, Some(before)) if !before.stands_in() => return None,
            (None, Some(unread), _) => Object::Unread(Arc::clone(unread)),
            (None, None, _) => return self.take_back(key),
        };
        let delivered = Delivered {
            object: object.clone(),
            origin: Arc::clone(&origin),
        };
        let before = self.delivered.insert(key.clone(), delivered);
        if let Some(before) = &before
            && let Some(file) = self.files.get_mut(&before.origin)
        {
            file.retained.remove(key);
        }
        let same = before.is_some_and(|before| before.object == object);
        (!same).then_some(Update::Put(object))
    }

    /// The same for an object that nothing names.
    fn settle_unnamed(&mut self, key: &ObjectKey) -> Option<Update> {
        let origin = &self.delivered.get(key)?.origin;
        // It may be what cannot be told apart there.
        if let Some(file) = self.files.get_mut(origin)
            && file.judged.nameless
        {
            file.retained.insert(key.clone());
            return None;
        }
        self.take_back(key)
    }

    /// What is in force of an object goes, if anything is.
    fn take_back(&mut self, key: &ObjectKey) -> Option<Update> {
        let before = self.delivered.remove(key)?;
        if let Some(file) = self.files.get_mut(&before.origin) {
            file.retained.remove(key);
        }
        Some(Update::Delete(key.clone()))
    }

    fn claim(&self, place: &Place) -> Option<&super::judged::Claim> {
        self.files.get(&place.file)?.judged.claims.get(place.index)
    }

    fn tell_duplicates(&mut self, key: &ObjectKey) {
        let findings: Vec<Finding> = match self.claims.of(key) {
            Some((first, others)) if !others.is_empty() => {
                let line = |place: &Place| self.claim(place).map_or(0, |claim| claim.line);
                let (file, at) = (first.file.display(), line(first));
                let told = |place: &Place| Finding {
                    object: Some(key.clone()),
                    refused: true,
                    text: format!(
                        "{}:{}: {key}: found a second time, {file}:{at} has it already, expected each object once",
                        place.file.display(),
                        line(place)
                    ),
                };
                others.iter().map(told).collect()
            }
            Some(_) | None => Vec::new(),
        };
        if findings.is_empty() {
            self.duplicates.remove(key);
        } else {
            self.duplicates.insert(key.clone(), findings);
        }
    }

    fn findings(&self) -> Vec<Finding> {
        let of_files = self.files.values().flat_map(File::findings);
        let twice = self.duplicates.values().flatten();
        of_files.chain(twice).cloned().collect()
    }
}

fn bounded(mut findings: Vec<Finding>) -> Vec<Finding> {
    let more = findings.len().saturating_sub(MAX_FINDINGS);
    if more > 0 {
        findings.truncate(MAX_FINDINGS);
        findings.push(Finding {
            object: None,
            refused: false,
            text: format!("{more} more findings that are not shown"),
        });
    }
    findings
}

/// Whether a file may have been emptied only to be filled again in place, as `>` of a shell does: it changed a moment
/// ago, and says nothing or names fewer objects than before.
///
/// What it said before holds until then: a file that people do shorten in place takes effect [`FRESH`] after the last
/// write. One that is renamed over another is complete, and takes effect at once.
fn is_cut_short(file: &File, judged: &Judged, stamp: &Stamp, now: SystemTime) -> bool {
    let before = file.judged.claims.len() + file.retained.len();
    let is_shorter = stamp.bytes == 0 || judged.claims.len() < before;
    let is_same = file.identity.is_none_or(|it| it == stamp.identity());
    // A file from the future would be waited for until then.
    let is_settling =
        is_fresh(stamp, now) && changed(stamp).is_some_and(|changed| changed <= now + FRESH);
    is_shorter && is_same && is_settling
}

/// Whether the file may have changed since without its stamp telling.
fn is_fresh(stamp: &Stamp, now: SystemTime) -> bool {
    changed(stamp).is_some_and(|changed| {
        changed
            .checked_add(FRESH)
            .is_none_or(|settled| settled > now)
    })
}

fn changed(stamp: &Stamp) -> Option<SystemTime> {
    let (seconds, nanoseconds) = stamp.changed;
    let seconds = u64::try_from(seconds).ok()?;
    let nanoseconds = u32::try_from(nanoseconds).ok()?;
    UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
}
