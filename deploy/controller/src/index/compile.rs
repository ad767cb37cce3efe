//! The facts for what waypoints are told, found by the relations of the [`Store`].
//!
//! In: a service, a Gateway, an object of routing, a workload. Out: their resources for waypoints, and conditions.
//! Never: decides what rules mean ([`crate::render::routing`] does), looks through everything.
//!
//! `lookup` finds what objects name, `access` the policies of who comes, `authorizer` whom these ask, `limits` how often
//! they may come, `unenforced` those that
//! close something; `readable` is the last check of what is sent.

use std::sync::Arc;

use prost::Message as _;
use wire::proto::{
    Any, SUBSETS_EXTENSION, SUBSETS_TYPE,
    waypoint::{RouteTable, Settings},
    workload::Extension,
};

use super::{
    dirty::Dirty,
    ids::Id,
    routing::{Key, Routing},
    store::Store,
    unenforced::name,
};
use crate::{
    objects::{
        DestinationRule, Kind, Labels, Service, ServiceEntry, ServiceType, TrafficPolicy,
        VirtualService,
        route::{GrpcRoute, HttpRoute, TcpRoute, TlsRoute},
    },
    output::{Account, Resource},
    render::{
        access::Attached,
        ports::Member,
        routing::{self as render, Effective, ServiceFacts, Sources},
        waypoint::{self, Addresses, Binding, Class},
    },
    status::Condition,
};

mod access;
mod authorizer;
mod limits;
mod lookup;
mod readable;
mod unenforced;

/// Objects of routing about one service, by kind.
#[derive(Default)]
struct About<'a> {
    virtual_services: Vec<&'a VirtualService>,
    destination_rules: Vec<&'a DestinationRule>,
    http_routes: Vec<&'a HttpRoute>,
    grpc_routes: Vec<&'a GrpcRoute>,
    tls_routes: Vec<&'a TlsRoute>,
    tcp_routes: Vec<&'a TcpRoute>,
    traffic_policies: Vec<&'a TrafficPolicy>,
}

impl Store {
    /// What waypoints are told of a Service.
    pub(super) fn compile_service(&self, service: &Service) -> Vec<Resource> {
        if service.kind == ServiceType::ExternalName {
            return Vec::new();
        }
        let binding = self.binding_of_service(service);
        let facts = self.service_facts(service, &binding);
        self.compile(&facts, None, &binding)
    }

    /// What waypoints are told of the hosts of a ServiceEntry.
    pub(super) fn compile_entry(&self, id: Id, entry: &ServiceEntry) -> Vec<Resource> {
        let binding = self.binding_of_entry(entry);
        let (hosts, _lost) = self.hosts(id, entry);
        let compile = |host: &&str| {
            let facts = self.entry_facts(entry, host, &binding);
            self.compile(&facts, Some(entry), &binding)
        };
        hosts.iter().flat_map(compile).collect()
    }

    fn compile(
        &self,
        facts: &ServiceFacts<'_>,
        entry: Option<&ServiceEntry>,
        binding: &Binding,
    ) -> Vec<Resource> {
        let mesh = self.mesh();
        let about = self.sources(&facts.hostname, entry);
        let mut resources = Vec::new();
        let audience = self.audience(binding);
        if !audience.is_empty() {
            let key = unenforced::key_of(facts, entry);
            let access = self.access(std::slice::from_ref(&key));
            let mut unenforced = self.unenforced_behind(&key, binding);
            unenforced.extend(access.unenforced);
            let limits = self.limits(Attached::service(facts), &about.traffic_policies);
            unenforced.extend(limits.unenforced.iter().cloned());
            let sources = Sources {
                virtual_services: &about.virtual_services,
                http_routes: &about.http_routes,
                grpc_routes: &about.grpc_routes,
                tls_routes: &about.tls_routes,
                tcp_routes: &about.tcp_routes,
                unenforced: &unenforced,
            };
            let tables = facts
                .ports
                .iter()
                .filter_map(|port| render::route_table(facts, port.number, &sources, self, &mesh));
            let (policies, client_address) = limits.join(access.policies);
            let tables = tables.map(|table| {
                readable::table(RouteTable {
                    policies: policies.clone(),
                    client_address: client_address.clone(),
                    ..table
                })
            });
            resources.extend(tables.map(|table| Resource::RouteTable(table, audience.clone())));
        }
        let effective = render::effective(facts, &about.destination_rules, &mesh);
        let policies = &about.traffic_policies;
        let policies = render::backend_policies(facts, effective.as_ref(), policies, &mesh);
        let policies = policies.into_iter().filter_map(readable::policy);
        resources.extend(policies.map(Resource::BackendPolicy));
        resources
    }

    /// The settings of a Gateway that is a waypoint of ours, and its conditions.
    pub(super) fn compile_gateway(&self, id: Id) -> Option<(Resource, Option<Condition>)> {
        let found = self.found(id)?;
        let account = self.served_account(id)?;
        let mesh = self.mesh();
        let waypoint = waypoint::waypoint(found, &mesh)?;
        let access = self.access(&[
            Key::gateway(&found.gateway.meta),
            Key::Class(found.gateway.class.as_str().into()),
        ]);
        let mut unenforced = self.unenforced_of_gateway(id);
        unenforced.extend(access.unenforced);
        let meta = &found.gateway.meta;
        let clients = waypoint::clients(found, mesh.config);
        let limits = self.limits_of_gateway(&meta.namespace, &meta.name, &clients);
        unenforced.extend(limits.unenforced.iter().cloned());
        let condition = clients.condition(found, limits.addresses);
        if limits.addresses == Addresses::Unknown {
            unenforced.push(name(Kind::Gateway, meta));
        }
        let (policies, client_address) = limits.join(access.policies);
        let settings = Settings {
            policies,
            client_address,
            ..render::settings(found, waypoint.traffic, &unenforced, &mesh)
        };
        let settings = Box::new(readable::settings(settings));
        Some((Resource::Settings(settings, account), condition))
    }

    /// The conditions of an object of routing.
    pub(super) fn conditions_of(&self, object: &Routing) -> Vec<Condition> {
        let mesh = self.mesh();
        match object {
            Routing::VirtualService(it) => {
                let is_routed = |service: &ServiceFacts<'_>| {
                    let about = self.sources(&service.hostname, self.entry_of(service));
                    !(about.http_routes.is_empty() && about.grpc_routes.is_empty())
                };
                render::status::virtual_service(it, &is_routed, self, &mesh)
            }
            Routing::DestinationRule(it) => render::status::destination_rule(it, self, &mesh),
            Routing::HttpRoute(it) => render::status::http_route(it, self, &mesh),
            Routing::GrpcRoute(it) => render::status::grpc_route(it, self, &mesh),
            Routing::TlsRoute(it) => render::status::tls_route(it, self, &mesh),
            Routing::TcpRoute(it) => render::status::tcp_route(it, self, &mesh),
            Routing::TrafficPolicy(it) => self.conditions_of_traffic_policy(it),
            Routing::EnvoyFilter(it) => self.conditions_of_envoy_filter(it),
            Routing::RequestAuthentication(it) => {
                self.condition_of_authentication(it).into_iter().collect()
            }
            Routing::ReferenceGrant(_) => Vec::new(),
        }
    }

    /// What only waypoints are told of a workload: the subsets that its labels put it into.
    pub(super) fn subsets(&self, labels: &Labels, members: &[Member<'_>]) -> Option<Extension> {
        if self.routing().is_empty() {
            return None;
        }
        let mut effective: Vec<(String, Effective<'_>)> = Vec::new();
        for member in members {
            match member {
                Member::Selected(service) | Member::Listed(service, _) => {
                    let facts = self.service_facts(service, &self.binding_of_service(service));
                    effective.extend(self.effective_of(&facts, None).map(|it| (facts.key(), it)));
                }
                Member::Entry(entry, hosts) => {
                    let binding = self.binding_of_entry(entry);
                    for host in hosts {
                        let facts = self.entry_facts(entry, host, &binding);
                        let of = self.effective_of(&facts, Some(entry));
                        effective.extend(of.map(|it| (facts.key(), it)));
                    }
                }
            }
        }
        let services = effective.iter().map(|(key, it)| (key.clone(), it));
        let subsets = render::subsets_of(labels, services)?;
        Some(Extension {
            name: SUBSETS_EXTENSION.to_owned(),
            config: Some(Any {
                type_url: SUBSETS_TYPE.to_owned(),
                value: subsets.encode_to_vec().into(),
            }),
        })
    }

    fn effective_of<'a>(
        &'a self,
        facts: &ServiceFacts<'_>,
        entry: Option<&ServiceEntry>,
    ) -> Option<Effective<'a>> {
        let rules: Vec<&DestinationRule> = self
            .routing_about(&facts.hostname, entry)
            .into_iter()
            .filter_map(|id| self.routing().get(id)?.destination_rule())
            .collect();
        render::effective(facts, &rules, &self.mesh())
    }

    fn sources<'a>(&'a self, hostname: &str, entry: Option<&ServiceEntry>) -> About<'a> {
        let mut about = About::default();
        for id in self.routing_about(hostname, entry) {
            let Some(object) = self.routing().get(id) else {
                continue;
            };
            match &**object {
                Routing::VirtualService(it) => about.virtual_services.push(it),
                Routing::DestinationRule(it) => about.destination_rules.push(it),
                Routing::HttpRoute(it) => about.http_routes.push(it),
                Routing::GrpcRoute(it) => about.grpc_routes.push(it),
                Routing::TlsRoute(it) => about.tls_routes.push(it),
                Routing::TcpRoute(it) => about.tcp_routes.push(it),
                Routing::TrafficPolicy(it) => about.traffic_policies.push(it),
                Routing::RequestAuthentication(_)
                | Routing::ReferenceGrant(_)
                | Routing::EnvoyFilter(_) => {}
            }
        }
        about
    }

    fn service_facts<'a>(&'a self, service: &'a Service, binding: &Binding) -> ServiceFacts<'a> {
        let mut facts = ServiceFacts::of_service(service, &self.mesh());
        facts.waypoint = self.waypoint_namespace(binding);
        facts
    }

    fn entry_facts<'a>(
        &'a self,
        entry: &'a ServiceEntry,
        host: &'a str,
        binding: &Binding,
    ) -> ServiceFacts<'a> {
        let mut facts = ServiceFacts::of_entry(entry, host);
        facts.waypoint = self.waypoint_namespace(binding);
        facts
    }

    fn entry_of(&self, service: &ServiceFacts<'_>) -> Option<&ServiceEntry> {
        if service.kind != Kind::ServiceEntry {
            return None;
        }
        let id = self.service_entries.find(service.namespace, service.name)?;
        self.service_entries.get(id).map(|it| &**it)
    }

    /// Marks what depends on whose waypoint stands before a Service.
    pub(super) fn follow_service(&mut self, id: Id, dirty: &mut Dirty) {
        let Some(service) = self.services.get(id).cloned() else {
            return;
        };
        let binding = self.binding_of_service(&service);
        let waypoints = self.waypoints_of(&binding);
        self.note_waypoint_of_service(id, waypoints, dirty);
    }

    /// As [`Self::follow_service`], of a ServiceEntry.
    pub(super) fn follow_entry(&mut self, id: Id, dirty: &mut Dirty) {
        let Some(entry) = self.service_entries.get(id).cloned() else {
            return;
        };
        let binding = self.binding_of_entry(&entry);
        let waypoints = self.waypoints_of(&binding);
        self.note_waypoint_of_entry(id, waypoints, dirty);
    }

    /// The Gateways that stand before something, and what they are, as one text; `None` for none.
    fn waypoints_of(&self, binding: &Binding) -> Option<Arc<str>> {
        let names: Vec<_> = gateways_of(binding)
            .map(|(namespace, name)| {
                let id = self.gateways.find(namespace, name);
                let class = id.and_then(|id| self.gateways.get(id));
                let class = class.map_or("", |gateway| gateway.class.as_str());
                let is_ours = id.is_some_and(|id| self.served_account(id).is_some());
                format!("{namespace}/{name} {class} {is_ours}")
            })
            .collect();
        (!names.is_empty()).then(|| names.join(" ").into())
    }

    /// The namespace of the waypoint that something is bound to.
    fn waypoint_namespace(&self, binding: &Binding) -> Option<&str> {
        let Binding::Bound(bound) = binding else {
            return None;
        };
        let (namespace, name) = bound.name.split_once('/')?;
        let gateway = self.gateways.get(self.gateways.find(namespace, name)?)?;
        Some(&gateway.meta.namespace)
    }

    /// The waypoints of ours that stand before something.
    fn audience(&self, binding: &Binding) -> Vec<Account> {
        let mut accounts: Vec<_> = gateways_of(binding)
            .filter_map(|(namespace, name)| {
                self.served_account(self.gateways.find(namespace, name)?)
            })
            .collect();
        accounts.sort_unstable();
        accounts.dedup();
        accounts
    }

    /// Under which identity a waypoint runs, if it is one that is told routes: not every waypoint is ours.
    fn served_account(&self, id: Id) -> Option<Account> {
        let found = self.found(id)?;
        match waypoint::class(found) {
            Class::Waypoint if self.serves_class(&found.gateway.class) => Some(Account {
                namespace: Arc::clone(&found.gateway.meta.namespace),
                name: waypoint::account(found.gateway).into(),
            }),
            Class::Waypoint | Class::EastWest | Class::Other => None,
        }
    }
}

/// The namespace and name of the Gateways that stand before something.
fn gateways_of(binding: &Binding) -> impl Iterator<Item = (&str, &str)> {
    let bound = match binding {
        Binding::Bound(bound) => Some(&**bound),
        Binding::Unbound | Binding::Refused(_) => None,
    };
    let names = bound.into_iter().flat_map(|bound| {
        let canary = bound.canary.iter().map(|it| it.name.as_str());
        std::iter::once(bound.name.as_str()).chain(canary)
    });
    names.filter_map(|name| name.split_once('/'))
}

#[cfg(test)]
mod tests;
