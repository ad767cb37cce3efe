//! A persistent map: a clone is O(1), a change copies only the path to what changed.
//!
//! In: keys that hash and compare. Out: values, in an order that means nothing.
//! Never: locks, blocks, or changes what a clone sees.
//!
//! A hash array mapped trie. A node holds up to 32 slots behind a bitmap; a slot is an entry, a deeper node,
//! or the entries of one full 64-bit hash. Nodes are shared by reference count between clones and are changed
//! in place where nobody else holds them, so that a batch of changes copies each path once. Depth is at most 13.
//! No node but the root holds a single entry: a removal draws such an entry up.

use std::{
    borrow::Borrow,
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
};

mod iter;
mod node;

pub use iter::{Iter, Keys, Values};
use node::Node;

/// What finds a `K`: hashes as it does and knows it when it sees it.
///
/// Everything that `K` borrows as is one already; a key of several parts adds a view of borrowed parts.
pub trait Equivalent<K: ?Sized> {
    /// Whether this finds `key`.
    fn equivalent(&self, key: &K) -> bool;
}

impl<Q: Eq + ?Sized, K: Borrow<Q> + ?Sized> Equivalent<K> for Q {
    fn equivalent(&self, key: &K) -> bool {
        self == key.borrow()
    }
}

/// A map whose clones share what they have in common.
///
/// **Shape:** `S` hashes keys; clones share it, so that they agree on every hash.
#[derive(Clone)]
pub struct PersistentMap<K, V, S = RandomState> {
    root: Arc<Node<K, V>>,
    len: usize,
    hasher: S,
}

impl<K, V> PersistentMap<K, V> {
    /// An empty map with a random hasher of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::with_hasher(RandomState::new())
    }
}

impl<K, V, S> PersistentMap<K, V, S> {
    /// An empty map.
    #[must_use]
    pub fn with_hasher(hasher: S) -> Self {
        Self {
            root: Arc::new(Node::empty()),
            len: 0,
            hasher,
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries, in no order that means anything.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter::new(&self.root, self.len)
    }

    /// All keys, in the order of [`Self::iter`].
    #[must_use]
    pub fn keys(&self) -> Keys<'_, K, V> {
        Keys(self.iter())
    }

    /// All values, in the order of [`Self::iter`].
    #[must_use]
    pub fn values(&self) -> Values<'_, K, V> {
        Values(self.iter())
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> PersistentMap<K, V, S> {
    /// The value of `key`.
    #[must_use]
    pub fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<&V> {
        self.root
            .get(self.hasher.hash_one(key), key)
            .map(|(_, value)| value)
    }

    /// Whether `key` has a value.
    #[must_use]
    pub fn contains_key<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> bool {
        self.get(key).is_some()
    }
}

impl<K: Hash + Eq + Clone, V: Clone, S: BuildHasher> PersistentMap<K, V, S> {
    /// Gives `key` a value and returns the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let hash = self.hasher.hash_one(&key);
        let old = Arc::make_mut(&mut self.root).insert(hash, 0, key, value);
        if old.is_none() {
            self.len += 1;
        }
        old
    }

    /// Takes `key` out and returns its value. Copies nothing where there is none.
    pub fn remove<Q: Hash + Equivalent<K> + ?Sized>(&mut self, key: &Q) -> Option<V> {
        let hash = self.hasher.hash_one(key);
        self.root.get(hash, key)?;
        let old = Arc::make_mut(&mut self.root).remove(hash, 0, key);
        if old.is_some() {
            self.len -= 1;
        }
        old
    }

    /// The value of `key`, to be changed for this map alone. Copies nothing where there is none.
    pub fn get_mut<Q: Hash + Equivalent<K> + ?Sized>(&mut self, key: &Q) -> Option<&mut V> {
        let hash = self.hasher.hash_one(key);
        self.root.get(hash, key)?;
        Arc::make_mut(&mut self.root).get_mut(hash, 0, key)
    }
}

impl<K, V, S: Default> Default for PersistentMap<K, V, S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<K: fmt::Debug, V: fmt::Debug, S> fmt::Debug for PersistentMap<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Hash + Eq, V: PartialEq, S: BuildHasher> PartialEq for PersistentMap<K, V, S> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len
            && self
                .iter()
                .all(|(key, value)| other.get(key) == Some(value))
    }
}

impl<K: Hash + Eq, V: Eq, S: BuildHasher> Eq for PersistentMap<K, V, S> {}

impl<K: Hash + Eq + Clone, V: Clone, S: BuildHasher> Extend<(K, V)> for PersistentMap<K, V, S> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone, S: BuildHasher + Default> FromIterator<(K, V)>
    for PersistentMap<K, V, S>
{
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

impl<'a, K, V, S> IntoIterator for &'a PersistentMap<K, V, S> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}

#[cfg(test)]
mod tests;
