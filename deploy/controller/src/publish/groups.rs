//! Names by what they have in common: an alias, a service, a node.

use std::sync::Arc;

use mesh::pmap::{Keys, PersistentMap};

/// A persistent map from a key to the names below it. Costs O(1) per name that comes or goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups(PersistentMap<Arc<str>, Group>);

#[derive(Clone, Debug)]
struct Group {
    /// The key once more, so that others can share it.
    key: Arc<str>,
    members: Members,
}

/// Most groups have one member, and then no map of their own.
#[derive(Clone, Debug)]
enum Members {
    One(Arc<str>),
    Many(PersistentMap<Arc<str>, ()>),
}

impl Groups {
    /// The copy of `key` that is held here, or a new one.
    pub(super) fn intern(&self, key: &str) -> Arc<str> {
        self.0
            .get(key)
            .map_or_else(|| key.into(), |group| Arc::clone(&group.key))
    }

    pub(super) fn add(&mut self, key: &Arc<str>, name: &Arc<str>) {
        if let Some(group) = self.0.get_mut(&**key) {
            match &mut group.members {
                Members::One(present) if present == name => {}
                Members::One(present) => {
                    let both = [(Arc::clone(present), ()), (Arc::clone(name), ())];
                    group.members = Members::Many(both.into_iter().collect());
                }
                Members::Many(members) => {
                    members.insert(Arc::clone(name), ());
                }
            }
        } else {
            let group = Group {
                key: Arc::clone(key),
                members: Members::One(Arc::clone(name)),
            };
            self.0.insert(Arc::clone(key), group);
        }
    }

    pub(super) fn take(&mut self, key: &str, name: &str) {
        let Some(group) = self.0.get_mut(key) else {
            return;
        };
        let last = match &mut group.members {
            Members::One(present) => **present == *name,
            Members::Many(members) => {
                members.remove(name);
                if let (1, Some(only)) = (members.len(), members.keys().next().cloned()) {
                    group.members = Members::One(only);
                }
                false
            }
        };
        if last {
            self.0.remove(key);
        }
    }

    /// The names below `key`.
    pub(super) fn get(&self, key: &str) -> Names<'_> {
        match self.0.get(key).map(|group| &group.members) {
            None => Names::Few(None),
            Some(Members::One(name)) => Names::Few(Some(name)),
            Some(Members::Many(members)) => Names::Many(members.keys()),
        }
    }
}

/// Names, in no order that means anything.
#[derive(Clone, Debug)]
pub(super) enum Names<'a> {
    Few(Option<&'a Arc<str>>),
    Many(Keys<'a, Arc<str>, ()>),
}

impl<'a> Iterator for Names<'a> {
    type Item = &'a Arc<str>;

    fn next(&mut self) -> Option<&'a Arc<str>> {
        match self {
            Self::Few(name) => name.take(),
            Self::Many(names) => names.next(),
        }
    }
}
