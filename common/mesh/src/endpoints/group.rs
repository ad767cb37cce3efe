//! Endpoints in groups: those that have one value of the first scope in common, within these those that share the
//! second, and so on. A client's ranks are the groups on its own path, the innermost first.
//!
//! ```text
//! all ─┬─ region eu ─┬─ zone a ── endpoints
//!      │             └─ zone b ── endpoints
//!      └─ region us ─── zone c ── endpoints
//! ```
//! Each endpoint stands in one innermost group, and a group knows its weight: memory grows with the endpoints and
//! with the localities that there are, and a draw in any group is one walk down.

use std::sync::Arc;

use super::{
    preference::value,
    tree::{self, Tree, Weighed, Weight},
};
use crate::{
    name::Name,
    pmap::PersistentMap,
    service::{HealthPolicy, Scope},
    workload::Workload,
};

#[derive(Clone)]
pub(super) enum Group {
    /// Endpoints that share all.
    Ends(Tree<Workload>),
    /// Groups that differ in the next scope.
    Parts(Box<Parts>),
}

#[derive(Clone)]
pub(super) struct Parts {
    scope: Scope,
    index_by_value: PersistentMap<Name, usize>,
    tree: Tree<Part>,
}

/// A group, never empty, and what its endpoints share.
#[derive(Clone)]
pub(super) struct Part {
    value: Name,
    group: Group,
}

impl Weighed for Part {
    fn weight(&self) -> Weight {
        self.group.weight()
    }
}

impl Parts {
    /// The index of the part that a workload belongs to.
    fn index(&self, workload: &Workload) -> Option<usize> {
        self.index_by_value
            .get(value(self.scope, workload))
            .copied()
    }
}

impl Group {
    /// An empty group, to be divided by `scopes`.
    pub(super) fn new(scopes: &[Option<Scope>]) -> Self {
        match scopes {
            [] | [None, ..] => Self::Ends(Tree::default()),
            [Some(scope), ..] => Self::Parts(Box::new(Parts {
                scope: *scope,
                index_by_value: PersistentMap::default(),
                tree: Tree::default(),
            })),
        }
    }

    pub(super) fn weight(&self) -> Weight {
        match self {
            Self::Ends(tree) => tree.weight(),
            Self::Parts(parts) => parts.tree.weight(),
        }
    }

    /// Whether its endpoints share every scope.
    pub(super) fn is_innermost(&self) -> bool {
        match self {
            Self::Ends(_) => true,
            Self::Parts(_) => false,
        }
    }

    /// Whether nothing is in it, not even a group.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Ends(tree) => tree.len() == 0,
            Self::Parts(parts) => parts.tree.len() == 0,
        }
    }

    /// The group within this one whose endpoints share one scope more with `client`.
    pub(super) fn nearer(&self, client: &Workload) -> Option<&Self> {
        match self {
            Self::Ends(_) => None,
            Self::Parts(parts) => {
                let part = parts.tree.get(parts.index(client)?)?;
                Some(&part.group)
            }
        }
    }

    /// The endpoint within whose weight the `point`th unit falls.
    pub(super) fn at(&self, policy: HealthPolicy, mut point: u64) -> Option<&Arc<Workload>> {
        let mut group = self;
        loop {
            match group {
                Self::Ends(tree) => return tree.at(policy, point).map(|(workload, _)| workload),
                Self::Parts(parts) => {
                    let (part, rest) = parts.tree.at(policy, point)?;
                    (group, point) = (&part.group, rest);
                }
            }
        }
    }

    /// Adds an endpoint and tells its position within its innermost group. `scopes` are those the group was made with.
    pub(super) fn put(&mut self, scopes: &[Option<Scope>], workload: Arc<Workload>) -> usize {
        match self {
            Self::Ends(tree) => {
                tree.push(workload);
                tree.len() - 1
            }
            Self::Parts(parts) => {
                let rest = scopes.get(1..).unwrap_or_default();
                if let Some(index) = parts.index(&workload) {
                    let position = parts
                        .tree
                        .change(index, |part| part.group.put(rest, workload));
                    debug_assert!(position.is_some(), "an index leads to a part");
                    return position.unwrap_or_default();
                }
                let value = Name::from(value(parts.scope, &workload));
                let mut group = Self::new(rest);
                let position = group.put(rest, workload);
                parts.index_by_value.insert(value.clone(), parts.tree.len());
                parts.tree.push(Arc::new(Part { value, group }));
                position
            }
        }
    }

    /// Replaces the endpoint at a position of the innermost group that `workload` belongs to.
    pub(super) fn set(&mut self, position: usize, workload: Arc<Workload>) {
        match self {
            Self::Ends(tree) => tree.set(position, workload),
            Self::Parts(parts) => {
                if let Some(index) = parts.index(&workload) {
                    parts
                        .tree
                        .change(index, |part| part.group.set(position, workload));
                }
            }
        }
    }

    /// Takes out the endpoint at a position of the innermost group that `workload` belongs to, and every group that
    /// is empty then. The last of that group moves to the position, and is returned.
    pub(super) fn take(&mut self, workload: &Workload, position: usize) -> Option<Arc<Workload>> {
        match self {
            Self::Ends(tree) => tree.swap_remove(position),
            Self::Parts(parts) => {
                let index = parts.index(workload)?;
                let (moved, is_empty) = parts.tree.change(index, |part| {
                    (part.group.take(workload, position), part.group.is_empty())
                })?;
                if is_empty {
                    parts.index_by_value.remove(value(parts.scope, workload));
                    if let Some(last) = parts.tree.swap_remove(index) {
                        parts.index_by_value.insert(last.value.clone(), index);
                    }
                }
                moved
            }
        }
    }

    /// All endpoints.
    pub(super) fn iter(&self) -> Iter<'_> {
        let mut iter = Iter {
            parts: Vec::new(),
            ends: None,
        };
        iter.enter(self);
        iter
    }
}

/// The endpoints of a group, group by group.
pub(super) struct Iter<'a> {
    parts: Vec<tree::Iter<'a, Part>>,
    ends: Option<tree::Iter<'a, Workload>>,
}

impl<'a> Iter<'a> {
    fn enter(&mut self, group: &'a Group) {
        match group {
            Group::Ends(tree) => self.ends = Some(tree.iter()),
            Group::Parts(parts) => self.parts.push(parts.tree.iter()),
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Arc<Workload>;

    fn next(&mut self) -> Option<&'a Arc<Workload>> {
        loop {
            if let Some(workload) = self.ends.as_mut().and_then(Iterator::next) {
                return Some(workload);
            }
            match self.parts.last_mut()?.next() {
                Some(part) => self.enter(&part.group),
                None => {
                    self.parts.pop();
                }
            }
        }
    }
}
