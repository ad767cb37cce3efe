//! How often requests may come to a service or a waypoint, and whose word counts for the address of their clients.
//!
//! In: TrafficPolicies and EnvoyFilters that are attached to it. Out: limits and a `ClientAddress`, and conditions of the two. Never:
//! asks a rate limit service in the clear that is to be asked by TLS; leaves out one limit of an object, which closes instead.

use std::collections::{BTreeMap, BTreeSet};

use wire::proto::waypoint::{Backend, ClientAddress, Policies, RateLimit};

use super::{
    super::{
        dirty::Dirty,
        ids::Id,
        routing::{Key, Routing, targets as keys_of},
        store::{Store, split},
        unenforced,
    },
    readable,
};
use crate::{
    objects::{EnvoyFilter, TargetRef, TrafficPolicy, traffic_policy::limit::GlobalLimit},
    render::{
        access::{self, Attached, Limit, Unenforceable},
        routing::{self as render, Lookup as _, Usability},
        waypoint::{Addresses, Clients},
    },
    status::Condition,
};

/// What holds for a target.
#[derive(Debug)]
pub(super) struct Limits {
    rate_limits: Vec<RateLimit>,
    client_address: Option<ClientAddress>,
    /// What becomes of the addresses of its clients.
    pub(super) addresses: Addresses,
    /// The objects that close it, since no waypoint can read their limits.
    pub(super) unenforced: BTreeSet<String>,
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
            addresses: _,
            unenforced: _,
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
        self.limits_with(target, policies, &[], None)
    }

    /// What holds for a Gateway of which this is known.
    pub(super) fn limits_of_gateway(
        &self,
        namespace: &str,
        name: &str,
        clients: &Clients<'_>,
    ) -> Limits {
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
        let target = Attached::gateway(namespace, name);
        self.limits_with(target, &policies, &filters, Some(clients))
    }

    fn limits_with(
        &self,
        target: Attached<'_>,
        policies: &[&TrafficPolicy],
        filters: &[&EnvoyFilter],
        clients: Option<&Clients<'_>>,
    ) -> Limits {
        let backend =
            |limit: &GlobalLimit, namespace: &str| self.backend_of_limit(limit, namespace);
        let limits = access::limits(target, policies, filters, &backend);
        let unreadable = limits
            .iter()
            .filter(|it| readable::rate_limit(&it.limit).is_err());
        let unenforced: BTreeSet<_> = unreadable
            .map(|it| unenforced::name(it.kind, it.meta))
            .collect();
        let topology = clients.and_then(|it| it.topology);
        let (client_address, addresses) =
            access::client_address(target, policies, filters, topology);
        let told = limits.into_iter().filter(|it| {
            unenforced.is_empty() || !unenforced.contains(&unenforced::name(it.kind, it.meta))
        });
        Limits {
            rate_limits: told.map(|it| it.limit).collect(),
            client_address,
            addresses,
            unenforced,
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
        let backend =
            |limit: &GlobalLimit, namespace: &str| self.backend_of_limit(limit, namespace);
        let flaw = flaw(access::limits_of_policy(object, &backend));
        render::status::traffic_policy(object, &others, &attachment, &service, flaw.as_ref())
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
        let flaw = flaw(access::limits_of_filter(object));
        render::status::envoy_filter(object, &targets, &has_peers, flaw.as_ref())
    }

    /// Marks the Gateways of TrafficPolicies that are marked and name a service: whether it can be asked is a part of their settings.
    pub(in crate::index) fn mark_limited(&self, dirty: &mut Dirty) {
        let policies = dirty
            .routing
            .iter()
            .filter_map(|id| self.routing().get(*id)?.traffic_policy())
            .filter(|it| it.global_limits().next().is_some());
        for policy in policies {
            let gateways = policy.targets.iter().filter(|it| it.kind == "Gateway");
            let found =
                gateways.filter_map(|it| self.gateways.find(&policy.meta.namespace, &it.name));
            dirty.gateways.extend(found);
        }
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

/// What no waypoint can read of the limits of an object.
fn flaw<'a>(mut limits: impl Iterator<Item = Limit<'a>>) -> Option<Unenforceable> {
    limits.find_map(|it| readable::rate_limit(&it.limit).err())
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
