//! What a batch has touched: what is to be rendered again, and what is no more.

use std::{collections::BTreeSet, sync::Arc};

use super::{ids::Id, routing::Key, tell::Told};
use crate::{objects::ObjectKey, output::ResourceType};

/// Slots of objects that are to be rendered again. One of an object that went meanwhile is passed over.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    pub(super) pods: BTreeSet<Id>,
    pub(super) services: BTreeSet<Id>,
    pub(super) slices: BTreeSet<Id>,
    pub(super) workload_entries: BTreeSet<Id>,
    pub(super) service_entries: BTreeSet<Id>,
    pub(super) authorizations: BTreeSet<Id>,
    pub(super) authentications: BTreeSet<Id>,
    pub(super) static_strict: bool,
    /// Services whose routes or backends are to be rendered again, beside [`Self::services`].
    pub(super) tables: BTreeSet<Id>,
    /// Gateways whose settings are.
    pub(super) gateways: BTreeSet<Id>,
    /// What Gateways that went, or changed their class, were; and classes that came, changed or went.
    pub(super) gateways_gone: BTreeSet<Key>,
    /// Objects of routing whose conditions are.
    pub(super) routing: BTreeSet<Id>,
    /// Stand-ins of policies whose conditions are.
    pub(super) unread: BTreeSet<ObjectKey>,
    /// Resources of objects that went.
    pub(super) gone: Vec<(ResourceType, String)>,
    /// Objects that went and had conditions.
    pub(super) cleared: Vec<ObjectKey>,
    /// Namespaces that may have nothing left.
    pub(super) shrunk: BTreeSet<Arc<str>>,
}

impl Dirty {
    /// An object went: so does what was told of it. `name` is the name of its resource, if it has just one.
    pub(super) fn forget(&mut self, key: ObjectKey, told: Told, name: impl FnOnce() -> String) {
        self.shrunk.insert(Arc::clone(&key.namespace));
        if told.has_one() {
            self.gone.push((ResourceType::Address, name()));
        }
        self.gone.extend(told.names());
        if told.has_conditions() {
            self.cleared.push(key);
        }
    }
}
