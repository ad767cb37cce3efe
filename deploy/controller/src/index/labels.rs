//! Finding by labels without looking at everything: what a selector selects, and the selectors that select something.
//!
//! Both answer with candidates: a little more than what matches, for the caller to look at.

use std::collections::HashMap;

use super::ids::{Id, Ids};
use crate::objects::Labels;

/// Sets of slots by label and value.
#[derive(Debug, Default)]
struct Pairs(HashMap<Box<str>, HashMap<Box<str>, Ids>>);

impl Pairs {
    fn get(&self, label: &str, value: &str) -> Option<&Ids> {
        self.0.get(label)?.get(value)
    }

    fn insert(&mut self, label: &str, value: &str, id: Id) {
        if let Some(ids) = self.0.get_mut(label).and_then(|it| it.get_mut(value)) {
            ids.insert(id);
            return;
        }
        let values = self.0.entry(label.into()).or_default();
        values.insert(value.into(), Ids::One(id));
    }

    fn remove(&mut self, label: &str, value: &str, id: Id) {
        let Some(values) = self.0.get_mut(label) else {
            return;
        };
        let Some(ids) = values.get_mut(value) else {
            return;
        };
        ids.remove(id);
        if ids.is_empty() {
            values.remove(value);
        }
        if values.is_empty() {
            self.0.remove(label);
        }
    }
}

/// Things with labels: which of them a selector may select.
#[derive(Debug, Default)]
pub(super) struct Labelled(Pairs);

impl Labelled {
    pub(super) fn insert(&mut self, id: Id, labels: &Labels) {
        for (label, value) in labels {
            self.0.insert(label, value, id);
        }
    }

    pub(super) fn remove(&mut self, id: Id, labels: &Labels) {
        for (label, value) in labels {
            self.0.remove(label, value, id);
        }
    }

    /// Those that have this label.
    pub(super) fn with(&self, label: &str, value: &str) -> impl Iterator<Item = Id> + '_ {
        self.0.get(label, value).into_iter().flat_map(Ids::iter)
    }

    /// Those that have the selector's rarest label. An empty selector selects nothing.
    pub(super) fn candidates(&self, selector: &Labels) -> impl Iterator<Item = Id> + '_ {
        let mut rarest = None;
        for (label, value) in selector {
            match self.0.get(label, value) {
                None => {
                    rarest = None;
                    break;
                }
                Some(ids) if rarest.is_none_or(|it: &Ids| ids.len() < it.len()) => {
                    rarest = Some(ids);
                }
                Some(_) => {}
            }
        }
        rarest.into_iter().flat_map(Ids::iter)
    }
}

/// Selectors: which of them may select something with given labels.
///
/// Each is kept under one of its labels, the one that the fewest others are kept under when it comes: so that ten
/// thousand selectors that share a label are told apart by another.
#[derive(Debug, Default)]
pub(super) struct Selectors(Pairs);

impl Selectors {
    /// An empty selector selects nothing and is not kept.
    pub(super) fn insert(&mut self, id: Id, selector: &Labels) {
        let sharing =
            |(label, value): &(&String, &String)| self.0.get(label, value).map_or(0, Ids::len);
        if let Some((label, value)) = selector.iter().min_by_key(sharing) {
            self.0.insert(label, value, id);
        }
    }

    pub(super) fn remove(&mut self, id: Id, selector: &Labels) {
        let kept = selector
            .iter()
            .find(|(label, value)| self.0.get(label, value).is_some_and(|ids| ids.contains(id)));
        if let Some((label, value)) = kept {
            self.0.remove(label, value, id);
        }
    }

    /// Those that are kept under one of these labels, each once.
    pub(super) fn candidates<'a>(&'a self, labels: &'a Labels) -> impl Iterator<Item = Id> + 'a {
        labels
            .iter()
            .filter_map(|(label, value)| self.0.get(label, value))
            .flat_map(Ids::iter)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.0.is_empty()
    }
}
