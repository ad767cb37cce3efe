//! All objects of a manifest, found by looking through them.

use std::sync::Arc;

use wire::proto::waypoint::{BackendPolicy, RouteTable, Settings, Subsets};

use crate::{
    objects::{
        DestinationRule, Gateway, Kind, Labels, MeshConfig, Meta, Object, Pod, Service,
        ServiceEntry, TargetRef, TrafficPolicy, VirtualService,
        route::{GrantFrom, GrpcRoute, HttpRoute, ReferenceGrant, TcpRoute, TlsRoute},
        traffic_policy::limit::GlobalLimit,
    },
    read::{Content, document},
    render::{
        access::status::Attachment,
        mesh::Mesh,
        routing::{
            Effective, Lookup, ServiceFacts, Sources, Usability, backend_policies, covers,
            effective, resolve, route_table, settings, status, subsets_of,
        },
        waypoint::{Found, Reference, Traffic, reference},
    },
    status::Condition,
};

/// All objects of a manifest. A Service has a waypoint where its own labels name one.
#[derive(Default)]
pub(super) struct World {
    config: MeshConfig,
    services: Vec<Arc<Service>>,
    entries: Vec<Arc<ServiceEntry>>,
    pods: Vec<Arc<Pod>>,
    gateways: Vec<Arc<Gateway>>,
    virtual_services: Vec<Arc<VirtualService>>,
    rules: Vec<Arc<DestinationRule>>,
    policies: Vec<Arc<TrafficPolicy>>,
    http: Vec<Arc<HttpRoute>>,
    grpc: Vec<Arc<GrpcRoute>>,
    tls: Vec<Arc<TlsRoute>>,
    tcp: Vec<Arc<TcpRoute>>,
    grants: Vec<Arc<ReferenceGrant>>,
}

fn refs<T>(all: &[Arc<T>]) -> Vec<&T> {
    all.iter().map(|it| &**it).collect()
}

impl World {
    /// A service and its HTTPRoutes.
    pub(super) fn of(service: Service, routes: Vec<HttpRoute>) -> Self {
        Self {
            services: vec![Arc::new(service)],
            http: routes.into_iter().map(Arc::new).collect(),
            ..Self::default()
        }
    }

    pub(super) fn read(text: &str) -> Self {
        let mut world = Self::default();
        for part in yaml::parts(text) {
            for item in document("m.yaml", &part).unwrap() {
                let known = |text: &str| text.ends_with("extensionRef: not supported");
                assert!(
                    item.warnings.iter().all(|it| known(&it.text)),
                    "{:?}",
                    item.warnings
                );
                match item.content {
                    Content::Good(object) => world.take(object),
                    Content::Ignored => panic!("ignored at {:?}", item.position),
                    Content::Refused(finding) => panic!("{}", finding.text),
                }
            }
        }
        world
    }

    fn take(&mut self, object: Object) {
        match object {
            Object::Service(it) => self.services.push(it),
            Object::ServiceEntry(it) => self.entries.push(it),
            Object::Pod(it) => self.pods.push(it),
            Object::Gateway(it) => self.gateways.push(it),
            Object::VirtualService(it) => self.virtual_services.push(it),
            Object::DestinationRule(it) => self.rules.push(it),
            Object::TrafficPolicy(it) => self.policies.push(it),
            Object::HttpRoute(it) => self.http.push(it),
            Object::GrpcRoute(it) => self.grpc.push(it),
            Object::TlsRoute(it) => self.tls.push(it),
            Object::TcpRoute(it) => self.tcp.push(it),
            Object::ReferenceGrant(it) => self.grants.push(it),
            Object::MeshConfig(it) => self.config = (*it).clone(),
            other @ (Object::Namespace(_)
            | Object::Node(_)
            | Object::EndpointSlice(_)
            | Object::ServiceAccount(_)
            | Object::WorkloadEntry(_)
            | Object::GatewayClass(_)
            | Object::AuthorizationPolicy(_)
            | Object::PeerAuthentication(_)
            | Object::RequestAuthentication(_)
            | Object::EnvoyFilter(_)
            | Object::Unread(_)) => panic!("{}", other.key()),
        }
    }

    pub(super) fn mesh(&self) -> Mesh<'_> {
        Mesh {
            cluster: "Kubernetes",
            domain: "cluster.local",
            network: "",
            config: &self.config,
        }
    }

    /// Every service of the manifest, by its hostname.
    pub(super) fn facts(&self) -> Vec<ServiceFacts<'_>> {
        let services = self.services.iter().map(|it| {
            let facts = ServiceFacts::of_service(it, &self.mesh());
            with_waypoint(facts, &it.meta)
        });
        let entries = self.entries.iter().flat_map(|it| {
            let of = |host| with_waypoint(ServiceFacts::of_entry(it, host), &it.meta);
            it.hosts.iter().map(move |host| of(host))
        });
        services.chain(entries).collect()
    }

    /// The table of a port of a service, by its hostname.
    pub(super) fn table(&self, hostname: &str, port: u16) -> Option<RouteTable> {
        let facts = self.facts();
        let service = facts.iter().find(|it| it.hostname == hostname).unwrap();
        let sources = Sources {
            virtual_services: &refs(&self.virtual_services),
            http_routes: &refs(&self.http),
            grpc_routes: &refs(&self.grpc),
            tls_routes: &refs(&self.tls),
            tcp_routes: &refs(&self.tcp),
            unenforced: &[],
        };
        route_table(service, port, &sources, self, &self.mesh())
    }

    fn effective(&self, service: &ServiceFacts<'_>) -> Option<Effective<'_>> {
        effective(service, &refs(&self.rules), &self.mesh())
    }

    pub(super) fn backend_policies(&self, service: &ServiceFacts<'_>) -> Vec<BackendPolicy> {
        let effective = self.effective(service);
        let policies = refs(&self.policies);
        backend_policies(service, effective.as_ref(), &policies, &self.mesh())
    }

    /// Each pod's subsets, by the pod's name; a pod serves the Services that select it.
    pub(super) fn subsets(&self) -> Vec<(String, Subsets)> {
        let mut found = Vec::new();
        for pod in &self.pods {
            let labels: &Labels = &pod.meta.labels;
            let mut effective = Vec::new();
            for service in &self.services {
                let selects = service
                    .selector
                    .as_ref()
                    .is_some_and(|it| it.matches(labels));
                let facts = ServiceFacts::of_service(service, &self.mesh());
                if selects && let Some(rules) = self.effective(&facts) {
                    effective.push((facts.key(), rules));
                }
            }
            let each = effective.iter().map(|(key, rules)| (key.clone(), rules));
            if let Some(subsets) = subsets_of(labels, each) {
                found.push((pod.meta.name.to_string(), subsets));
            }
        }
        found
    }

    pub(super) fn settings(&self) -> Vec<Settings> {
        let of = |it: &Arc<Gateway>| {
            let found = Found {
                gateway: it,
                class: None,
            };
            settings(found, Traffic::Service, &[], &self.mesh())
        };
        self.gateways.iter().map(of).collect()
    }

    /// The conditions of all objects.
    pub(super) fn conditions(&self) -> Vec<(String, Vec<Condition>)> {
        let mesh = &self.mesh();
        let name = |kind: Kind, meta: &Meta| format!("{kind} {}/{}", meta.namespace, meta.name);
        let mut all = Vec::new();
        let is_routed = |service: &ServiceFacts<'_>| {
            self.http.iter().any(|route| {
                *route.meta.namespace == *service.namespace
                    && route.parents.iter().any(|it| it.name == service.name)
            })
        };
        for it in &self.virtual_services {
            let conditions = status::virtual_service(it, &is_routed, self, mesh);
            all.push((name(Kind::VirtualService, &it.meta), conditions));
        }
        for it in &self.rules {
            let conditions = status::destination_rule(it, self, mesh);
            all.push((name(Kind::DestinationRule, &it.meta), conditions));
        }
        for it in &self.policies {
            let attachment = |target: &TargetRef| {
                let namespace = &it.meta.namespace;
                let found = match &*target.kind {
                    "Service" => self.service(namespace, &target.name),
                    _entry => self.entry(namespace, &target.name),
                };
                match found {
                    None => Attachment::NotFound,
                    Some(it) if it.waypoint.is_none() => Attachment::NoWaypoint,
                    Some(_) => Attachment::Bound(String::new()),
                }
            };
            let service = |_: &GlobalLimit| Ok(());
            let policies = refs(&self.policies);
            let conditions = status::traffic_policy(it, &policies, &attachment, &service, None);
            all.push((name(Kind::TrafficPolicy, &it.meta), conditions));
        }
        for it in &self.http {
            let conditions = status::http_route(it, self, mesh);
            all.push((name(Kind::HttpRoute, &it.meta), conditions));
        }
        for it in &self.grpc {
            let conditions = status::grpc_route(it, self, mesh);
            all.push((name(Kind::GrpcRoute, &it.meta), conditions));
        }
        for it in &self.tls {
            let conditions = status::tls_route(it, self, mesh);
            all.push((name(Kind::TlsRoute, &it.meta), conditions));
        }
        for it in &self.tcp {
            let conditions = status::tcp_route(it, self, mesh);
            all.push((name(Kind::TcpRoute, &it.meta), conditions));
        }
        all
    }
}

fn with_waypoint<'a>(facts: ServiceFacts<'a>, meta: &'a Meta) -> ServiceFacts<'a> {
    let waypoint = match reference(&meta.labels, &meta.namespace) {
        Reference::To(namespace, _) => Some(namespace),
        Reference::Absent | Reference::OptOut => None,
    };
    ServiceFacts { waypoint, ..facts }
}

impl Lookup for World {
    fn service(&self, namespace: &str, name: &str) -> Option<ServiceFacts<'_>> {
        self.facts()
            .into_iter()
            .find(|it| it.kind == Kind::Service && it.namespace == namespace && it.name == name)
    }

    fn entry(&self, namespace: &str, name: &str) -> Option<ServiceFacts<'_>> {
        self.facts().into_iter().find(|it| {
            it.kind == Kind::ServiceEntry && it.namespace == namespace && it.name == name
        })
    }

    fn host(&self, hostname: &str, _namespace: &str) -> Option<ServiceFacts<'_>> {
        let facts = self.facts();
        let exact = facts.iter().find(|it| it.hostname == hostname);
        let found = exact.or_else(|| facts.iter().find(|it| covers(&it.hostname, hostname)));
        found.cloned()
    }

    fn backend(&self, service: &ServiceFacts<'_>, port: u16, subset: &str) -> Usability {
        match self.effective(service) {
            Some(effective) => effective.usability(port, subset),
            None if subset.is_empty() => Usability::Usable,
            None => Usability::Unknown,
        }
    }

    fn is_granted(&self, from: &GrantFrom, to: (&str, &str), namespace: &str, name: &str) -> bool {
        self.grants
            .iter()
            .any(|it| *it.meta.namespace == *namespace && it.allows(from, to, name))
    }
}

/// The hostname of a short name, for tests that write it out.
pub(super) fn hostname(world: &World, namespace: &str, name: &str) -> String {
    resolve(name, namespace, &world.mesh())
}
