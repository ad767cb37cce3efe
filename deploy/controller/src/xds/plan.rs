//! What a client is to be told next.

use std::sync::Arc;

use crate::publish::Encoded;

/// One resource of a response.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) encoded: Arc<Encoded>,
    /// Names that the client asked for it by, beside those that it has for everybody.
    pub(super) aliases: Vec<Arc<str>>,
}

impl Item {
    pub(super) fn plain(encoded: &Arc<Encoded>) -> Self {
        Self {
            encoded: Arc::clone(encoded),
            aliases: Vec::new(),
        }
    }
}

/// Resources to send. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) enum Items {
    /// All of a type, shared with every client that begins at the same snapshot.
    Shared(Arc<[Arc<Encoded>]>),
    /// Picked for this client.
    Own(Arc<[Item]>),
}

impl Items {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Shared(list) => list.len(),
            Self::Own(list) => list.len(),
        }
    }

    /// The resource at a position, and its aliases for this client.
    pub(super) fn get(&self, position: usize) -> Option<(&Encoded, &[Arc<str>])> {
        match self {
            Self::Shared(list) => list.get(position).map(|encoded| (&**encoded, &[][..])),
            Self::Own(list) => list
                .get(position)
                .map(|item| (&*item.encoded, &item.aliases[..])),
        }
    }
}

/// What differs between what a client has and what it should have.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) items: Items,
    /// Names that are gone, or were asked for and do not exist.
    pub(super) removed: Vec<Arc<str>>,
}

impl Plan {
    /// A plan of picked resources. Names are removed once.
    pub(super) fn own(items: Vec<Item>, mut removed: Vec<Arc<str>>) -> Self {
        removed.sort_unstable();
        removed.dedup();
        Self {
            items: Items::Own(items.into()),
            removed,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.len() == 0 && self.removed.is_empty()
    }
}
