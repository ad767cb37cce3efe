//! Who asks, and what may be seen. Everything here comes from the token, nothing from what a client says of itself.

use std::sync::Arc;

use crate::{
    output::ResourceType,
    publish::{Encoded, Snapshot},
};

/// How much a client sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// A node proxy: everything.
    Everything,
    /// A waypoint: all addresses, and the policies of these two namespaces.
    Waypoint {
        /// The root namespace.
        root: Arc<str>,
        /// Its own.
        namespace: Arc<str>,
    },
}

/// A client, as its subscriptions see it.
#[derive(Clone, Debug)]
pub(super) struct Viewer {
    pub(super) scope: Scope,
    /// The node that its token is bound to.
    pub(super) node: Option<Arc<str>>,
}

impl Viewer {
    /// Whether it sees every resource of a type.
    pub(super) fn sees_all(&self, of: ResourceType) -> bool {
        match of {
            ResourceType::Address => true,
            ResourceType::Authorization => self.scope == Scope::Everything,
        }
    }

    pub(super) fn sees(&self, encoded: &Encoded) -> bool {
        match (&self.scope, encoded.resource_type()) {
            (Scope::Everything, _) | (Scope::Waypoint { .. }, ResourceType::Address) => true,
            (Scope::Waypoint { root, namespace }, ResourceType::Authorization) => encoded
                .name()
                .split_once('/')
                .is_some_and(|(of, _)| *of == **root || *of == **namespace),
        }
    }

    /// One resource, if there is one to be seen.
    pub(super) fn get<'a>(
        &self,
        of: ResourceType,
        snapshot: &'a Snapshot,
        name: &str,
    ) -> Option<&'a Arc<Encoded>> {
        let encoded = snapshot.resource(of, name)?;
        self.sees(encoded).then_some(encoded)
    }

    /// Everything that `name` leads to: the resource of that name, and what has it as an alias or in a range.
    pub(super) fn find<'a>(
        &self,
        of: ResourceType,
        snapshot: &'a Snapshot,
        name: &str,
    ) -> Vec<&'a Arc<Encoded>> {
        let mut found: Vec<_> = self.get(of, snapshot, name).into_iter().collect();
        if of == ResourceType::Address {
            found.extend(snapshot.by_alias(name));
        }
        found
    }

    /// Whether it is a workload of the client's own node.
    pub(super) fn neighbours(&self, encoded: &Encoded) -> bool {
        self.node.is_some() && self.node.as_deref() == encoded.node()
    }
}
