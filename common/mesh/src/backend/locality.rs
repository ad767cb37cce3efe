//! Which endpoints are near, where a policy says so.

use crate::{
    name::Name,
    service::Scope,
    workload::{Locality, Workload},
};

/// Where requests go by locality. Source: DestinationRule `loadBalancer.localityLbSetting`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalityPolicy {
    /// Shares of localities, by where the proxy itself is: the first whose `from` matches counts. Where one does,
    /// nothing of the rest counts.
    pub distribute: Vec<Distribute>,
    /// Which region comes next, by the proxy's own region.
    pub failover: Vec<Failover>,
    /// What an endpoint should share with the proxy, most important first. In the place of region, zone and subzone.
    pub failover_priority: Vec<PriorityKey>,
}

/// How requests of one locality are shared out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribute {
    /// Where the proxy is.
    pub from: LocalityPattern,
    /// Where requests go, and the share of each relative to the others. A locality that none matches gets nothing.
    pub to: Vec<(LocalityPattern, u32)>,
}

/// Which region takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// The proxy's region.
    pub from: Name,
    /// The region that comes before all others but its own.
    pub to: Name,
}

/// Some localities: `region`, `region/zone` or `region/zone/subzone`, where `*` stands for any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LocalityPattern {
    /// `None`: any.
    pub region: Option<Name>,
    /// `None`: any.
    pub zone: Option<Name>,
    /// `None`: any.
    pub subzone: Option<Name>,
}

impl LocalityPattern {
    /// Whether a locality is one of them.
    #[must_use]
    pub fn matches(&self, locality: &Locality) -> bool {
        let part =
            |pattern: &Option<Name>, part: &Name| pattern.as_ref().is_none_or(|is| is == part);
        part(&self.region, &locality.region)
            && part(&self.zone, &locality.zone)
            && part(&self.subzone, &locality.subzone)
    }
}

/// Something that an endpoint should share with the proxy. Source: an item of `failoverPriority`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriorityKey {
    /// What.
    pub label: PriorityLabel,
    /// The value that it should have; `None`: the proxy's own.
    pub value: Option<Name>,
}

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PriorityLabel {
    /// A label of topology, which every workload has.
    Topology(Scope),
    /// Any other label. Workloads carry none, so it is the same for all of them.
    Other(Name),
}

impl PriorityKey {
    /// Whether `endpoint` has what it should.
    #[must_use]
    pub fn matches(&self, own: &Workload, endpoint: &Workload) -> bool {
        match &self.label {
            PriorityLabel::Topology(scope) => {
                let expected = match &self.value {
                    Some(value) => value.as_str(),
                    None => topology(*scope, own),
                };
                expected == topology(*scope, endpoint)
            }
            PriorityLabel::Other(_) => true,
        }
    }
}

impl PriorityLabel {
    /// What a label's name stands for. Source: Istio's `failoverPriority`.
    #[must_use]
    pub fn named(label: &str) -> Self {
        let scope = match label {
            "topology.kubernetes.io/region" => Scope::Region,
            "topology.kubernetes.io/zone" => Scope::Zone,
            "topology.istio.io/subzone" => Scope::Subzone,
            "kubernetes.io/hostname" => Scope::Node,
            "topology.istio.io/cluster" => Scope::Cluster,
            "topology.istio.io/network" => Scope::Network,
            other => return Self::Other(other.into()),
        };
        Self::Topology(scope)
    }
}

/// What a workload has in a scope. Empty is unknown, and a value like any other: two that are unknown match.
#[must_use]
pub fn topology(scope: Scope, workload: &Workload) -> &str {
    match scope {
        Scope::Region => &workload.locality.region,
        Scope::Zone => &workload.locality.zone,
        Scope::Subzone => &workload.locality.subzone,
        Scope::Node => &workload.node,
        Scope::Cluster => &workload.cluster,
        Scope::Network => &workload.network,
    }
}
