//! One change of the mesh, as the control plane delivers it.
//!
//! In: resources that were parsed and validated. Out: what [`crate::snapshot::Snapshot::apply`] takes.

use std::{fmt, sync::Arc};

use crate::{
    authorization::{Authorization, PolicyKey},
    backend::{BackendKey, BackendPolicy},
    name::Uid,
    route::{RouteKey, RouteTable},
    service::{Service, ServiceKey},
    settings::WaypointSettings,
    waypoint::WaypointKey,
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
    /// The routes of one port of a service.
    RouteTable(Arc<RouteTable>),
    /// What is done with the endpoints of a service or subset.
    BackendPolicy(Arc<BackendPolicy>),
    /// What a waypoint is to know of itself.
    WaypointSettings(Arc<WaypointSettings>),
}

impl Resource {
    /// What a removal would name it by.
    #[must_use]
    pub fn key(&self) -> ResourceKey {
        match self {
            Self::Workload(workload) => ResourceKey::Workload(workload.uid.clone()),
            Self::Service(service) => ResourceKey::Service(service.key()),
            Self::Authorization(policy) => ResourceKey::Authorization(policy.key.clone()),
            Self::RouteTable(table) => ResourceKey::RouteTable(table.key.clone()),
            Self::BackendPolicy(policy) => ResourceKey::BackendPolicy(policy.key.clone()),
            Self::WaypointSettings(settings) => ResourceKey::WaypointSettings(WaypointKey {
                namespace: settings.namespace.clone(),
                gateway: settings.gateway.clone(),
            }),
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
    /// The routes of one port of a service.
    RouteTable(RouteKey),
    /// What is done with the endpoints of a service or subset.
    BackendPolicy(BackendKey),
    /// What a waypoint is to know of itself.
    WaypointSettings(WaypointKey),
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workload(uid) => write!(f, "workload {uid}"),
            Self::Service(key) => write!(f, "service {key}"),
            Self::Authorization(key) => write!(f, "policy {key}"),
            Self::RouteTable(key) => write!(f, "route table {key}"),
            Self::BackendPolicy(key) => write!(f, "backend policy {key}"),
            Self::WaypointSettings(key) => write!(f, "settings of waypoint {key}"),
        }
    }
}
