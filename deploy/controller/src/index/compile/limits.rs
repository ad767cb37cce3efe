//! How often requests may come to a service or a waypoint, and whose word counts for the address of their clients.
//!
//! In: TrafficPolicies and EnvoyFilters that are attached to it. Out: limits and a `ClientAddress`, and conditions of the two. Never:
//! asks a rate limit service in the clear that is to be asked by TLS.

use std::collections::BTreeMap;

use wire::proto::waypoint::{Backend, ClientAddress, Policies, RateLimit};

use super::super::{
    ids::Id,
    routing::{Key, Routing, targets as keys_of},
    store::{Store, split},
};
use crate::{
    objects::{EnvoyFilter, TargetRef, TrafficPolicy, traffic_policy::limit::GlobalLimit},
    render::{
        access::{self, Attached},
        routing::{self as render, Lookup as _, Usability},
    },
    status::Condition,
};

/// What holds for a target.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub(super) rate_limits: Vec<RateLimit>,
    pub(super) client_address: Option<ClientAddress>,
}

impl Limits {
    /// The same policies, with these limits.
    pub(super) fn join(
        self,
        policies: Option<Policies>,
    ) -> (Option<Policies>, Option<ClientAddress>) {
        let Self {
            rate_limits,
            client_address,
        } = self;
        let policies = if rate_limits.is_empty() {
            policies
        } else {
            Some(Policies {
                rate_limits,
                ..policies.unwrap_or_default()
            })
        };
        (policies, client_address)
    }
}

impl Store {
    /// What holds for a target, of the TrafficPolicies that may be attached to it.
    pub(super) fn limits(&self, target: Attached<'_>, policies: &[&TrafficPolicy]) -> Limits {
        self.limits_with(target, policies, &[])
    }

    /// What holds for a Gateway.
    pub(super) fn limits_of_gateway(&self, namespace: &str, name: &str) -> Limits {
        let key = Key::Gateway(namespace.into(), name.into());
        let objects: Vec<_> = self
            .about(&key)
            .filter_map(|id| self.routing().get(id))
            .collect();
        let policies: Vec<_> = objects
            .iter()
            .filter_map(|it| it.traffic_policy())
            .collect();
        let filters: Vec<_> = objects.iter().filter_map(|it| it.envoy_filter()).collect();
        self.limits_with(Attached::gateway(namespace, name), &policies, &filters)
    }

    fn limits_with(
        &self,
        target: Attached<'_>,
        policies: &[&TrafficPolicy],
        filters: &[&EnvoyFilter],
    ) -> Limits {
        let backend =
            |limit: &GlobalLimit, namespace: &str| self.backend_of_limit(limit, namespace);
        Limits {
            rate_limits: access::limits(target, policies, filters, &backend),
            client_address: access::client_address(target, policies, filters),
        }
    }

    /// The conditions of a TrafficPolicy.
    pub(super) fn conditions_of_traffic_policy(&self, object: &TrafficPolicy) -> Vec<Condition> {
        let others = self.traffic_policies_beside(&object.targets, object);
        let others: Vec<_> = others.into_values().collect();
        let attachment = |target: &TargetRef| self.attachment(target, &object.meta.namespace);
        let service = |limit: &GlobalLimit| {
            let service = self.rate_limit_service(limit, &object.meta.namespace);
            service.map(|_| ()).map_err(|(_, why)| why)
        };
        render::status::traffic_policy(object, &others, &attachment, &service)
    }

    /// The conditions of an EnvoyFilter.
    pub(super) fn conditions_of_envoy_filter(&self, object: &EnvoyFilter) -> Vec<Condition> {
        let namespace = &object.meta.namespace;
        let targets: Vec<_> = object
            .targets
            .iter()
            .map(|target| (target, self.attachment(target, namespace)))
            .collect();
        let has_peers = |name: &str| {
            let key = Key::Gateway((**namespace).into(), name.into());
            let policies: Vec<_> = self
                .about(&key)
                .filter_map(|id| self.routing().get(id)?.traffic_policy())
                .collect();
            let target = Attached::gateway(namespace, name);
            access::winner(target, &policies, |it| it.client_address.is_some()).is_some()
        };
        render::status::envoy_filter(object, &targets, &has_peers)
    }

    /// The other TrafficPolicies for targets of one.
    fn traffic_policies_beside(
        &self,
        targets: &[TargetRef],
        object: &TrafficPolicy,
    ) -> BTreeMap<Id, &TrafficPolicy> {
        keys_of(targets, &object.meta.namespace, &self.mesh())
            .iter()
            .flat_map(|key| self.about(key))
            .filter_map(|id| Some((id, self.routing().get(id)?.traffic_policy()?)))
            .filter(|(_, other)| other.meta != object.meta)
            .collect()
    }

    /// The service of a global limit of a policy of a namespace. One that is not to be had, or asked in the clear, is named all the
    /// same, by a port that nobody has: nobody answers there, and the limit says what happens then.
    fn backend_of_limit(&self, limit: &GlobalLimit, namespace: &str) -> Backend {
        self.rate_limit_service(limit, namespace)
            .unwrap_or_else(|(stand_in, _)| stand_in)
    }

    /// The same, or what stands in its place and why.
    fn rate_limit_service(
        &self,
        limit: &GlobalLimit,
        namespace: &str,
    ) -> Result<Backend, (Backend, String)> {
        let mesh = self.mesh();
        let host = render::resolve(&limit.service, namespace, &mesh);
        let backend = |service: String, port: u16| Backend {
            service,
            port: port.into(),
            subset: String::new(),
        };
        let Some(service) = self.host(&host, namespace) else {
            let of = split(&host, mesh.domain).map_or(namespace, |(_, of)| of);
            let stand_in = backend(format!("{of}/{host}"), limit.port);
            return Err((stand_in, format!("there is no service {host}")));
        };
        let key = service.key();
        if service.port(limit.port).is_none() {
            let why = format!("service {host} has no port {}", limit.port);
            return Err((backend(key, limit.port), why));
        }
        // Its own policies do not count: whoever asks it is a waypoint, and not a client of its.
        let effective = self.effective_of(&service, self.entry_of(&service));
        let usability = effective.map_or(Usability::Usable, |it| it.usability(limit.port, ""));
        match usability {
            Usability::Usable | Usability::Unknown => Ok(backend(key, limit.port)),
            Usability::Unenforced(policy) => {
                let unused = (1..=u16::MAX).find(|port| service.port(*port).is_none());
                let why = format!("{policy} is not enforced for service {host}");
                Err((backend(key, unused.unwrap_or(u16::MAX)), why))
            }
        }
    }
}

impl Routing {
    /// It, if it is an EnvoyFilter.
    fn envoy_filter(&self) -> Option<&EnvoyFilter> {
        if let Self::EnvoyFilter(it) = self {
            Some(it)
        } else {
            None
        }
    }
}
