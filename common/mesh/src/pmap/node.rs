//! The nodes of the trie.
//!
//! In: a key and its hash. Out: the slot that answers. Never: hashes; the map does.

use std::{mem, sync::Arc};

use super::Equivalent;

/// How many bits of the hash one level reads.
const BITS: u32 = 5;
const MASK: u64 = (1 << BITS) - 1;

/// Up to 32 slots; bit `i` of `bitmap` says that one exists for the hash digit `i`.
#[derive(Clone)]
pub(super) struct Node<K, V> {
    bitmap: u32,
    pub(super) slots: Vec<Slot<K, V>>,
}

#[derive(Clone)]
pub(super) enum Slot<K, V> {
    /// The only entry below here.
    Entry { hash: u64, key: K, value: V },
    /// At least two entries of one and the same hash.
    Collision {
        hash: u64,
        entries: Arc<Vec<(K, V)>>,
    },
    /// At least two entries that part ways further down.
    Deeper(Arc<Node<K, V>>),
}

/// The bit of the digit of `hash` that the level at `shift` reads.
fn bit(hash: u64, shift: u32) -> u32 {
    1 << ((hash >> shift) & MASK)
}

impl<K, V> Node<K, V> {
    pub(super) fn empty() -> Self {
        Self {
            bitmap: 0,
            slots: Vec::new(),
        }
    }

    /// Where the slot of `bit` is, or would be.
    fn position(&self, bit: u32) -> usize {
        (self.bitmap & (bit - 1)).count_ones() as usize
    }

    pub(super) fn get<Q: Equivalent<K> + ?Sized>(&self, hash: u64, wanted: &Q) -> Option<(&K, &V)> {
        let mut node = self;
        let mut shift = 0;
        loop {
            let bit = bit(hash, shift);
            if node.bitmap & bit == 0 {
                return None;
            }
            match &node.slots[node.position(bit)] {
                Slot::Entry {
                    hash: its,
                    key,
                    value,
                } => {
                    return (*its == hash && wanted.equivalent(key)).then_some((key, value));
                }
                Slot::Collision { hash: its, entries } => {
                    if *its != hash {
                        return None;
                    }
                    return entries
                        .iter()
                        .find(|(key, _)| wanted.equivalent(key))
                        .map(|(key, value)| (key, value));
                }
                Slot::Deeper(deeper) => {
                    node = deeper;
                    shift += BITS;
                }
            }
        }
    }

    /// A node that holds two slots of different hashes, as deep as they agree.
    fn part(
        shift: u32,
        (first_hash, first): (u64, Slot<K, V>),
        (second_hash, second): (u64, Slot<K, V>),
    ) -> Self {
        let (first_bit, second_bit) = (bit(first_hash, shift), bit(second_hash, shift));
        let slots = if first_bit == second_bit {
            let deeper = Self::part(shift + BITS, (first_hash, first), (second_hash, second));
            vec![Slot::Deeper(Arc::new(deeper))]
        } else if first_bit < second_bit {
            vec![first, second]
        } else {
            vec![second, first]
        };
        Self {
            bitmap: first_bit | second_bit,
            slots,
        }
    }
}

impl<K: Eq + Clone, V: Clone> Node<K, V> {
    pub(super) fn insert(&mut self, hash: u64, shift: u32, key: K, value: V) -> Option<V> {
        let bit = bit(hash, shift);
        let position = self.position(bit);
        if self.bitmap & bit == 0 {
            self.bitmap |= bit;
            // Nodes are many and small: what a doubling would leave unused costs more than the copy.
            self.slots.reserve_exact(1);
            self.slots
                .insert(position, Slot::Entry { hash, key, value });
            return None;
        }
        let slot = &mut self.slots[position];
        match slot {
            Slot::Deeper(deeper) => {
                return Arc::make_mut(deeper).insert(hash, shift + BITS, key, value);
            }
            Slot::Entry {
                hash: its,
                key: present,
                value: old,
            } if *its == hash && *present == key => {
                return Some(mem::replace(old, value));
            }
            Slot::Collision { hash: its, entries } if *its == hash => {
                let entries = Arc::make_mut(entries);
                if let Some((_, old)) = entries.iter_mut().find(|(present, _)| *present == key) {
                    return Some(mem::replace(old, value));
                }
                entries.push((key, value));
                return None;
            }
            Slot::Entry { .. } | Slot::Collision { .. } => {}
        }
        // Two that share this digit of the hash: they move one level down, or into a collision.
        let present = mem::replace(slot, Slot::Deeper(Arc::new(Self::empty())));
        *slot = match present {
            Slot::Entry {
                hash: its,
                key: present,
                value: old,
            } if its == hash => Slot::Collision {
                hash,
                entries: Arc::new(vec![(present, old), (key, value)]),
            },
            Slot::Entry { hash: its, .. } | Slot::Collision { hash: its, .. } => {
                Slot::Deeper(Arc::new(Self::part(
                    shift + BITS,
                    (its, present),
                    (hash, Slot::Entry { hash, key, value }),
                )))
            }
            Slot::Deeper(_) => present,
        };
        None
    }

    /// Takes out the entry that `wanted` finds, which the caller knows to exist.
    pub(super) fn remove<Q: Equivalent<K> + ?Sized>(
        &mut self,
        hash: u64,
        shift: u32,
        wanted: &Q,
    ) -> Option<V> {
        let bit = bit(hash, shift);
        if self.bitmap & bit == 0 {
            return None;
        }
        let position = self.position(bit);
        let slot = &mut self.slots[position];
        match slot {
            Slot::Entry { .. } => {
                self.bitmap &= !bit;
                match self.slots.remove(position) {
                    Slot::Entry { value, .. } => Some(value),
                    Slot::Collision { .. } | Slot::Deeper(_) => None,
                }
            }
            Slot::Collision { hash: its, entries } => {
                let entries = Arc::make_mut(entries);
                let index = entries.iter().position(|(key, _)| wanted.equivalent(key))?;
                let (_, value) = entries.swap_remove(index);
                if entries.len() == 1
                    && let Some((key, value)) = entries.pop()
                {
                    *slot = Slot::Entry {
                        hash: *its,
                        key,
                        value,
                    };
                }
                Some(value)
            }
            Slot::Deeper(deeper) => {
                let node = Arc::make_mut(deeper);
                let value = node.remove(hash, shift + BITS, wanted);
                if node.slots.len() == 1
                    && let Some(last) = node.slots.pop_if(|slot| !matches!(slot, Slot::Deeper(_)))
                {
                    *slot = last;
                }
                value
            }
        }
    }

    /// The value of the entry that `wanted` finds, which the caller knows to exist.
    pub(super) fn get_mut<Q: Equivalent<K> + ?Sized>(
        &mut self,
        hash: u64,
        shift: u32,
        wanted: &Q,
    ) -> Option<&mut V> {
        let bit = bit(hash, shift);
        if self.bitmap & bit == 0 {
            return None;
        }
        let position = self.position(bit);
        match &mut self.slots[position] {
            Slot::Entry { value, .. } => Some(value),
            Slot::Collision { entries, .. } => Arc::make_mut(entries)
                .iter_mut()
                .find(|(key, _)| wanted.equivalent(key))
                .map(|(_, value)| value),
            Slot::Deeper(deeper) => Arc::make_mut(deeper).get_mut(hash, shift + BITS, wanted),
        }
    }
}
