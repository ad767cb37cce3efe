//! A client that has everything: it holds what one snapshot holds, so nothing is kept per name.
//!
//! In: the snapshot that is to be reached. Out: what differs from the one before.
//! Never: a map of what the client has. What it refused stays what it was sent: it is sent again when it changes.

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::Arc,
};

use super::{
    plan::{Item, Items, Plan},
    viewer::Viewer,
};
use crate::{
    output::ResourceType,
    publish::{Snapshot, Version},
};

/// What a client said that it had when it came, by name; no version is one that we never gave.
pub(super) type Known = HashMap<String, Option<Version>>;

/// The state of such a client.
#[derive(Debug)]
pub(super) struct Wildcard {
    /// What it has been sent, once it has been sent anything.
    base: Option<Arc<Snapshot>>,
    /// Until then: what it had.
    known: Known,
}

impl Wildcard {
    pub(super) fn new(known: Known) -> Self {
        Self { base: None, known }
    }

    /// What leads to `snapshot`, and an answer to each name of `asked`.
    pub(super) fn plan(
        &mut self,
        of: ResourceType,
        viewer: &Viewer,
        snapshot: &Arc<Snapshot>,
        asked: &HashSet<Arc<str>>,
    ) -> Plan {
        let known = mem::take(&mut self.known);
        let base = self.base.replace(Arc::clone(snapshot));
        let (mut items, mut removed) = match &base {
            None if known.is_empty() && viewer.sees_all(of) => {
                // The whole list, as it is: also to be had by name.
                let mut removed: Vec<_> = asked.iter().cloned().collect();
                removed.retain(|name| viewer.find(of, snapshot, name).is_empty());
                removed.sort_unstable();
                let items = Items::Shared(snapshot.list(of));
                return Plan { items, removed };
            }
            None => compare(of, viewer, snapshot, &known),
            Some(base) => match snapshot.since(of, base.generation()) {
                Some(names) => changes(of, viewer, base, snapshot, names),
                None => leap(of, viewer, base, snapshot),
            },
        };
        if !asked.is_empty() {
            answer(
                of,
                viewer,
                snapshot,
                asked,
                base.is_none(),
                &mut items,
                &mut removed,
            );
        }
        Plan::own(items, removed)
    }
}

type Changes = (Vec<Item>, Vec<Arc<str>>);

/// What a client lacks that has `known`.
fn compare(of: ResourceType, viewer: &Viewer, snapshot: &Snapshot, known: &Known) -> Changes {
    let items = viewer
        .iter(of, snapshot)
        .filter(|encoded| known.get(&**encoded.name()) != Some(&Some(encoded.version())))
        .map(Item::plain)
        .collect();
    let removed = known
        .keys()
        .filter(|name| viewer.get(of, snapshot, name).is_none())
        .map(|name| name.as_str().into())
        .collect();
    (items, removed)
}

/// What `names` come to between two snapshots.
fn changes(
    of: ResourceType,
    viewer: &Viewer,
    base: &Snapshot,
    snapshot: &Snapshot,
    mut names: Vec<Arc<str>>,
) -> Changes {
    names.sort_unstable();
    names.dedup();
    let (mut items, mut removed) = (Vec::new(), Vec::new());
    for name in names {
        let before = viewer.get(of, base, &name);
        match viewer.get(of, snapshot, &name) {
            Some(after) if before.is_some_and(|before| before.version() == after.version()) => {}
            Some(after) => items.push(Item::plain(after)),
            None if before.is_some() => removed.push(name),
            None => {}
        }
    }
    (items, removed)
}

/// The same, for a client that is too far behind for the log.
fn leap(of: ResourceType, viewer: &Viewer, base: &Snapshot, snapshot: &Snapshot) -> Changes {
    let same = |name: &str, version| {
        viewer
            .get(of, base, name)
            .is_some_and(|before| before.version() == version)
    };
    let items = viewer
        .iter(of, snapshot)
        .filter(|encoded| !same(encoded.name(), encoded.version()))
        .map(Item::plain)
        .collect();
    let removed = viewer
        .iter(of, base)
        .filter(|encoded| viewer.get(of, snapshot, encoded.name()).is_none())
        .map(|encoded| Arc::clone(encoded.name()))
        .collect();
    (items, removed)
}

/// Adds what was asked for by name. At first, what the client has already is not sent again.
fn answer(
    of: ResourceType,
    viewer: &Viewer,
    snapshot: &Snapshot,
    asked: &HashSet<Arc<str>>,
    first: bool,
    items: &mut Vec<Item>,
    removed: &mut Vec<Arc<str>>,
) {
    let mut sent: HashSet<Arc<str>> = items
        .iter()
        .map(|item| Arc::clone(item.encoded.name()))
        .collect();
    for name in asked {
        let found = viewer.find(of, snapshot, name);
        if found.is_empty() {
            removed.push(Arc::clone(name));
        }
        for encoded in found {
            if !first && sent.insert(Arc::clone(encoded.name())) {
                items.push(Item::plain(encoded));
            }
        }
    }
}
