//! What several deltas come to as one.
//!
//! In: the slices of responses, in their order. Out: one [`Delta`], which leads where they lead one after the other.
//! Never: a resource that a later slice took away.

use std::collections::HashMap;

use mesh::{Delta, Resource, ResourceKey};

/// Slices that were taken in. **Bound**: by the responses that they are of.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Nothing was to be published at all; an empty delta is something.
    is_something: bool,
    removals: Vec<ResourceKey>,
    /// `None` is what a later slice took away, or brought again.
    upserts: Vec<Option<Resource>>,
    /// Where those are that were looked at: made when something is removed, which a first response never does.
    place_by_key: HashMap<ResourceKey, usize>,
    looked_at: usize,
}

impl Gathered {
    /// Adds what comes after what is there.
    pub(super) fn add(&mut self, delta: Delta) {
        self.is_something = true;
        // A delta removes before it brings: what was brought before must not outlive its removal.
        if !delta.removals.is_empty() {
            self.look();
            for key in &delta.removals {
                if let Some(place) = self.place_by_key.remove(key)
                    && let Some(upsert) = self.upserts.get_mut(place)
                {
                    *upsert = None;
                }
            }
        }
        self.removals.extend(delta.removals);
        self.upserts.extend(delta.upserts.into_iter().map(Some));
    }

    /// Notes where everything is.
    fn look(&mut self) {
        let mut replaced = Vec::new();
        for (place, upsert) in self.upserts.iter().enumerate().skip(self.looked_at) {
            if let Some(resource) = upsert {
                replaced.extend(self.place_by_key.insert(resource.key(), place));
            }
        }
        self.looked_at = self.upserts.len();
        for place in replaced {
            if let Some(upsert) = self.upserts.get_mut(place) {
                *upsert = None;
            }
        }
    }

    /// All of it; `None` where nothing is to be published.
    pub(super) fn into_delta(self) -> Option<Delta> {
        self.is_something.then(|| Delta {
            removals: self.removals,
            upserts: self.upserts.into_iter().flatten().collect(),
        })
    }
}

#[cfg(test)]
mod tests;
