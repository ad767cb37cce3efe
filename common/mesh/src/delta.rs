//! One change of the mesh, as the control plane delivers it.
//!
//! In: resources that were parsed and validated. Out: what [`crate::snapshot::Snapshot::apply`] takes.

use std::{fmt, sync::Arc};

use crate::{
    authorization::{Authorization, PolicyKey},
    name::Uid,
    service::{Service, ServiceKey},
    workload::Workload,
};

/// Resources that came, changed or went.
///
/// **Shape:** removals apply before upserts, each list in its order; a later upsert of one key wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// What came or changed, whole.
    pub upserts: Vec<Resource>,
    /// What went. Naming what is not there is no error.
    pub removals: Vec<ResourceKey>,
}

impl Delta {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.upserts.is_empty() && self.removals.is_empty()
    }
}

/// One resource of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A workload.
    Workload(Arc<Workload>),
    /// A service.
    Service(Arc<Service>),
    /// An authorization policy.
    Authorization(Arc<Authorization>),
}

impl Resource {
    /// What a removal would name it by.
    #[must_use]
    pub fn key(&self) -> ResourceKey {
        match self {
            Self::Workload(workload) => ResourceKey::Workload(workload.uid.clone()),
            Self::Service(service) => ResourceKey::Service(service.key()),
            Self::Authorization(policy) => ResourceKey::Authorization(policy.key.clone()),
        }
    }
}

/// What names a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceKey {
    /// A workload.
    Workload(Uid),
    /// A service.
    Service(ServiceKey),
    /// An authorization policy.
    Authorization(PolicyKey),
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workload(uid) => write!(f, "workload {uid}"),
            Self::Service(key) => write!(f, "service {key}"),
            Self::Authorization(key) => write!(f, "policy {key}"),
        }
    }
}
