//! Policies of layer 7 that cannot be enforced, and what they close.
//!
//! In: for a policy, why it is not enforced and what that closes. Out: what is closed, by what; the reasons. Never: decides
//! what can be enforced.
//!
//! It is kept, and not found out again for each service, since what a Gateway or a class has closed is closed for everything
//! behind it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::routing::Key;
use crate::{
    objects::{Kind, Meta},
    render::access::Unenforceable,
};

/// Policies that cannot be enforced.
#[derive(Debug, Default)]
pub(super) struct Unenforced {
    /// By [`name`]: why, unless it could not be read, and what is closed for it. One that only looks on closes nothing.
    policies: BTreeMap<Arc<str>, (Option<Unenforceable>, BTreeSet<Key>)>,
    /// The names of those that close something, by what they close; never an empty set.
    closed: HashMap<Key, BTreeSet<Arc<str>>>,
}

/// What waypoints call a policy that closes: `<kind> <namespace>/<name>`.
pub(super) fn name(kind: Kind, meta: &Meta) -> String {
    format!("{kind} {}/{}", meta.namespace, meta.name)
}

impl Unenforced {
    /// Notes why a policy is not enforced, and what is closed for it; `None` where it is. The answer is what it has closed
    /// before and does not any more, or the other way round.
    pub(super) fn note(
        &mut self,
        name: &str,
        now: Option<(Option<Unenforceable>, BTreeSet<Key>)>,
    ) -> Vec<Key> {
        let before = self.policies.remove_entry(name);
        let (name, before) = match before {
            Some((name, (_, keys))) => (name, keys),
            None => (Arc::from(name), BTreeSet::new()),
        };
        for key in &before {
            if let Some(names) = self.closed.get_mut(key) {
                names.remove(&name);
                if names.is_empty() {
                    self.closed.remove(key);
                }
            }
        }
        let Some((why, keys)) = now else {
            return before.into_iter().collect();
        };
        for key in &keys {
            let names = self.closed.entry(key.clone()).or_default();
            names.insert(Arc::clone(&name));
        }
        let changed = before.symmetric_difference(&keys).cloned().collect();
        self.policies.insert(name, (why, keys));
        changed
    }

    /// Why a policy is not enforced.
    pub(super) fn why(&self, name: &str) -> Option<&Unenforceable> {
        let (why, _) = self.policies.get(name)?;
        why.as_ref()
    }

    /// The names of the policies that close what a key stands for.
    pub(super) fn closing(&self, key: &Key) -> impl Iterator<Item = String> {
        let names = self.closed.get(key).into_iter().flatten();
        names.map(|name| name.to_string())
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.policies.is_empty() && self.closed.is_empty()
    }
}
