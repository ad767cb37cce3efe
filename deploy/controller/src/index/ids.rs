//! Small sets of slots.

use std::{
    borrow::Borrow,
    collections::{BTreeSet, HashMap},
    hash::Hash,
};

/// A slot of a table.
pub(super) type Id = u32;

/// A set of slots. Most have one: that one costs no allocation.
#[derive(Clone, Debug, Default)]
pub(super) enum Ids {
    #[default]
    None,
    One(Id),
    Many(BTreeSet<Id>),
}

impl Ids {
    pub(super) fn insert(&mut self, id: Id) {
        match self {
            Self::None => *self = Self::One(id),
            Self::One(one) if *one == id => {}
            Self::One(one) => *self = Self::Many(BTreeSet::from([*one, id])),
            Self::Many(many) => {
                many.insert(id);
            }
        }
    }

    pub(super) fn remove(&mut self, id: Id) {
        match self {
            Self::One(one) if *one == id => *self = Self::None,
            Self::None | Self::One(_) => {}
            Self::Many(many) => {
                many.remove(&id);
                if many.is_empty() {
                    *self = Self::None;
                }
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(many) => many.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn contains(&self, id: Id) -> bool {
        match self {
            Self::None => false,
            Self::One(one) => *one == id,
            Self::Many(many) => many.contains(&id),
        }
    }

    /// In ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Id> + '_ {
        let (one, many) = match self {
            Self::None => (None, None),
            Self::One(one) => (Some(*one), None),
            Self::Many(many) => (None, Some(many)),
        };
        one.into_iter().chain(many.into_iter().flatten().copied())
    }
}

/// Sets of slots by what they have in common; a key without a slot is not kept.
#[derive(Debug)]
pub(super) struct Groups<K>(HashMap<K, Ids>);

impl<K> Default for Groups<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq> Groups<K> {
    pub(super) fn insert(&mut self, key: K, id: Id) {
        self.0.entry(key).or_default().insert(id);
    }

    pub(super) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q, id: Id)
    where
        K: Borrow<Q>,
    {
        if let Some(ids) = self.0.get_mut(key) {
            ids.remove(id);
            if ids.is_empty() {
                self.0.remove(key);
            }
        }
    }

    pub(super) fn contains<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.contains_key(key)
    }

    pub(super) fn get<'a, Q: Hash + Eq + ?Sized>(
        &'a self,
        key: &Q,
    ) -> impl Iterator<Item = Id> + use<'a, K, Q>
    where
        K: Borrow<Q>,
    {
        self.0.get(key).into_iter().flat_map(Ids::iter)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
