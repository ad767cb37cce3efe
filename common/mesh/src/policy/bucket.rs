//! The rules that are found in one place, in the order of their policies.
//!
//! In: rules. Out: the first that matches. Never: changes what a clone sees.
//!
//! A crowded bucket groups its rules behind **guards**: a further condition that must hold for each of them and
//! that is asked once. Of a rule's possible guards the one is chosen that most rules of the bucket share, so what
//! rules many of them out rules them out together (ten thousand policies that all say "but not from the
//! gateway" are one question to the gateway). What is behind a guard is a bucket again, so that rules which are
//! nearly the same are told apart one condition at a time, and rules which are the same are one question.

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
    /// No guard is left to tell them apart by.
    Alike(Sorted<Entry>),
}

/// **Shape:** every rule is in one group; groups are sorted by their first entry, then by their guard.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    groups: Sorted<Group>,
    tally_by_guard: PersistentMap<Guard, Tally>,
    guard_by_entry: PersistentMap<(PolicyKey, usize), Guard>,
}

/// **Shape:** not empty.
#[derive(Clone, Debug)]
struct Group {
    first: Entry,
    guard: Guard,
    rules: Bucket,
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
    /// How many rules there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(entries) => entries.len(),
            Self::Many(groups) => groups.guard_by_entry.len(),
            Self::Alike(entries) => entries.len(),
        }
    }

    fn first(&self) -> Option<&Entry> {
        match self {
            Self::Few(entries) => entries.first(),
            Self::Many(groups) => groups.groups.first().map(|group| &group.first),
            Self::Alike(entries) => entries.first(),
        }
    }

    /// How many groups there are.
    #[cfg(test)]
    pub(super) fn groups(&self) -> usize {
        match self {
            Self::Few(_) | Self::Alike(_) => 0,
            Self::Many(groups) => groups.groups.len(),
        }
    }

    /// Adds a rule that is not there.
    pub(super) fn insert(&mut self, entry: Entry) {
        self.insert_behind(&mut Vec::new(), entry);
    }

    /// Adds a rule to a bucket that stands behind the guards of `path`.
    fn insert_behind(&mut self, path: &mut Vec<Guard>, entry: Entry) {
        match self {
            Self::Few(entries) if entries.len() < MAX_UNGROUPED => {
                let place = entries.partition_point(|other| other.order(&entry).is_lt());
                entries.insert(place, entry);
            }
            Self::Few(entries) => {
                let mut groups = Groups::default();
                for entry in entries.drain(..).chain([entry]) {
                    groups.insert(path, entry);
                }
                *self = Self::Many(Arc::new(groups));
            }
            Self::Many(groups) => Arc::make_mut(groups).insert(path, entry),
            Self::Alike(entries) => {
                let key = entry.clone();
                entries.insert(entry, |other| other.order(&key));
            }
        }
    }

    /// Takes a rule out.
    pub(super) fn remove(&mut self, entry: &Entry) {
        self.remove_behind(&mut Vec::new(), entry);
    }

    fn remove_behind(&mut self, path: &mut Vec<Guard>, entry: &Entry) {
        match self {
            Self::Few(entries) => entries.retain(|other| other.order(entry).is_ne()),
            Self::Many(groups) => Arc::make_mut(groups).remove(path, entry),
            Self::Alike(entries) => {
                entries.remove(|other| other.order(entry));
            }
        }
    }

    /// Makes `best` the first rule that matches, if it comes before what `best` is.
    pub(super) fn improve<'a>(&'a self, query: &Query, best: &mut Option<&'a Entry>) {
        match self {
            Self::Few(entries) => improve(entries.iter(), query, best),
            Self::Alike(entries) => improve(entries.iter(), query, best),
            Self::Many(groups) => {
                for group in groups.groups.iter() {
                    if best.is_some_and(|best| best.order(&group.first).is_le()) {
                        return;
                    }
                    if group.guard.admits(query) {
                        group.rules.improve(query, best);
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

/// What may guard a rule behind the guards of `path`: each is asked once.
fn guards(path: &[Guard], entry: &Entry) -> Vec<Guard> {
    let mut guards = entry.rule().guards();
    guards.retain(|guard| !path.contains(guard));
    if guards.is_empty() {
        guards.push(Guard::Nothing);
    }
    guards
}

impl Groups {
    fn insert(&mut self, path: &mut Vec<Guard>, entry: Entry) {
        let mut chosen: Option<(Guard, Tally)> = None;
        for guard in guards(path, &entry) {
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
        let group = tally.first.and_then(|first| self.take(&first, &guard));
        let mut rules = match (group, &guard) {
            (Some(group), _) => group.rules,
            (None, Guard::Nothing) => Bucket::Alike(Sorted::default()),
            (None, Guard::Requires(_) | Guard::Excludes(_) | Guard::Whole(_)) => Bucket::default(),
        };
        self.guard_by_entry
            .insert((entry.key().clone(), entry.rule), guard.clone());
        path.push(guard);
        rules.insert_behind(path, entry);
        if let Some(guard) = path.pop() {
            self.put(guard, rules);
        }
    }

    fn remove(&mut self, path: &mut Vec<Guard>, entry: &Entry) {
        let Some(guard) = self
            .guard_by_entry
            .remove(&(entry.key().clone(), entry.rule))
        else {
            return;
        };
        let first = self
            .tally_by_guard
            .get(&guard)
            .and_then(|tally| tally.first.clone());
        if let Some(mut group) = first.and_then(|first| self.take(&first, &guard)) {
            path.push(guard);
            group.rules.remove_behind(path, entry);
            if let Some(guard) = path.pop() {
                self.put(guard, group.rules);
            }
        }
        for guard in guards(path, entry) {
            if let Some(tally) = self.tally_by_guard.get_mut(&guard) {
                tally.mentions -= 1;
                if tally.mentions == 0 {
                    self.tally_by_guard.remove(&guard);
                }
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
    fn put(&mut self, guard: Guard, rules: Bucket) {
        let first = rules.first().cloned();
        if let Some(tally) = self.tally_by_guard.get_mut(&guard) {
            tally.first.clone_from(&first);
        }
        if let Some(first) = first {
            let (key, key_guard) = (first.clone(), guard.clone());
            let group = Group {
                first,
                guard,
                rules,
            };
            self.groups.insert(group, |group| {
                group
                    .first
                    .order(&key)
                    .then_with(|| group.guard.cmp(&key_guard))
            });
        }
    }
}
