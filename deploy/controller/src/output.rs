//! What the compiler hands on: resources as they go over the wire, who runs where, and conditions.

use std::sync::Arc;

use wire::proto::{
    security::Authorization,
    waypoint::{BackendPolicy, RouteTable, Settings},
    workload,
};

use crate::{objects::ObjectKey, status::Condition};

/// The types of resources that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceType {
    /// Workloads and services.
    Address,
    /// Layer-4 policies.
    Authorization,
    /// Routes of services with a waypoint, for waypoints.
    RouteTable,
    /// What is done with endpoints, for waypoints.
    BackendPolicy,
    /// What a waypoint is to know of itself.
    Settings,
}

impl ResourceType {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Address,
        Self::Authorization,
        Self::RouteTable,
        Self::BackendPolicy,
        Self::Settings,
    ];

    /// Its type URL.
    #[must_use]
    pub fn url(self) -> &'static str {
        match self {
            Self::Address => wire::proto::ADDRESS_TYPE,
            Self::Authorization => wire::proto::AUTHORIZATION_TYPE,
            Self::RouteTable => wire::proto::ROUTE_TABLE_TYPE,
            Self::BackendPolicy => wire::proto::BACKEND_POLICY_TYPE,
            Self::Settings => wire::proto::SETTINGS_TYPE,
        }
    }
}

/// One rendered resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Resource {
    /// Named by its `uid`. Its extension `ambit.waypoint.v1.Subsets`, if it has one, goes to waypoints only.
    Workload(workload::Workload),
    /// Named `<namespace>/<hostname>`.
    Service(workload::Service),
    /// Named `<namespace>/<name>`.
    Authorization(Authorization),
    /// Named `<namespace>/<hostname>:<port>`; the waypoints that stand before the service are told of it.
    RouteTable(RouteTable, Vec<Account>),
    /// Named `<namespace>/<hostname>`, and `/<subset>` for one of a subset. All waypoints are told.
    BackendPolicy(BackendPolicy),
    /// Named `<namespace>/<gateway>`; the pods of that Gateway are told, which have this account.
    Settings(Box<Settings>, Account),
}

impl Resource {
    /// Its type.
    #[must_use]
    pub fn resource_type(&self) -> ResourceType {
        match self {
            Self::Workload(_) | Self::Service(_) => ResourceType::Address,
            Self::Authorization(_) => ResourceType::Authorization,
            Self::RouteTable(..) => ResourceType::RouteTable,
            Self::BackendPolicy(_) => ResourceType::BackendPolicy,
            Self::Settings(..) => ResourceType::Settings,
        }
    }

    /// Its name within its type.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Workload(workload) => workload.uid.clone(),
            Self::Service(service) => format!("{}/{}", service.namespace, service.hostname),
            Self::Authorization(policy) => format!("{}/{}", policy.namespace, policy.name),
            Self::RouteTable(table, _) => format!("{}:{}", table.service, table.port),
            Self::BackendPolicy(policy) if policy.subset.is_empty() => policy.service.clone(),
            Self::BackendPolicy(policy) => format!("{}/{}", policy.service, policy.subset),
            Self::Settings(settings, _) => format!("{}/{}", settings.namespace, settings.gateway),
        }
    }
}

/// A pod that runs: what the CA asks before it signs for a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resident {
    /// `spec.nodeName`.
    pub node: Arc<str>,
    /// `metadata.namespace`.
    pub namespace: Arc<str>,
    /// `spec.serviceAccountName`.
    pub service_account: Arc<str>,
}

/// A service account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Account {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// What one batch of updates came to. **Shape**: only what differs from before; removals apply before puts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// Resources that came or changed.
    pub puts: Vec<Resource>,
    /// Names of resources that went.
    pub removals: Vec<(ResourceType, String)>,
    /// Residents of which there are now so many pods; 0 is none any more.
    pub residents: Vec<(Resident, u32)>,
    /// Waypoints' identities, and whether there is (still) such a waypoint.
    pub waypoints: Vec<(Account, bool)>,
    /// Conditions of objects, each whole; an empty list clears them.
    pub conditions: Vec<(ObjectKey, Vec<Condition>)>,
    /// The trust domain, where it changed.
    pub trust_domain: Option<String>,
    /// The namespace whose policies hold for the whole mesh, where it changed.
    pub root_namespace: Option<String>,
}
