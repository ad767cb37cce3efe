//! The rules that are found in one place, in the order of their policies.
//!
//! In: rules. Out: the first that matches. Never: changes what a clone sees.
//!
//! A crowded bucket groups its rules behind **guards**: a further condition that must hold for each of them and
//! that is asked once. Of a rule's possible guards the one is chosen that most rules of the bucket share, so what
//! rules many of them out rules them out together (ten thousand policies that all say "but not from the
//! gateway" are one question to the gateway).

use std::{cmp::Ordering, sync::Arc};

use super::{
    query::Query,
    rule::{Guard, Rule},
    sorted::Sorted,
};
use crate::{
    authorization::{Authorization, PolicyKey},
    pmap::PersistentMap,
};

/// How many rules stay ungrouped. Reason: so few are asked as fast as their guards.
const MAX_UNGROUPED: usize = 8;

/// A policy, compiled.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) authorization: Arc<Authorization>,
    /// Only those that can match.
    pub(super) rules: Vec<Rule>,
}

/// One rule of a policy.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) policy: Arc<Compiled>,
    /// Its place in `policy.rules`.
    pub(super) rule: usize,
}

impl Entry {
    pub(super) fn rule(&self) -> &Rule {
        &self.policy.rules[self.rule]
    }

    pub(super) fn key(&self) -> &PolicyKey {
        &self.policy.authorization.key
    }

    /// By policy, then by place.
    fn order(&self, other: &Self) -> Ordering {
        self.key().cmp(other.key()).then(self.rule.cmp(&other.rule))
    }
}

/// Rules found in one place.
#[derive(Clone, Debug)]
pub(super) enum Bucket {
    /// Sorted.
    Few(Vec<Entry>),
    /// Grouped.
    Many(Arc<Groups>),
}

/// **Shape:** every rule is in one group; a group is sorted by its first entry, then by its guard.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    groups: Sorted<Group>,
    tally_by_guard: PersistentMap<Guard, Tally>,
    len: usize,
}

/// **Shape:** not empty.
#[derive(Clone, Debug)]
struct Group {
    first: Entry,
    guard: Guard,
    entries: Sorted<Entry>,
}

/// What is known of a guard.
#[derive(Clone, Debug, Default)]
struct Tally {
    /// How many rules could have it.
    mentions: usize,
    /// The first entry of its group, by which the group is found; none where no rule has it.
    first: Option<Entry>,
}

impl Default for Bucket {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Bucket {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(entries) => entries.len(),
            Self::Many(groups) => groups.len,
        }
    }

    /// How many groups there are.
    #[cfg(test)]
    pub(super) fn groups(&self) -> usize {
        match self {
            Self::Few(_) => 0,
            Self::Many(groups) => groups.groups.len(),
        }
    }

    /// Adds a rule that is not there.
    pub(super) fn insert(&mut self, entry: Entry) {
        match self {
            Self::Few(entries) if entries.len() < MAX_UNGROUPED => {
                let place = entries.partition_point(|other| other.order(&entry).is_lt());
                entries.insert(place, entry);
            }
            Self::Few(entries) => {
                let mut groups = Groups::default();
                for entry in entries.drain(..).chain([entry]) {
                    groups.insert(entry);
                }
                *self = Self::Many(Arc::new(groups));
            }
            Self::Many(groups) => Arc::make_mut(groups).insert(entry),
        }
    }

    /// Takes a rule out.
    pub(super) fn remove(&mut self, entry: &Entry) {
        match self {
            Self::Few(entries) => entries.retain(|other| other.order(entry).is_ne()),
            Self::Many(groups) => Arc::make_mut(groups).remove(entry),
        }
    }

    /// Makes `best` the first rule that matches, if it comes before what `best` is.
    pub(super) fn improve<'a>(&'a self, query: &Query, best: &mut Option<&'a Entry>) {
        match self {
            Self::Few(entries) => improve(entries.iter(), query, best),
            Self::Many(groups) => {
                for group in groups.groups.iter() {
                    if best.is_some_and(|best| best.order(&group.first).is_le()) {
                        return;
                    }
                    if group.guard.admits(query) {
                        improve(group.entries.iter(), query, best);
                    }
                }
            }
        }
    }
}

fn improve<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    query: &Query,
    best: &mut Option<&'a Entry>,
) {
    for entry in entries {
        if best.is_some_and(|best| best.order(entry).is_le()) {
            return;
        }
        if entry.rule().matches(query) {
            *best = Some(entry);
            return;
        }
    }
}

impl Groups {
    fn insert(&mut self, entry: Entry) {
        let mut chosen: Option<(Guard, Tally)> = None;
        for guard in entry.rule().guards() {
            let mut tally = self.tally_by_guard.get(&guard).cloned().unwrap_or_default();
            tally.mentions += 1;
            self.tally_by_guard.insert(guard.clone(), tally.clone());
            if chosen
                .as_ref()
                .is_none_or(|(_, most)| most.mentions < tally.mentions)
            {
                chosen = Some((guard, tally));
            }
        }
        let (guard, tally) = chosen.unwrap_or((Guard::Nothing, Tally::default()));
        let mut entries = match &tally.first {
            Some(first) => self
                .take(first, &guard)
                .map(|group| group.entries)
                .unwrap_or_default(),
            None => Sorted::default(),
        };
        let key = entry.clone();
        entries.insert(entry, |other| other.order(&key));
        self.put(guard, entries);
        self.len += 1;
    }

    fn remove(&mut self, entry: &Entry) {
        for guard in entry.rule().guards() {
            let Some(mut tally) = self.tally_by_guard.get(&guard).cloned() else {
                continue;
            };
            tally.mentions = tally.mentions.saturating_sub(1);
            self.tally_by_guard.insert(guard.clone(), tally.clone());
            if let Some(mut group) = tally.first.and_then(|first| self.take(&first, &guard)) {
                if group.entries.remove(|other| other.order(entry)).is_some() {
                    self.len -= 1;
                }
                self.put(guard.clone(), group.entries);
            }
            if self
                .tally_by_guard
                .get(&guard)
                .is_some_and(|tally| tally.mentions == 0)
            {
                self.tally_by_guard.remove(&guard);
            }
        }
    }

    fn take(&mut self, first: &Entry, guard: &Guard) -> Option<Group> {
        self.groups.remove(|group| {
            group
                .first
                .order(first)
                .then_with(|| group.guard.cmp(guard))
        })
    }

    /// Puts a group in its place, or forgets it where it is empty, and notes its first entry.
    fn put(&mut self, guard: Guard, entries: Sorted<Entry>) {
        let first = entries.first().cloned();
        if let Some(tally) = self.tally_by_guard.get_mut(&guard) {
            tally.first.clone_from(&first);
        }
        if let Some(first) = first {
            let (key, key_guard) = (first.clone(), guard.clone());
            self.groups.insert(
                Group {
                    first,
                    guard,
                    entries,
                },
                |group| {
                    group
                        .first
                        .order(&key)
                        .then_with(|| group.guard.cmp(&key_guard))
                },
            );
        }
    }
}
