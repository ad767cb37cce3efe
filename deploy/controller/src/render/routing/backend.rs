//! DestinationRules and TrafficPolicies to backend policies (RT-05, RS-03 to RS-11).
//!
//! In: the DestinationRules that may be about a service, and the TrafficPolicies for it. Out: one policy for the service and one for
//! each of its subsets, with everything that they inherit.
//!
//! Which DestinationRules count: those of the first of these namespaces that has any for the host: the service's waypoint's,
//! the service's own, the root namespace (there and in the service's own only those that are exported to the waypoint's
//! namespace); of these, those with the most specific host. Several of the same host are one: the oldest that has a
//! traffic policy gives it, and subsets are all of them, the oldest of a name. Source: Istio. A policy is the same for
//! every waypoint that sends to the service: what the namespace of another waypoint says of it does not count.
//!
//! What is inherited, by blocks (`connectionPool`, `outlierDetection`, `loadBalancer`, `tls`), each replaced as a whole by
//! what is more specific: the mesh's; the rule's; that of the rule's `portLevelSettings`, which replaces all four, absent ones
//! by the mesh's; the subset's; that of the subset's `portLevelSettings`, likewise. Source: Istio, RS-07. `retryBudget` and
//! `proxyProtocol` are the subset's, else the rule's; ports have none.

mod policy;
mod wire_form;

use wire::proto::waypoint::{BackendPolicy, ProxyProtocol, TrafficPolicy as Wire};

use super::{
    facts::{ServiceFacts, Usability},
    scope,
};
use crate::{
    objects::{
        DestinationRule, TrafficPolicy,
        destination_rule::{ClientTlsMode, Subset, TrafficPolicy as Policy},
        traffic_policy::HealthCheck,
    },
    render::{
        access::{Attached, winner},
        mesh::Mesh,
    },
};
pub(super) use policy::{Blocks, locality};
pub(super) use wire_form::traffic_policy;

/// The DestinationRules of one host that count for a service.
#[derive(Clone, Debug)]
pub struct Effective<'a> {
    /// The oldest first; at least one.
    rules: Vec<&'a DestinationRule>,
}

/// The DestinationRules that count for a service; `rules` are those whose host covers it, in any order.
#[must_use]
pub fn effective<'a>(
    service: &ServiceFacts<'_>,
    rules: &[&'a DestinationRule],
    mesh: &Mesh<'_>,
) -> Option<Effective<'a>> {
    let root = mesh.config.root_namespace.as_str();
    let namespaces = service
        .waypoint
        .into_iter()
        .chain([service.namespace, root]);
    for namespace in namespaces {
        let mut found: Vec<_> = rules
            .iter()
            .filter(|rule| *rule.meta.namespace == *namespace && is_in_force(rule, service))
            .filter_map(|rule| {
                let host = scope::resolve(&rule.host, namespace, mesh);
                scope::covers(&host, &service.hostname).then(|| (scope::specificity(&host), *rule))
            })
            .collect();
        let most = found.iter().map(|(specificity, _)| *specificity).max();
        found.retain(|(specificity, _)| Some(*specificity) == most);
        found.sort_by_cached_key(|(_, rule)| scope::by_age(&rule.meta));
        if !found.is_empty() {
            let rules = found.into_iter().map(|(_, rule)| rule).collect();
            return Some(Effective { rules });
        }
    }
    None
}

/// Whether a rule is known to the service's waypoint, and for all of its traffic: one with `workloadSelector` is for
/// clients that a waypoint is none of.
fn is_in_force(rule: &DestinationRule, service: &ServiceFacts<'_>) -> bool {
    let namespace = &rule.meta.namespace;
    let selects = rule.selector.as_ref().is_some_and(|it| !it.0.is_empty());
    !selects && scope::is_exported(&rule.export_to, namespace, service.viewer())
}

impl<'a> Effective<'a> {
    /// The rules, the oldest first.
    #[must_use]
    pub fn rules(&self) -> &[&'a DestinationRule] {
        &self.rules
    }

    /// The subsets, each name once.
    pub fn subsets(&self) -> impl Iterator<Item = &'a Subset> {
        let all = self.rules.iter().flat_map(|rule| &rule.subsets);
        let mut seen = std::collections::BTreeSet::new();
        all.filter(move |subset| seen.insert(subset.name.as_str()))
    }

    /// Whether requests can be sent to a port of a subset (empty: all endpoints).
    #[must_use]
    pub fn usability(&self, port: u16, subset: &str) -> Usability {
        let named = self.subsets().find(|it| it.name == subset);
        if named.is_none() && !subset.is_empty() {
            return Usability::Unknown;
        }
        let policy = self.policy();
        let blocks = Blocks::default().resolved(policy, named.map(|it| &it.policy), Some(port));
        let tls = blocks.tls.is_some_and(|tls| match tls.mode {
            ClientTlsMode::Disable | ClientTlsMode::IstioMutual => false,
            ClientTlsMode::Simple | ClientTlsMode::Mutual => true,
        });
        let wraps = [policy, named.map(|it| &it.policy)]
            .into_iter()
            .flatten()
            .any(|it| it.tunnel.is_some());
        match self.rules.first() {
            Some(rule) if tls || wraps => {
                let meta = &rule.meta;
                Usability::Unenforced(format!("DestinationRule {}/{}", meta.namespace, meta.name))
            }
            Some(_) | None => Usability::Usable,
        }
    }

    /// `trafficPolicy` of the oldest rule that has one.
    fn policy(&self) -> Option<&'a Policy> {
        let mut policies = self.rules.iter().map(|rule| &rule.policy);
        policies.find(|it| **it != Policy::default())
    }
}

/// The policies of a service and of its subsets. Of a service without any there is none: it is as the settings of the
/// waypoint say.
#[must_use]
pub fn backend_policies(
    service: &ServiceFacts<'_>,
    effective: Option<&Effective<'_>>,
    traffic_policies: &[&TrafficPolicy],
    mesh: &Mesh<'_>,
) -> Vec<BackendPolicy> {
    let health_check = health_check(service, traffic_policies);
    let defaults = Blocks::of_mesh(mesh.config);
    let differs = service.has_preference && locality(&defaults, false, mesh.config).is_some();
    if effective.is_none() && health_check.is_none() && !differs {
        return Vec::new();
    }
    let policy = effective.and_then(Effective::policy);
    let of = |subset: Option<&Subset>| {
        let own = subset.map(|it| &it.policy);
        let at = |port: Option<u16>| -> Wire {
            let blocks = defaults.resolved(policy, own, port);
            // Which ports have no word in.
            let said = || [own, policy].into_iter().flatten();
            let budget = said().find_map(|it| it.retry_budget.as_ref());
            let proxy_protocol = said().find_map(|it| it.proxy_protocol);
            let proxy_protocol =
                proxy_protocol.map_or(ProxyProtocol::ProxyNone, wire_form::proxy_protocol);
            Wire {
                retry_budget: budget.map(wire_form::retry_budget),
                proxy_protocol: proxy_protocol.into(),
                health_check: health_check.map(wire_form::health_check),
                ..traffic_policy(&blocks, service.has_preference, mesh.config)
            }
        };
        let everywhere = at(None);
        let ports = service.ports.iter().map(|port| port.number);
        let ports = ports
            .map(|port| (u32::from(port), at(Some(port))))
            .filter(|(_, it)| *it != everywhere)
            .collect();
        BackendPolicy {
            service: service.key(),
            subset: subset.map(|it| it.name.clone()).unwrap_or_default(),
            policy: Some(everywhere),
            ports,
        }
    };
    let subsets = effective.into_iter().flat_map(Effective::subsets);
    std::iter::once(None)
        .chain(subsets.map(Some))
        .map(of)
        .collect()
}

/// The health check of a service: that of the oldest TrafficPolicy that has one.
fn health_check<'a>(
    service: &ServiceFacts<'_>,
    policies: &[&'a TrafficPolicy],
) -> Option<&'a HealthCheck> {
    let target = Attached::service(service);
    let policy = winner(target, policies, |it| it.health_check.is_some())?;
    policy.health_check.as_ref()
}
