//! Random TrafficPolicies and EnvoyFilters, and what stands before Gateways.

use std::time::Duration;

use super::{objects::Random, routing::HOSTS};
use crate::objects::{
    AllowedNamespaces, EnvoyFilter, Gateway, GatewayTopology, LocalRateLimit, Meta, Patch, Share,
    TrafficPolicy,
    traffic_policy::{
        ClientAddress, HealthCheck, Probe, RateLimit,
        limit::{GlobalLimit, LimitKind, TokenBucket},
    },
};

const BUCKET: TokenBucket = TokenBucket {
    max_tokens: 1,
    tokens_per_fill: 1,
    fill_interval: Duration::from_secs(1),
};

impl Random {
    pub(super) fn traffic_policy(&mut self, meta: Meta) -> TrafficPolicy {
        let targets = self.target(&[
            ("", "Service"),
            ("", "Service"),
            ("networking.istio.io", "ServiceEntry"),
            ("gateway.networking.k8s.io", "Gateway"),
        ]);
        let has_endpoints = targets.iter().all(|it| it.kind != "Gateway");
        TrafficPolicy {
            targets,
            health_check: (has_endpoints && self.one_in(2)).then(|| HealthCheck {
                probe: Probe::Tcp,
                port: None,
                interval: Duration::from_secs(1),
                timeout: Duration::from_secs(1),
                unhealthy_threshold: 1,
                healthy_threshold: 1,
            }),
            rate_limits: self.rate_limits(),
            client_address: self.one_in(2).then(|| ClientAddress {
                trusted_peers: vec!["cluster.local/ns/a/sa/*".to_owned()],
                trusted_proxies: Some(1),
                proxy_protocol: None,
            }),
            meta,
        }
    }

    fn rate_limits(&mut self) -> Vec<RateLimit> {
        if self.one_in(2) {
            return Vec::new();
        }
        let kind = if self.one_in(2) {
            LimitKind::Local(BUCKET)
        } else {
            LimitKind::Global(GlobalLimit {
                domain: "mesh".to_owned(),
                // Those that are no patterns.
                service: self.pick(&HOSTS[..6]).to_owned(),
                port: 80,
                timeout: Duration::from_millis(20),
                fail_closed: self.one_in(2),
            })
        };
        vec![RateLimit {
            name: "limit".to_owned(),
            matches: Vec::new(),
            routes: Vec::new(),
            keys: Vec::new(),
            kind,
            status: 429,
            response_headers: Vec::new(),
            resource_exhausted: false,
            enabled: Share::ALL,
            enforced: Share::ALL,
        }]
    }

    pub(super) fn envoy_filter(&mut self, meta: Meta) -> EnvoyFilter {
        let patch = if self.one_in(2) {
            Patch::ProxyProtocol
        } else {
            Patch::LocalRateLimit(LocalRateLimit {
                stat_prefix: "filter".to_owned(),
                bucket: BUCKET,
                status: 429,
                enabled: Share::ALL,
                enforced: Share::ALL,
                response_headers: Vec::new(),
                resource_exhausted: false,
            })
        };
        EnvoyFilter {
            targets: self.target(&[("gateway.networking.k8s.io", "Gateway")]),
            patches: vec![patch],
            meta,
        }
    }
}

/// What stands before a Gateway: by what is drawn already, so that other draws stay as they are.
pub(super) fn topology(gateway: &Gateway) -> Option<Result<GatewayTopology, String>> {
    match gateway.listeners[0].allowed {
        AllowedNamespaces::Selector(_) => Some(Err("bad".to_owned())),
        AllowedNamespaces::All | AllowedNamespaces::Same => (!gateway.status_addresses.is_empty())
            .then_some(Ok(GatewayTopology {
                proxy_protocol: true,
                ..GatewayTopology::default()
            })),
    }
}
