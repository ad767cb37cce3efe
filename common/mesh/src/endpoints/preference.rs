//! What a service's endpoints are ranked by.

use crate::{
    service::{LoadBalancing, LoadBalancingMode, Scope},
    workload::Workload,
};

/// How many kinds of scope there are, and so the most that a preference can list.
pub(super) const MAX_SCOPES: usize = 6;

/// The scopes by which endpoints are ranked. **Shape:** each at most once, most important first; none where all
/// endpoints are alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preference([Option<Scope>; MAX_SCOPES]);

impl From<&LoadBalancing> for Preference {
    /// What a service says, as far as its mode asks for it. A scope that is listed again says nothing new: it matches
    /// where it matched before.
    fn from(load_balancing: &LoadBalancing) -> Self {
        let mut preference = Self::default();
        match load_balancing.mode {
            LoadBalancingMode::Unspecified | LoadBalancingMode::Passthrough => {}
            LoadBalancingMode::Strict | LoadBalancingMode::Failover => {
                for scope in &load_balancing.routing_preference {
                    // Places are filled from the first on, so the first free one comes after all that are taken.
                    let place = preference
                        .0
                        .iter_mut()
                        .find(|place| place.is_none_or(|had| had == *scope));
                    if let Some(place) = place {
                        *place = Some(*scope);
                    }
                }
            }
        }
        preference
    }
}

impl Preference {
    pub(super) fn scopes(&self) -> &[Option<Scope>] {
        &self.0
    }

    /// Whether two workloads stand in the same place of every ranking.
    pub(super) fn is_same(&self, one: &Workload, other: &Workload) -> bool {
        self.0
            .iter()
            .flatten()
            .all(|scope| value(*scope, one) == value(*scope, other))
    }
}

/// What a workload has in a scope. Empty is unknown, and a value like any other: two that are unknown match, as
/// in Istio's ztunnel; a mesh without regions is one region.
pub(super) fn value(scope: Scope, workload: &Workload) -> &str {
    match scope {
        Scope::Region => &workload.locality.region,
        Scope::Zone => &workload.locality.zone,
        Scope::Subzone => &workload.locality.subzone,
        Scope::Node => &workload.node,
        Scope::Cluster => &workload.cluster,
        Scope::Network => &workload.network,
    }
}
