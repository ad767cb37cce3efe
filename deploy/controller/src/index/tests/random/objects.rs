//! Random objects from so small a choice of names, labels and addresses that they meet.

use std::{collections::BTreeMap, sync::Arc};

use fastrand::Rng;

use super::limits::topology;
use crate::{
    objects::{
        Action, AllowedNamespaces, AuthorizationPolicy, Authorizer, AuthorizerProtocol,
        AuthorizerService, Condition, Endpoint, EndpointSlice, EntryVisibility, Gateway,
        GatewayAddressValue, GatewayClass, Kind, LabelSelector, Labels, Location, MeshConfig, Meta,
        MutualTls, Namespace, Node, Object, ObjectKey, OwnerReference, PeerAuthentication, Phase,
        Pod, PolicyRule, Resolution, Selector, Service, ServiceEntry, ServiceType, TargetPort,
        TrafficDistribution, Update, Visibility, VisibilityPolicy, WorkloadEntry,
    },
    render::tests::sample::{
        container_port, endpoint, ip, labels, meta, port, service, service_entry, slice,
        slice_endpoint, waypoint,
    },
};

pub(super) const NAMESPACES: [&str; 3] = ["a", "b", "istio-system"];
pub(super) const NAMES: [&str; 4] = ["one", "two", "three", "four"];
const ADDRESSES: [&str; 5] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "fd00::1"];
const NODES: [&str; 3] = ["node-1", "node-2", ""];
const HOSTS: [&str; 4] = [
    "x.example.com",
    "y.example.com",
    "one.a.svc.cluster.local",
    "two.b.svc.cluster.local",
];

/// A source of random updates; the same for the same seed.
pub(super) struct Random(Rng);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0.usize(..limit)
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        self.0.shuffle(items);
    }

    /// One of six deletes.
    pub(super) fn update(&mut self) -> Update {
        let kind = self.pick(&[
            Kind::Pod,
            Kind::Pod,
            Kind::Pod,
            Kind::Service,
            Kind::Service,
            Kind::EndpointSlice,
            Kind::EndpointSlice,
            Kind::WorkloadEntry,
            Kind::ServiceEntry,
            Kind::ServiceEntry,
            Kind::Gateway,
            Kind::GatewayClass,
            Kind::AuthorizationPolicy,
            Kind::PeerAuthentication,
            Kind::PeerAuthentication,
            Kind::Namespace,
            Kind::Node,
            Kind::ConfigMap,
            Kind::VirtualService,
            Kind::VirtualService,
            Kind::DestinationRule,
            Kind::DestinationRule,
            Kind::HttpRoute,
            Kind::GrpcRoute,
            Kind::TlsRoute,
            Kind::TcpRoute,
            Kind::ReferenceGrant,
            Kind::RequestAuthentication,
            Kind::TrafficPolicy,
            Kind::TrafficPolicy,
            Kind::EnvoyFilter,
        ]);
        let meta = self.meta(kind);
        if self.one_in(6) {
            return Update::Delete(ObjectKey::new(kind, meta.namespace, meta.name));
        }
        let is_policy = matches!(
            kind,
            Kind::AuthorizationPolicy | Kind::RequestAuthentication
        );
        if is_policy && self.one_in(4) {
            return Update::Put(self.unread(kind, meta));
        }
        Update::Put(self.object(kind, meta))
    }

    fn object(&mut self, kind: Kind, meta: Meta) -> Object {
        match kind {
            Kind::Pod => Object::Pod(Arc::new(self.pod(meta))),
            Kind::Service => Object::Service(Arc::new(self.service(meta))),
            Kind::EndpointSlice => Object::EndpointSlice(Arc::new(self.slice(meta))),
            Kind::WorkloadEntry => Object::WorkloadEntry(Arc::new(self.workload_entry(meta))),
            Kind::ServiceEntry => Object::ServiceEntry(Arc::new(self.service_entry(meta))),
            Kind::Gateway => Object::Gateway(Arc::new(self.gateway(meta))),
            Kind::GatewayClass => Object::GatewayClass(Arc::new(GatewayClass {
                meta,
                controller: self.pick(&["istio.io/mesh-controller", "other"]).to_owned(),
                ..GatewayClass::default()
            })),
            Kind::AuthorizationPolicy => {
                Object::AuthorizationPolicy(Arc::new(self.authorization(meta)))
            }
            Kind::PeerAuthentication => {
                Object::PeerAuthentication(Arc::new(self.authentication(meta)))
            }
            Kind::Namespace => Object::Namespace(Arc::new(Namespace { meta })),
            Kind::Node => Object::Node(Arc::new(Node { meta })),
            Kind::ConfigMap => Object::MeshConfig(Arc::new(MeshConfig {
                meta,
                trust_domain: self.pick(&["cluster.local", "example.org"]).to_owned(),
                root_namespace: self.pick(&["istio-system", "istio-system", "a"]).to_owned(),
                entry_visibility: self.entry_visibility(),
                authorizers: self.authorizers(),
                ..MeshConfig::default()
            })),
            Kind::VirtualService
            | Kind::DestinationRule
            | Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::TlsRoute
            | Kind::TcpRoute
            | Kind::ReferenceGrant
            | Kind::RequestAuthentication
            | Kind::TrafficPolicy
            | Kind::EnvoyFilter => self.routing(kind, meta),
            Kind::ServiceAccount => unreachable!("it is not chosen"),
        }
    }

    /// One that there may be a service for, one of a host of ServiceEntries, and one that cannot be used.
    fn authorizers(&mut self) -> BTreeMap<String, Result<Authorizer, String>> {
        let namespace = self.pick(&[None, Some("a"), Some("b")]);
        let authorizer = |hostname: &str, port, namespace: Option<&str>| Authorizer {
            service: AuthorizerService {
                namespace: namespace.map(str::to_owned),
                hostname: hostname.to_owned(),
            },
            port,
            timeout: std::time::Duration::from_secs(1),
            fail_open: false,
            status_on_error: 403,
            include_body: None,
            protocol: AuthorizerProtocol::Grpc,
        };
        let service = authorizer("one.a.svc.cluster.local", 80, None);
        let entry = authorizer("x.example.com", 443, namespace);
        let all = [
            ("service", Ok(service)),
            ("entry", Ok(entry)),
            ("broken", Err("nobody knows".to_owned())),
        ];
        let all = all.map(|(name, it)| (name.to_owned(), it));
        all.into_iter().filter(|_| !self.one_in(4)).collect()
    }

    fn entry_visibility(&mut self) -> EntryVisibility {
        let some = [Visibility::Public, Visibility::Namespace];
        let policy = VisibilityPolicy {
            visibility: some[usize::from(self.one_in(2))],
            namespaces: vec![Some(LabelSelector {
                labels: labels([("istio.io/dataplane-mode", "ambient")]),
                expressions: Vec::new(),
            })],
        };
        EntryVisibility {
            default: some[usize::from(self.one_in(3))],
            policies: vec![policy],
        }
    }

    fn meta(&mut self, kind: Kind) -> Meta {
        let (namespace, name) = match kind {
            Kind::Namespace => ("", self.pick(&NAMESPACES)),
            Kind::Node => ("", self.pick(&NODES[..2])),
            Kind::GatewayClass => ("", self.pick(&["mine", "istio-waypoint"])),
            Kind::ConfigMap => ("istio-system", "istio"),
            Kind::Pod
            | Kind::Service
            | Kind::EndpointSlice
            | Kind::ServiceAccount
            | Kind::WorkloadEntry
            | Kind::ServiceEntry
            | Kind::Gateway
            | Kind::AuthorizationPolicy
            | Kind::PeerAuthentication
            | Kind::VirtualService
            | Kind::DestinationRule
            | Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::TlsRoute
            | Kind::TcpRoute
            | Kind::ReferenceGrant
            | Kind::RequestAuthentication
            | Kind::TrafficPolicy
            | Kind::EnvoyFilter => (self.pick(&NAMESPACES), self.pick(&NAMES)),
        };
        let labels = self.labels();
        let mut annotations = self.annotations();
        if labels.contains_key("istio.io/use-waypoint-canary") {
            // Without one it has no share, which is what is mostly drawn.
            let weight = annotations.entry("istio.io/use-waypoint-canary-weight".to_owned());
            weight.or_insert_with(|| "30".to_owned());
        }
        Meta {
            labels,
            annotations,
            created: self.0.i64(0..3),
            terminating: self.one_in(8),
            ..meta(namespace, name)
        }
    }

    fn labels(&mut self) -> Labels {
        let choices: [(&str, &[&str]); 13] = [
            ("app", &["x", "y", "z"]),
            ("app", &["x", "y", "z"]),
            ("tier", &["1", "2"]),
            ("istio.io/dataplane-mode", &["ambient", "none"]),
            ("istio.io/use-waypoint", &["one", "two", "none"]),
            ("istio.io/use-waypoint-namespace", &["a", "b"]),
            ("istio.io/use-waypoint-canary", &["one", "three"]),
            (
                "istio.io/waypoint-for",
                &["service", "workload", "all", "none"],
            ),
            ("istio.io/ingress-use-waypoint", &["true", "false"]),
            ("gateway.networking.k8s.io/gateway-name", &["one", "two"]),
            ("topology.istio.io/network", &["n1", "n2"]),
            ("topology.kubernetes.io/zone", &["z1", "z2"]),
            ("networking.istio.io/tunnel", &["http"]),
        ];
        self.some_of(&choices)
    }

    fn annotations(&mut self) -> Labels {
        let choices: [(&str, &[&str]); 6] = [
            ("istio.io/use-waypoint-canary-weight", &["0", "30", "x"]),
            (
                "ambient.istio.io/waypoint-inbound-binding",
                &["PROXY/15088", "NONE"],
            ),
            ("gateway.istio.io/name-override", &["two", "four"]),
            ("gateway.istio.io/service-account", &["account"]),
            ("ambient.istio.io/redirection", &["enabled"]),
            ("networking.istio.io/traffic-distribution", &["PreferClose"]),
        ];
        self.some_of(&choices)
    }

    /// Each with one chance in four.
    fn some_of(&mut self, choices: &[(&str, &[&str])]) -> Labels {
        let mut chosen = Labels::new();
        for (name, values) in choices {
            if self.one_in(4) {
                chosen.insert((*name).to_owned(), self.pick(values).to_owned());
            }
        }
        chosen
    }

    fn selector(&mut self) -> Option<Selector> {
        let choices = [
            None,
            Some(Labels::new()),
            Some(labels([("app", "x")])),
            Some(labels([("app", "y")])),
            Some(labels([("tier", "1")])),
            Some(labels([("app", "x"), ("tier", "1")])),
        ];
        self.pick(&choices).map(Selector)
    }

    fn pod(&mut self, meta: Meta) -> Pod {
        let mut ips: Vec<_> = (0..self.below(3))
            .map(|_| ip(self.pick(&ADDRESSES)))
            .collect();
        ips.dedup();
        Pod {
            meta: Meta {
                owner: self.one_in(2).then(|| OwnerReference {
                    kind: "ReplicaSet".to_owned(),
                    name: "web-1".to_owned(),
                }),
                ..meta
            },
            node: self.pick(&NODES).into(),
            service_account: self.pick(&["default", "other"]).into(),
            host_network: self.one_in(6),
            ports: vec![container_port(self.pick(&["http", "tls"]), 8080)],
            ips,
            phase: self.pick(&[
                Phase::Running,
                Phase::Running,
                Phase::Running,
                Phase::Pending,
                Phase::Succeeded,
            ]),
            ready: !self.one_in(4),
        }
    }

    fn service(&mut self, meta: Meta) -> Service {
        let name = meta.name.to_string();
        let target = self.pick(&[
            TargetPort::Same,
            TargetPort::Number(8080),
            TargetPort::Name("http".to_owned()),
        ]);
        Service {
            kind: if self.one_in(6) {
                ServiceType::ExternalName
            } else {
                ServiceType::ClusterIp
            },
            ports: vec![port("http", 80, target)],
            selector: self.selector(),
            publish_not_ready: self.one_in(4),
            headless: self.one_in(4),
            distribution: self.one_in(4).then_some(TrafficDistribution::SameNode),
            ..Service {
                meta,
                ..service("", &name, "10.96.0.1")
            }
        }
    }

    fn slice(&mut self, mut meta: Meta) -> EndpointSlice {
        if !self.one_in(5) {
            let label = "kubernetes.io/service-name".to_owned();
            meta.labels.insert(label, self.pick(&NAMES).to_owned());
        }
        let endpoints = (0..self.below(4)).map(|_| {
            let pod = (self.pick(&NAMESPACES), self.pick(&NAMES));
            let pod = (!self.one_in(3)).then_some(pod);
            let mut endpoint = slice_endpoint(self.pick(&ADDRESSES), pod);
            endpoint.ready = !self.one_in(3);
            endpoint.node = self.pick(&NODES).into();
            endpoint
        });
        let endpoints = endpoints.collect();
        let mut slice = slice("", "", "");
        slice.ports[0].port = self.pick(&[8080, 9090]);
        EndpointSlice {
            meta,
            endpoints,
            ..slice
        }
    }

    fn endpoint(&mut self) -> Endpoint {
        let address = self.pick(&["192.0.2.1", "192.0.2.2", "vm.example.com"]);
        let mut endpoint = endpoint(address, []);
        endpoint.labels = self.labels();
        if self.one_in(3) {
            endpoint.ports.insert("tls".to_owned(), 8443);
        }
        if self.one_in(8) {
            endpoint.address = None;
        }
        endpoint
    }

    fn workload_entry(&mut self, meta: Meta) -> WorkloadEntry {
        let mut endpoint = self.endpoint();
        endpoint.labels.extend(meta.labels.clone());
        WorkloadEntry { meta, endpoint }
    }

    fn service_entry(&mut self, meta: Meta) -> ServiceEntry {
        let hosts: Vec<_> = (0..self.below(2) + 1).map(|_| self.pick(&HOSTS)).collect();
        let endpoints = (0..self.below(3)).map(|_| self.endpoint()).collect();
        ServiceEntry {
            endpoints,
            location: self.pick(&[Location::Internal, Location::External]),
            resolution: self.pick(&[Resolution::None, Resolution::Static, Resolution::Dns]),
            selector: self.selector(),
            meta,
            ..service_entry("", "", &hosts)
        }
    }

    fn gateway(&mut self, meta: Meta) -> Gateway {
        let mut gateway = waypoint("", "");
        gateway.listeners[0].allowed = self.pick(&[
            AllowedNamespaces::All,
            AllowedNamespaces::All,
            AllowedNamespaces::Same,
            AllowedNamespaces::Selector(LabelSelector {
                labels: labels([("tier", "1")]),
                ..LabelSelector::default()
            }),
        ]);
        let classes = [
            "ambit-waypoint",
            "ambit-waypoint",
            "ambit-waypoint",
            "istio-waypoint",
            "istio-waypoint",
            "mine",
            "istio-east-west",
        ];
        gateway.class = self.pick(&classes).to_owned();
        if self.one_in(3) {
            gateway.status_addresses = vec![GatewayAddressValue::Ip(ip("203.0.113.1"))];
        }
        gateway.topology = topology(&gateway);
        Gateway { meta, ..gateway }
    }

    fn authorization(&mut self, mut meta: Meta) -> AuthorizationPolicy {
        if self.one_in(5) {
            let dry_run = ("istio.io/dry-run".to_owned(), "true".to_owned());
            meta.annotations.extend([dry_run]);
        }
        let mut rules = vec![PolicyRule::default(); self.below(3)];
        if self.one_in(4) {
            // The second cannot be enforced.
            let key = self.pick(&["source.namespace", "request.headers[:path]"]);
            rules.push(PolicyRule {
                when: vec![Condition {
                    key: key.to_owned(),
                    values: vec!["a".to_owned()],
                    not_values: Vec::new(),
                }],
                ..PolicyRule::default()
            });
        }
        let actions = [
            Action::Allow,
            Action::Deny,
            Action::Custom,
            Action::Custom,
            Action::Audit,
        ];
        let providers = ["service", "service", "entry", "broken", "nobody"];
        AuthorizationPolicy {
            meta,
            selector: self.selector(),
            targets: if self.one_in(2) {
                self.targets()
            } else {
                Vec::new()
            },
            action: self.pick(&actions),
            provider: self.pick(&providers).to_owned(),
            rules,
        }
    }

    fn authentication(&mut self, meta: Meta) -> PeerAuthentication {
        let modes = [
            MutualTls::Unset,
            MutualTls::Disable,
            MutualTls::Permissive,
            MutualTls::Strict,
        ];
        let mode = self.pick(&modes);
        let of_port = self.pick(&modes);
        PeerAuthentication {
            meta,
            selector: self.selector(),
            mode: (!self.one_in(4)).then_some(mode),
            ports: self
                .one_in(2)
                .then_some((8080, of_port))
                .into_iter()
                .collect(),
        }
    }

    pub(super) fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    pub(super) fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        let index = self.below(choices.len());
        choices[index].clone()
    }
}
