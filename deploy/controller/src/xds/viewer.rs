//! Who asks, and what may be seen. Everything here comes from the token, nothing from what a client says of itself.

use std::sync::Arc;

use crate::{
    output::{Account, ResourceType},
    publish::{Encoded, Snapshot},
};

/// How much a client sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// A node proxy: everything.
    Everything,
    /// A waypoint: all addresses, the policies of two namespaces, and what is for waypoints, if it is for this one.
    Waypoint {
        /// The root namespace.
        root: Arc<str>,
        /// Who it is; its namespace is the other.
        account: Account,
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
            // A waypoint sees them all, but not all as others do.
            ResourceType::Address | ResourceType::Authorization => self.scope == Scope::Everything,
            ResourceType::RouteTable | ResourceType::BackendPolicy | ResourceType::Settings => {
                false
            }
        }
    }

    pub(super) fn sees(&self, encoded: &Encoded) -> bool {
        match (&self.scope, encoded.resource_type()) {
            (Scope::Everything, ResourceType::Address | ResourceType::Authorization)
            | (Scope::Waypoint { .. }, ResourceType::Address | ResourceType::BackendPolicy) => true,
            (
                Scope::Everything,
                ResourceType::RouteTable | ResourceType::BackendPolicy | ResourceType::Settings,
            ) => false,
            (Scope::Waypoint { root, account }, ResourceType::Authorization) => encoded
                .name()
                .split_once('/')
                .is_some_and(|(of, _)| *of == **root || *of == *account.namespace),
            (
                Scope::Waypoint { account, .. },
                ResourceType::RouteTable | ResourceType::Settings,
            ) => encoded
                .audience()
                .is_some_and(|audience| audience.contains(account)),
        }
    }

    /// A resource as this client is told it.
    pub(super) fn dress<'a>(&self, encoded: &'a Arc<Encoded>) -> &'a Arc<Encoded> {
        match self.scope {
            Scope::Everything => encoded,
            Scope::Waypoint { .. } => encoded.dressed().unwrap_or(encoded),
        }
    }

    /// All that it sees of a type, as it is told it.
    pub(super) fn iter<'a>(
        &self,
        of: ResourceType,
        snapshot: &'a Snapshot,
    ) -> impl Iterator<Item = &'a Arc<Encoded>> {
        snapshot
            .iter(of)
            .filter(|encoded| self.sees(encoded))
            .map(|encoded| self.dress(encoded))
    }

    /// One resource, if there is one to be seen.
    pub(super) fn get<'a>(
        &self,
        of: ResourceType,
        snapshot: &'a Snapshot,
        name: &str,
    ) -> Option<&'a Arc<Encoded>> {
        let encoded = snapshot.resource(of, name)?;
        self.sees(encoded).then(|| self.dress(encoded))
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
            let others = snapshot.by_alias(name).into_iter();
            found.extend(others.map(|encoded| self.dress(encoded)));
        }
        found
    }

    /// Whether it is a workload of the client's own node.
    pub(super) fn neighbours(&self, encoded: &Encoded) -> bool {
        self.node.is_some() && self.node.as_deref() == encoded.node()
    }
}
