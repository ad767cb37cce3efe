//! Random objects of routing, which name each other's services, subsets and namespaces.

use std::sync::Arc;

use super::objects::{NAMES, NAMESPACES, Random};
use crate::{
    objects::{
        DestinationRule, JwtKeys, JwtRule, Kind, Labels, Meta, Object, RequestAuthentication,
        TargetRef, UnreadPolicy, VirtualService,
        destination_rule::{ClientTls, ClientTlsMode, Subset},
        route::{
            Backend, BackendRef, Filter, GrantFrom, GrantTo, GrpcRoute, GrpcRule, HttpMatch,
            HttpRoute, HttpRule, L4Backend, L4Rule, ParentRef, PathMatch, ReferenceGrant, TcpRoute,
            TlsRoute,
        },
        virtual_service::{self, Destination, HttpAction, HttpDestination, MESH_GATEWAY},
    },
    render::tests::sample::labels,
};

/// Hosts as VirtualServices and DestinationRules write them.
pub(super) const HOSTS: [&str; 8] = [
    "one",
    "two",
    "three",
    "one.a.svc.cluster.local",
    "two.b.svc.cluster.local",
    "x.example.com",
    "*.example.com",
    "*.b.svc.cluster.local",
];
/// Of RFC 7517, appendix A.1.
const KEYS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;
const SUBSETS: [&str; 3] = ["", "v1", "v2"];

impl Random {
    /// An object of a kind of routing.
    pub(super) fn routing(&mut self, kind: Kind, meta: Meta) -> Object {
        match kind {
            Kind::VirtualService => Object::VirtualService(Arc::new(self.virtual_service(meta))),
            Kind::DestinationRule => Object::DestinationRule(Arc::new(self.destination_rule(meta))),
            Kind::HttpRoute => Object::HttpRoute(Arc::new(HttpRoute {
                meta,
                parents: self.parents(),
                hostnames: Vec::new(),
                rules: vec![HttpRule {
                    matches: vec![HttpMatch {
                        path: PathMatch::Prefix(self.pick(&["/", "/a"]).to_owned()),
                        ..HttpMatch::default()
                    }],
                    filters: if self.one_in(4) {
                        vec![Filter::Unsupported {
                            kind: "ExtensionRef".to_owned(),
                        }]
                    } else {
                        Vec::new()
                    },
                    backends: self.backends(),
                    ..HttpRule::default()
                }],
            })),
            Kind::GrpcRoute => Object::GrpcRoute(Arc::new(GrpcRoute {
                meta,
                parents: self.parents(),
                rules: vec![GrpcRule {
                    backends: self.backends(),
                    ..GrpcRule::default()
                }],
                ..GrpcRoute::default()
            })),
            Kind::TlsRoute => Object::TlsRoute(Arc::new(TlsRoute {
                meta,
                parents: self.parents(),
                hostnames: vec!["x.example.com".to_owned()],
                rules: self.l4_rules(),
            })),
            Kind::TcpRoute => Object::TcpRoute(Arc::new(TcpRoute {
                meta,
                parents: self.parents(),
                rules: self.l4_rules(),
            })),
            Kind::ReferenceGrant => Object::ReferenceGrant(Arc::new(ReferenceGrant {
                meta,
                from: vec![GrantFrom {
                    group: "gateway.networking.k8s.io".to_owned(),
                    kind: self.pick(&["HTTPRoute", "TCPRoute"]).to_owned(),
                    namespace: self.pick(&NAMESPACES).to_owned(),
                }],
                to: vec![GrantTo {
                    group: String::new(),
                    kind: "Service".to_owned(),
                    name: self.one_in(2).then(|| "one".to_owned()),
                }],
            })),
            Kind::RequestAuthentication => {
                let keys = [
                    JwtKeys::Discovery,
                    JwtKeys::Inline(KEYS.to_owned()),
                    JwtKeys::Inline("nonsense".to_owned()),
                ];
                let rule = JwtRule {
                    issuer: "https://issuer.example".to_owned(),
                    audiences: Vec::new(),
                    keys: self.pick(&keys),
                    from_headers: Vec::new(),
                    from_params: Vec::new(),
                    from_cookies: Vec::new(),
                    output_payload_to_header: None,
                    forward_original_token: false,
                    output_claim_to_headers: Vec::new(),
                    timeout: std::time::Duration::from_secs(5),
                    space_delimited_claims: Vec::new(),
                };
                Object::RequestAuthentication(Arc::new(RequestAuthentication {
                    meta,
                    targets: self.targets(),
                    rules: vec![rule; self.below(3)],
                    ..RequestAuthentication::default()
                }))
            }
            Kind::TrafficPolicy => Object::TrafficPolicy(Arc::new(self.traffic_policy(meta))),
            Kind::EnvoyFilter => Object::EnvoyFilter(Arc::new(self.envoy_filter(meta))),
            Kind::Namespace
            | Kind::Node
            | Kind::Pod
            | Kind::Service
            | Kind::EndpointSlice
            | Kind::ServiceAccount
            | Kind::WorkloadEntry
            | Kind::ServiceEntry
            | Kind::Gateway
            | Kind::GatewayClass
            | Kind::AuthorizationPolicy
            | Kind::PeerAuthentication
            | Kind::ConfigMap => unreachable!("{kind} is no kind of routing"),
        }
    }

    fn destination(&mut self) -> Destination {
        Destination {
            host: self.pick(&HOSTS[..6]).to_owned(),
            subset: self.pick(&SUBSETS).to_owned(),
            port: self.one_in(2).then_some(80),
        }
    }

    fn virtual_service(&mut self, meta: Meta) -> VirtualService {
        let destinations = (0..self.below(2) + 1).map(|_| HttpDestination {
            destination: self.destination(),
            weight: 1,
            ..HttpDestination::default()
        });
        let action = HttpAction::Route(destinations.collect());
        let tcp = self.one_in(3).then(|| virtual_service::TcpRoute {
            matches: Vec::new(),
            destinations: vec![virtual_service::WeightedDestination {
                destination: self.destination(),
                weight: 1,
            }],
        });
        VirtualService {
            hosts: (0..self.below(2) + 1)
                .map(|_| self.pick(&HOSTS).to_owned())
                .collect(),
            gateways: vec![self.pick(&[MESH_GATEWAY, MESH_GATEWAY, "other"]).to_owned()],
            http: vec![virtual_service::HttpRoute {
                name: String::new(),
                matches: Vec::new(),
                action,
                rewrite: None,
                timeout: None,
                retries: None,
                fault: virtual_service::Fault::default(),
                mirrors: Vec::new(),
                cors: None,
                headers: crate::objects::HeaderEdits::default(),
            }],
            tcp: tcp.into_iter().collect(),
            meta,
            ..VirtualService::default()
        }
    }

    fn destination_rule(&mut self, meta: Meta) -> DestinationRule {
        let choices: [Labels; 3] = [
            labels([("app", "x")]),
            labels([("app", "y")]),
            labels([("tier", "1")]),
        ];
        let subsets = (0..self.below(3)).map(|_| Subset {
            name: self.pick(&SUBSETS[1..]).to_owned(),
            labels: self.pick(&choices),
            ..Subset::default()
        });
        let subsets = subsets.collect();
        let mut rule = DestinationRule {
            meta,
            host: self.pick(&HOSTS).to_owned(),
            subsets,
            ..DestinationRule::default()
        };
        if self.one_in(6) {
            rule.policy.any_port.tls = Some(ClientTls {
                mode: ClientTlsMode::Simple,
                ..ClientTls::default()
            });
        }
        rule
    }

    fn parents(&mut self) -> Vec<ParentRef> {
        let entry = self.one_in(4);
        let (group, kind) = if entry {
            ("networking.istio.io", "ServiceEntry")
        } else {
            ("", "Service")
        };
        vec![ParentRef {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: self.one_in(2).then(|| self.pick(&NAMESPACES).to_owned()),
            name: self.pick(&NAMES).to_owned(),
            section: None,
            port: self.one_in(2).then_some(80),
        }]
    }

    fn backend_ref(&mut self) -> BackendRef {
        BackendRef {
            group: String::new(),
            kind: "Service".to_owned(),
            namespace: self.one_in(2).then(|| self.pick(&NAMESPACES).to_owned()),
            name: self.pick(&NAMES).to_owned(),
            port: Some(80),
        }
    }

    fn backends(&mut self) -> Vec<Backend> {
        vec![Backend {
            backend: self.backend_ref(),
            weight: 1,
            filters: Vec::new(),
        }]
    }

    fn l4_rules(&mut self) -> Vec<L4Rule> {
        vec![L4Rule {
            name: None,
            backends: vec![L4Backend {
                backend: self.backend_ref(),
                weight: 1,
            }],
        }]
    }

    /// What stands in for a policy that cannot be read.
    pub(super) fn unread(&mut self, kind: Kind, meta: Meta) -> Object {
        Object::Unread(Arc::new(UnreadPolicy {
            kind,
            meta: Meta {
                name: meta.name,
                namespace: meta.namespace,
                ..Meta::default()
            },
            targets: self.targets(),
            has_others: self.one_in(3),
            closes: !self.one_in(3),
        }))
    }

    /// What policies of layer 7 are attached to.
    pub(super) fn targets(&mut self) -> Vec<TargetRef> {
        let kinds = [
            ("", "Service"),
            ("", "Service"),
            ("networking.istio.io", "ServiceEntry"),
            ("gateway.networking.k8s.io", "Gateway"),
            ("gateway.networking.k8s.io", "GatewayClass"),
        ];
        let mut targets = self.target(&kinds);
        if self.one_in(3) {
            targets.extend(self.target(&kinds));
        }
        targets
    }

    pub(super) fn target(&mut self, kinds: &[(&'static str, &'static str)]) -> Vec<TargetRef> {
        let (group, kind) = self.pick(kinds);
        let name = if kind == "GatewayClass" {
            self.pick(&[
                "ambit-waypoint",
                "ambit-waypoint",
                "mine",
                "istio-east-west",
            ])
        } else {
            self.pick(&NAMES)
        };
        vec![TargetRef {
            group: group.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
        }]
    }
}
