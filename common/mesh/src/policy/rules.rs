//! The rules of many policies of one action, found by what they require.
//!
//! In: rules. Out: the first that matches a connection. Never: changes what a clone sees.
//!
//! A rule stands under every key of its cover (see `rule`): it can match only where one of them holds, so only
//! the buckets of the keys that hold are looked at. A rule that requires nothing is in `rest`, looked at always.
//! Whatever is found is then matched as a whole; a cover decides what is looked at, never the answer.

use std::ops::ControlFlow;

use super::{
    bucket::{Bucket, Entry},
    key::{Attribute, Key},
    query::Query,
    trie::Trie,
};

/// Rules by cover. A clone is O(1).
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    buckets: [Trie<Bucket>; Attribute::COUNT],
    rest: Bucket,
}

impl Rules {
    /// How many groups the rules that require nothing are in.
    #[cfg(test)]
    pub(super) fn groups_of_rest(&self) -> usize {
        self.rest.groups()
    }

    /// How many rules are found by a key.
    pub(super) fn load(&self, key: &Key) -> usize {
        self.buckets[key.attribute.index()]
            .get(key)
            .map_or(0, Bucket::len)
    }

    /// Adds a rule that is not there.
    pub(super) fn insert(&mut self, entry: &Entry) {
        let Some(cover) = &entry.rule().cover else {
            self.rest.insert(entry.clone());
            return;
        };
        for key in cover {
            self.buckets[key.attribute.index()].update(key, |bucket| {
                bucket.get_or_insert_default().insert(entry.clone());
            });
        }
    }

    /// Takes a rule out.
    pub(super) fn remove(&mut self, entry: &Entry) {
        let Some(cover) = &entry.rule().cover else {
            self.rest.remove(entry);
            return;
        };
        for key in cover {
            self.buckets[key.attribute.index()].update(key, |slot| {
                *slot = slot.take().and_then(|mut bucket| {
                    bucket.remove(entry);
                    (bucket.len() > 0).then_some(bucket)
                });
            });
        }
    }

    /// The first rule that matches, in the order of policies.
    pub(super) fn first_match(&self, query: &Query) -> Option<&Entry> {
        let mut best = None;
        for attribute in Attribute::ALL {
            for text in query.texts(attribute) {
                let _: ControlFlow<()> = self.buckets[attribute.index()].visit(text, |bucket| {
                    bucket.improve(query, &mut best);
                    ControlFlow::Continue(())
                });
            }
        }
        self.rest.improve(query, &mut best);
        best
    }
}
