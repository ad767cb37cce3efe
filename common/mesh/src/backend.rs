//! What is done with the endpoints of a service, or of a subset of them.
//!
//! In: policies whose defaults and inheritance were resolved elsewhere. Out: what balancing, pools and
//! health ask for. Never: an endpoint, a connection, a clock.
//!
//! Reading order: [`balancing`] (which endpoint), [`locality`] (near or far), [`pool`] (how many connections),
//! [`health`] (which endpoints count).

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::{name::Name, service::ServiceKey};

pub mod balancing;
pub mod health;
pub mod locality;
pub mod pool;

pub use balancing::{ConsistentHash, HashCookie, HashKey, HashTable, LoadBalancer, Simple, Warmup};
pub use health::{HealthCheck, OutlierDetection, Probe, StatusRange};
pub use locality::{
    Distribute, Failover, LocalityPattern, LocalityPolicy, PriorityKey, PriorityLabel,
};
pub use pool::{ConnectionPool, RetryBudget, TcpKeepalive, Upgrade};

/// What a policy is named by, written `<namespace>/<hostname>` or `<namespace>/<hostname>/<subset>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendKey {
    /// The service.
    pub service: ServiceKey,
    /// The subset of its endpoints; empty for all of them.
    pub subset: Name,
}

impl BackendKey {
    /// Names a subset of a service; empty for all of its endpoints.
    #[must_use]
    pub fn new(service: ServiceKey, subset: impl Into<Name>) -> Self {
        Self {
            service,
            subset: subset.into(),
        }
    }
}

impl fmt::Display for BackendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.service.fmt(f)?;
        if self.subset.is_empty() {
            Ok(())
        } else {
            write!(f, "/{}", self.subset)
        }
    }
}

/// The policies of one backend. Source: `ambit.waypoint.v1.BackendPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendPolicy {
    /// What it is named by.
    pub key: BackendKey,
    /// For every port that `ports` does not list.
    pub policy: Arc<TrafficPolicy>,
    /// In the place of `policy`. **Shape:** by port of the service.
    pub ports: BTreeMap<u16, Arc<TrafficPolicy>>,
}

impl BackendPolicy {
    /// What holds for one port of the service.
    #[must_use]
    pub fn of_port(&self, port: u16) -> &Arc<TrafficPolicy> {
        self.ports.get(&port).unwrap_or(&self.policy)
    }
}

/// What is done with the endpoints behind one port. The default has no limit, no detection and no check.
/// Source: DestinationRule `trafficPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrafficPolicy {
    /// Which endpoint is taken.
    pub load_balancer: LoadBalancer,
    /// How many connections and requests there may be, and how long they live.
    pub pool: ConnectionPool,
    /// When an endpoint is left out for what it answers; `None`: never.
    pub outlier: Option<OutlierDetection>,
    /// How many retries there may be at once; `None`: as many as [`ConnectionPool::max_retries`].
    pub retry_budget: Option<RetryBudget>,
    /// How endpoints are asked whether they are well; `None`: they are not.
    pub health_check: Option<HealthCheck>,
    /// Which endpoints are near; `None`: what the service prefers by itself.
    pub locality: Option<LocalityPolicy>,
    /// Whether connections begin with a PROXY header that names the client. Source: DestinationRule `proxyProtocol`.
    pub proxy_protocol: Option<ProxyVersion>,
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyVersion {
    /// Text.
    V1,
    /// Binary.
    V2,
}

#[cfg(test)]
mod tests;
