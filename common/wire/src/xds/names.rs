//! Equal names share their memory: a hundred thousand workloads have few namespaces, nodes and services.

use std::{borrow::Borrow, collections::HashSet, hash::Hash};

use mesh::{
    ClusterId, Hostname, Name, Namespace, Network, NodeName, ServiceAccount, ServiceKey,
    TrustDomain,
};

/// How many different names of one kind are remembered; after that it begins anew. Reason: names of workloads
/// that are gone must not pile up, and 65,536 are more than the kinds that repeat have.
const MAX_NAMES: usize = 65_536;

/// One pool for each kind of name that repeats.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) namespaces: Pool<Namespace>,
    pub(super) service_accounts: Pool<ServiceAccount>,
    pub(super) trust_domains: Pool<TrustDomain>,
    pub(super) networks: Pool<Network>,
    pub(super) nodes: Pool<NodeName>,
    pub(super) clusters: Pool<ClusterId>,
    pub(super) hostnames: Pool<Hostname>,
    /// Canonical names, revisions, owners, localities, policies.
    pub(super) labels: Pool<Name>,
}

impl Names {
    pub(super) fn service(&mut self, namespace: &str, hostname: &str) -> ServiceKey {
        ServiceKey {
            namespace: self.namespaces.share(namespace),
            hostname: self.hostnames.share(hostname),
        }
    }
}

/// Names of one kind.
#[derive(Debug)]
pub(super) struct Pool<T>(HashSet<T>);

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(HashSet::new())
    }
}

impl<T: Clone + Eq + Hash + Borrow<str> + for<'t> From<&'t str>> Pool<T> {
    /// The name of a text, the same one as before where there was one.
    pub(super) fn share(&mut self, text: &str) -> T {
        if let Some(name) = self.0.get(text) {
            return name.clone();
        }
        if self.0.len() >= MAX_NAMES {
            self.0.clear();
        }
        let name = T::from(text);
        self.0.insert(name.clone());
        name
    }
}
