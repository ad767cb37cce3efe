//! The facts for what waypoints are told, found by the relations of the [`Store`].
//!
//! In: a service, a Gateway, an object of routing, a workload. Out: their resources for waypoints, and conditions.
//! Never: decides what rules mean ([`crate::render::routing`] does), looks through everything.

use std::{collections::BTreeMap, sync::Arc};

use prost::Message as _;
use wire::proto::{Any, SUBSETS_EXTENSION, SUBSETS_TYPE, workload::Extension};

use super::{
    dirty::Dirty,
    ids::Id,
    routing::{Key, Routing},
    store::{Store, split},
};
use crate::{
    objects::{
        AuthorizationPolicy, DestinationRule, Kind, Labels, Meta, Service, ServiceEntry,
        ServiceType, TrafficPolicy, VirtualService,
        route::{GrantFrom, GrpcRoute, HttpRoute, TcpRoute, TlsRoute},
    },
    output::{Account, Resource},
    render::{
        ports::Member,
        routing::{
            self as render, Effective, Lookup, ServiceFacts, Sources, Usability, WAYPOINT_ACCEPTED,
        },
        waypoint::{self, Binding, Class},
    },
    status::{Condition, UNSUPPORTED_VALUE},
};

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
    unenforced: Vec<String>,
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
            let sources = Sources {
                virtual_services: &about.virtual_services,
                http_routes: &about.http_routes,
                grpc_routes: &about.grpc_routes,
                tls_routes: &about.tls_routes,
                tcp_routes: &about.tcp_routes,
                unenforced: &about.unenforced,
            };
            let tables = facts
                .ports
                .iter()
                .filter_map(|port| render::route_table(facts, port.number, &sources, self, &mesh));
            resources.extend(tables.map(|table| Resource::RouteTable(table, audience.clone())));
        }
        let effective = render::effective(facts, &about.destination_rules, &mesh);
        let policies = &about.traffic_policies;
        let policies = render::backend_policies(facts, effective.as_ref(), policies, &mesh);
        resources.extend(policies.into_iter().map(Resource::BackendPolicy));
        resources
    }

    /// The settings of a Gateway that is a waypoint of ours.
    pub(super) fn compile_gateway(&self, id: Id) -> Option<Resource> {
        let found = self.found(id)?;
        let account = self.served_account(id)?;
        let mesh = self.mesh();
        let waypoint = waypoint::waypoint(found, &mesh)?;
        let meta = &found.gateway.meta;
        let gateway = Key::Gateway((*meta.namespace).into(), (*meta.name).into());
        let mut unenforced = self.unenforced(&gateway, None);
        let class = Key::Class(found.gateway.class.as_str().into());
        let root = &mesh.config.root_namespace;
        unenforced.extend(self.unenforced(&class, Some(root)));
        let settings = render::settings(found.gateway, waypoint.traffic, &unenforced, &mesh);
        Some(Resource::Settings(settings, account))
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
            Routing::TrafficPolicy(it) => {
                let keys = object.about(&mesh);
                let ids = keys.iter().flat_map(|key| self.about(key));
                let others: BTreeMap<Id, &TrafficPolicy> = ids
                    .filter_map(|id| Some((id, self.routing().get(id)?.traffic_policy()?)))
                    .filter(|(_, other)| other.meta != it.meta)
                    .collect();
                let others: Vec<_> = others.into_values().collect();
                render::status::traffic_policy(it, &others, self)
            }
            Routing::RequestAuthentication(it) if !it.targets.is_empty() => {
                vec![not_enforced("RequestAuthentication")]
            }
            Routing::ReferenceGrant(_) | Routing::RequestAuthentication(_) => Vec::new(),
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
                Routing::RequestAuthentication(_) | Routing::ReferenceGrant(_) => {}
            }
        }
        about
            .unenforced
            .extend(self.unenforced(&Key::Host(hostname.into()), None));
        if let Some(entry) = entry {
            let meta = &entry.meta;
            let key = Key::Entry((*meta.namespace).into(), (*meta.name).into());
            about.unenforced.extend(self.unenforced(&key, None));
        }
        about
    }

    /// The policies of layer 7 that are attached to what a key stands for; only those of a namespace, where one is given.
    fn unenforced(&self, key: &Key, only: Option<&str>) -> Vec<String> {
        let counts = |meta: &&Meta| only.is_none_or(|only| only == &*meta.namespace);
        let named = |kind: &'static str| {
            move |meta: &Meta| format!("{kind} {}/{}", meta.namespace, meta.name)
        };
        let policies = self
            .guards(key)
            .filter_map(|id| self.authorizations.get(id))
            .map(|it| &it.meta)
            .filter(counts)
            .map(named("AuthorizationPolicy"));
        let authentications = self
            .about(key)
            .filter_map(|id| self.routing().get(id)?.request_authentication())
            .map(|it| &it.meta)
            .filter(counts)
            .map(named("RequestAuthentication"));
        let mut names: Vec<String> = policies.chain(authentications).collect();
        names.sort_unstable();
        names.dedup();
        names
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
        let namespace = self.waypoint_namespace(&binding).map(Into::into);
        self.note_waypoint_of_service(id, namespace, dirty);
    }

    /// As [`Self::follow_service`], of a ServiceEntry.
    pub(super) fn follow_entry(&mut self, id: Id, dirty: &mut Dirty) {
        let Some(entry) = self.service_entries.get(id).cloned() else {
            return;
        };
        let binding = self.binding_of_entry(&entry);
        let namespace = self.waypoint_namespace(&binding).map(Into::into);
        self.note_waypoint_of_entry(id, namespace, dirty);
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
        let Binding::Bound(bound) = binding else {
            return Vec::new();
        };
        let canary = bound.canary.iter().map(|it| &it.name);
        let names = std::iter::once(&bound.name).chain(canary);
        let mut accounts: Vec<_> = names
            .filter_map(|name| {
                let (namespace, name) = name.split_once('/')?;
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

impl Lookup for Store {
    fn service(&self, namespace: &str, name: &str) -> Option<ServiceFacts<'_>> {
        let service = self.services.get(self.services.find(namespace, name)?)?;
        (service.kind != ServiceType::ExternalName)
            .then(|| self.service_facts(service, &self.binding_of_service(service)))
    }

    fn entry(&self, namespace: &str, name: &str) -> Option<ServiceFacts<'_>> {
        let id = self.service_entries.find(namespace, name)?;
        let entry = self.service_entries.get(id)?;
        let (hosts, _lost) = self.hosts(id, entry);
        let binding = self.binding_of_entry(entry);
        Some(self.entry_facts(entry, hosts.first()?, &binding))
    }

    fn host(&self, hostname: &str, namespace: &str) -> Option<ServiceFacts<'_>> {
        if let Some((name, of)) = split(hostname, self.mesh().domain)
            && let Some(found) = self.service(of, name)
        {
            return Some(found);
        }
        // Its own namespace's before others, a name before a pattern, then the oldest.
        let mut entries: Vec<_> = self
            .entries_of(hostname)
            .into_iter()
            .filter_map(|id| Some((id, self.service_entries.get(id)?)))
            .collect();
        entries.sort_by_key(|(_, entry)| {
            let exact = entry.hosts.iter().any(|host| host == hostname);
            let meta = &entry.meta;
            (
                *meta.namespace != *namespace,
                !exact,
                meta.created,
                Arc::clone(&meta.namespace),
                Arc::clone(&meta.name),
            )
        });
        entries.into_iter().find_map(|(id, entry)| {
            let (hosts, _lost) = self.hosts(id, entry);
            let host = hosts
                .iter()
                .find(|host| **host == hostname)
                .or_else(|| hosts.iter().find(|host| render::covers(host, hostname)))?;
            Some(self.entry_facts(entry, host, &self.binding_of_entry(entry)))
        })
    }

    fn backend(&self, service: &ServiceFacts<'_>, port: u16, subset: &str) -> Usability {
        let effective = self.effective_of(service, self.entry_of(service));
        match effective {
            Some(effective) => effective.usability(port, subset),
            None if subset.is_empty() => Usability::Usable,
            None => Usability::Unknown,
        }
    }

    fn is_granted(&self, from: &GrantFrom, to: (&str, &str), namespace: &str, name: &str) -> bool {
        self.about(&Key::Grants(namespace.into()))
            .filter_map(|id| self.routing().get(id))
            .filter_map(|object| object.reference_grant())
            .any(|grant| grant.allows(from, to, name))
    }
}

/// The condition of a policy that a waypoint does not enforce yet.
pub(super) fn not_enforced(kind: &str) -> Condition {
    Condition {
        kind: WAYPOINT_ACCEPTED,
        status: false,
        reason: UNSUPPORTED_VALUE,
        message: format!(
            "waypoints do not enforce a {kind} yet: what it targets answers every request with 403 and ends every connection"
        ),
    }
}

/// The condition of a policy that is attached to something.
pub(super) fn of_policy(policy: &AuthorizationPolicy) -> Option<Condition> {
    (!policy.targets.is_empty()).then(|| not_enforced("AuthorizationPolicy"))
}
