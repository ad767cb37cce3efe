//! What one namespace holds, and how it hangs together.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    ids::{Groups, Id, Ids},
    labels::{Labelled, Selectors},
};
use crate::objects::Namespace;

/// PeerAuthentications of one reach, the one that is in force first: by age, then by name.
pub(super) type Ranked = BTreeSet<(i64, Arc<str>, Id)>;

/// A namespace. **Shape**: there is one as soon as anything is in it, with or without an object.
#[derive(Debug, Default)]
pub(super) struct Space {
    pub(super) object: Option<Arc<Namespace>>,
    pub(super) pods: Ids,
    pub(super) pod_labels: Labelled,
    pub(super) workload_entries: Ids,
    pub(super) workload_entry_labels: Labelled,
    pub(super) services: Ids,
    pub(super) service_selectors: Selectors,
    pub(super) service_entries: Ids,
    pub(super) service_entry_selectors: Selectors,
    /// Of the endpoints within ServiceEntries; the slots are the ServiceEntries'.
    pub(super) endpoint_labels: Labelled,
    /// ServiceEntries by host.
    pub(super) hosts: Groups<Box<str>>,
    /// EndpointSlices by the name of their Service.
    pub(super) slices_by_service: Groups<Arc<str>>,
    /// EndpointSlices, of any namespace, by the name of a pod that they list.
    pub(super) slices_by_pod: Groups<Arc<str>>,
    /// Gateways by the name of their Service.
    pub(super) gateways_by_service: Groups<Box<str>>,
    /// AuthorizationPolicies that select within the namespace.
    pub(super) authorization_selectors: Selectors,
    /// PeerAuthentications of the whole namespace.
    pub(super) authentications: Ranked,
    /// PeerAuthentications that select within the namespace.
    pub(super) selecting_authentications: Ids,
    pub(super) authentication_selectors: Selectors,
}

impl Space {
    /// Whether nothing would be lost without it.
    pub(super) fn is_empty(&self) -> bool {
        self.object.is_none()
            && self.pods.is_empty()
            && self.workload_entries.is_empty()
            && self.services.is_empty()
            && self.service_entries.is_empty()
            && self.slices_by_service.is_empty()
            && self.slices_by_pod.is_empty()
            && self.gateways_by_service.is_empty()
            && self.authorization_selectors.is_empty()
            && self.authentications.is_empty()
            && self.selecting_authentications.is_empty()
    }
}
