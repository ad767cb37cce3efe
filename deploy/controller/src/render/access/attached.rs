//! Which of several TrafficPolicies for one target counts.

use crate::{
    objects::{TargetRef, TrafficPolicy},
    render::routing::ServiceFacts,
};

/// What policies of its namespace are attached to: a Service, a ServiceEntry or a Gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached<'a> {
    /// The group of its kind; empty for core.
    pub group: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
}

impl<'a> Attached<'a> {
    /// The object behind a service.
    #[must_use]
    pub fn service(service: &ServiceFacts<'a>) -> Self {
        let (group, kind) = service.group_and_kind();
        Self {
            group,
            kind,
            namespace: service.namespace,
            name: service.name,
        }
    }

    /// A Gateway.
    #[must_use]
    pub fn gateway(namespace: &'a str, name: &'a str) -> Self {
        Self {
            group: "gateway.networking.k8s.io",
            kind: "Gateway",
            namespace,
            name,
        }
    }

    /// What a target of a policy of `namespace` is.
    #[must_use]
    pub fn target(target: &'a TargetRef, namespace: &'a str) -> Self {
        Self {
            group: &target.group,
            kind: &target.kind,
            namespace,
            name: &target.name,
        }
    }

    /// Whether it is among the targets of an object of `namespace`.
    #[must_use]
    pub fn is_among(&self, targets: &[TargetRef], namespace: &str) -> bool {
        targets
            .iter()
            .any(|target| *self == Attached::target(target, namespace))
    }
}

/// Of the policies for a target that set a block, the one that counts: the oldest, then the first by name. Source: GEP-713.
#[must_use]
pub fn winner<'a>(
    target: Attached<'_>,
    policies: &[&'a TrafficPolicy],
    sets: impl Fn(&TrafficPolicy) -> bool,
) -> Option<&'a TrafficPolicy> {
    policies
        .iter()
        .filter(|it| sets(it) && target.is_among(&it.targets, &it.meta.namespace))
        .min_by_key(|it| (it.meta.created, it.meta.name.as_ref()))
        .copied()
}
