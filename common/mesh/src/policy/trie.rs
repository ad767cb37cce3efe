//! A persistent binary trie: finds every key that a text begins with in one walk.
//!
//! In: [`Key`]s of one attribute. Out: their values. Never: changes what a clone sees.
//!
//! A node stands for the first `bits` bits of its key; chains without a branch are one edge. Depth is bounded by
//! the length of the longest key, and for n keys that share no long beginnings it is about log2(n).

use std::{ops::ControlFlow, sync::Arc};

use super::key::{Key, Text};

/// Values by key. A clone is O(1).
#[derive(Clone, Debug)]
pub(super) struct Trie<V> {
    root: Slot<V>,
}

type Slot<V> = Option<Arc<Node<V>>>;

/// **Shape:** a node has a value, whose key is `key`, or two children, or both.
#[derive(Clone, Debug)]
struct Node<V> {
    /// The node's own key or, without a value, any longer one.
    key: Key,
    bits: usize,
    value: Option<V>,
    children: [Slot<V>; 2],
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        Self { root: None }
    }
}

impl<V> Trie<V> {
    /// The value of exactly this key.
    pub(super) fn get(&self, key: &Key) -> Option<&V> {
        let mut slot = &self.root;
        while let Some(node) = slot {
            if node.bits >= key.bits {
                return node.value.as_ref().filter(|_| node.key == *key);
            }
            slot = &node.children[key.bit(node.bits)];
        }
        None
    }

    /// Calls `found` with the value of every key that `text` begins with, until it breaks.
    pub(super) fn visit<'a, B>(
        &'a self,
        text: Text<'_>,
        mut found: impl FnMut(&'a V) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let mut slot = &self.root;
        while let Some(node) = slot {
            if node.bits > text.bits() {
                break;
            }
            // Only here are the bits compared: a walk that left the text's path ends without a find.
            if let Some(value) = &node.value
                && node.key.begins(text)
            {
                found(value)?;
            }
            if node.bits == text.bits() {
                break;
            }
            slot = &node.children[text.bit(node.bits)];
        }
        ControlFlow::Continue(())
    }
}

impl<V: Clone> Trie<V> {
    /// Changes the value of a key, which may be absent before and after. Copies the path to it, where shared.
    pub(super) fn update(&mut self, key: &Key, change: impl FnOnce(&mut Option<V>)) {
        update(&mut self.root, key, change);
    }
}

fn update<V: Clone>(slot: &mut Slot<V>, key: &Key, change: impl FnOnce(&mut Option<V>)) {
    let Some(shared) = slot else {
        *slot = leaf(key, change);
        return;
    };
    let common = key.common(&shared.key, shared.bits);
    if common < shared.bits {
        if let Some(new) = leaf(key, change) {
            *slot = Some(join(new, Arc::clone(shared), common));
        }
        return;
    }
    let node = Arc::make_mut(shared);
    if key.bits == node.bits {
        node.key = key.clone();
        change(&mut node.value);
    } else {
        update(&mut node.children[key.bit(node.bits)], key, change);
    }
    if node.value.is_none() {
        match &mut node.children {
            [Some(_), Some(_)] => {}
            [only, None] | [None, only] => *slot = only.take(),
        }
    }
}

fn leaf<V>(key: &Key, change: impl FnOnce(&mut Option<V>)) -> Slot<V> {
    let mut value = None;
    change(&mut value);
    value.is_some().then(|| {
        Arc::new(Node {
            key: key.clone(),
            bits: key.bits,
            value,
            children: [None, None],
        })
    })
}

/// Puts a new leaf beside or above a node with which it has `common` bits in common, fewer than the node has.
fn join<V: Clone>(mut new: Arc<Node<V>>, below: Arc<Node<V>>, common: usize) -> Arc<Node<V>> {
    let side = below.key.bit(common);
    if new.bits == common {
        Arc::make_mut(&mut new).children[side] = Some(below);
        return new;
    }
    let (key, mut children) = (new.key.clone(), [None, None]);
    children[1 - side] = Some(new);
    children[side] = Some(below);
    Arc::new(Node {
        key,
        bits: common,
        value: None,
        children,
    })
}

#[cfg(test)]
mod tests;
