//! Limits and client addresses of manifests, through the index: which object counts where, and what is told of the others.

mod several;
mod topology;

use wire::proto::waypoint::{RateLimit, RouteTable, Settings, rate_limit::Kind};

use crate::{
    index::{Index, Options},
    objects::{Object, Update},
    output::{Output, Resource},
    read::testkit::objects,
};

/// A waypoint before one service, and a rate limit service elsewhere.
const WORLD: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient, istio.io/use-waypoint: waypoint}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop, labels: {istio.io/waypoint-for: service}}
spec: {gatewayClassName: ambit-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {ports: [{name: http, port: 80}, {name: tcp-other, port: 81}]}
---
apiVersion: v1
kind: Service
metadata: {name: rls, namespace: infra}
spec: {ports: [{name: grpc, port: 8081}]}
";

const GATEWAY: &str = "{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}";
const SERVICE: &str = "{kind: Service, name: reviews}";
const LOCAL: &str = "rateLimits: [{name: all, local: {requests: 5, interval: 1s, burst: 9}}]";
const PEERS: &str = "clientAddress: {trustedPeers: [cluster.local/ns/edge/sa/lb, 'cluster.local/ns/x/*', '*/sa/y'], numTrustedProxies: 1}";

fn policy(name: &str, created: u8, target: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: ambit.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: {name}, namespace: shop, creationTimestamp: '2026-01-0{created}T00:00:00Z'}}\nspec:\n  targetRefs: [{target}]\n  {spec}\n"
    )
}

fn filter(name: &str, patches: &[&str]) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  targetRefs: [{GATEWAY}]\n  configPatches: [{}]\n",
        patches.join(", ")
    )
}

const LIMIT_PATCH: &str = "{applyTo: HTTP_FILTER, patch: {operation: INSERT_BEFORE, value: {name: envoy.filters.http.local_ratelimit, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit, stat_prefix: s, token_bucket: {max_tokens: 3, fill_interval: 1s}, filter_enabled: {default_value: {numerator: 100}}, filter_enforced: {default_value: {numerator: 100}}}}}}";
const PROXY_PATCH: &str = "{applyTo: LISTENER, patch: {operation: MERGE, value: {listener_filters: [{name: envoy.filters.listener.proxy_protocol}]}}}";

/// What becomes of the world and of more objects.
struct Compiled(Output);

impl Compiled {
    fn of(more: &[String]) -> Self {
        Self::changed(more, |_| {})
    }

    /// The same, with objects that no manifest comes to.
    fn changed(more: &[String], change: impl Fn(&mut Object)) -> Self {
        let text = format!("{WORLD}{}", more.concat());
        let mut objects = objects(&text);
        objects.iter_mut().for_each(change);
        let mut index = Index::new(Options::default());
        Self(index.apply(objects.into_iter().map(Update::Put).collect()))
    }

    fn tables(&self) -> impl Iterator<Item = &RouteTable> {
        fn table(it: &Resource) -> Option<&RouteTable> {
            if let Resource::RouteTable(table, _) = it {
                Some(table)
            } else {
                None
            }
        }
        let tables = self.0.puts.iter().filter_map(table);
        tables.filter(|table| table.service.starts_with("shop/reviews"))
    }

    /// Of every port of the service.
    fn of_service(&self) -> Vec<RateLimit> {
        let mut all: Vec<Vec<RateLimit>> = self
            .tables()
            // One that no waypoint can read would be closed.
            .inspect(|table| assert!(table.unenforced.is_empty(), "{:?}", table.unenforced))
            .map(|table| table.policies.clone().unwrap_or_default().rate_limits)
            .collect();
        assert_eq!(all.len(), 2, "of two ports");
        all.dedup();
        assert_eq!(all.len(), 1, "both ports alike");
        all.remove(0)
    }

    fn settings(&self) -> &Settings {
        let settings = self.any_settings();
        assert!(settings.unenforced.is_empty(), "{:?}", settings.unenforced);
        settings
    }

    fn any_settings(&self) -> &Settings {
        fn settings(it: &Resource) -> Option<&Settings> {
            if let Resource::Settings(settings, _) = it {
                Some(settings)
            } else {
                None
            }
        }
        self.0.puts.iter().find_map(settings).expect("settings")
    }

    fn of_gateway(&self) -> Vec<RateLimit> {
        let policies = self.settings().policies.clone().unwrap_or_default();
        policies.rate_limits
    }

    /// `<type> <status> <reason>: <message>`.
    fn conditions(&self, name: &str) -> Vec<String> {
        let of = |(key, conditions): &(_, Vec<crate::status::Condition>)| {
            let key: &crate::objects::ObjectKey = key;
            (&*key.name == name).then(|| conditions.clone())
        };
        let all = self.0.conditions.iter().find_map(of).unwrap_or_default();
        all.iter()
            .map(|it| format!("{} {} {}: {}", it.kind, it.status, it.reason, it.message))
            .collect()
    }
}

fn names(limits: &[RateLimit]) -> Vec<&str> {
    limits.iter().map(|it| it.name.as_str()).collect()
}

#[test]
fn a_limit_of_a_service_holds_on_all_of_its_ports_and_nowhere_else() {
    let compiled = Compiled::of(&[policy("a", 1, SERVICE, LOCAL)]);
    let limits = compiled.of_service();
    assert_eq!(names(&limits), ["shop/a/all"]);
    let Some(Kind::Local(bucket)) = &limits[0].kind else {
        panic!("{limits:?}")
    };
    let numbers = (
        bucket.max_tokens,
        bucket.tokens_per_fill,
        bucket.fill_interval_us,
    );
    assert_eq!(numbers, (9, 5, 1_000_000));
    let limit = &limits[0];
    assert_eq!(
        (limit.status, limit.enabled_ppm, limit.enforced_ppm),
        (429, 1_000_000, 1_000_000)
    );
    let header = &limit.response_headers[0];
    assert_eq!(
        (&*header.name, &*header.value),
        ("x-local-rate-limit", "true")
    );
    assert_eq!(names(&compiled.of_gateway()), [""; 0]);
    assert_eq!(
        compiled.conditions("a"),
        ["Accepted true Accepted: attached to the waypoint"]
    );
}

#[test]
fn a_limit_of_a_gateway_is_in_its_settings() {
    let compiled = Compiled::of(&[policy("a", 1, GATEWAY, LOCAL)]);
    assert_eq!(names(&compiled.of_gateway()), ["shop/a/all"]);
    assert_eq!(names(&compiled.of_service()), [""; 0]);
    assert_eq!(
        compiled.conditions("a"),
        ["Accepted true Accepted: attached to the waypoint"]
    );
    let absent = GATEWAY.replace("name: waypoint", "name: other");
    let compiled = Compiled::of(&[policy("a", 1, &absent, LOCAL)]);
    assert_eq!(names(&compiled.of_gateway()), [""; 0]);
    assert_eq!(
        compiled.conditions("a"),
        ["Accepted false TargetNotFound: there is no Gateway other"]
    );
}

#[test]
fn of_several_policies_the_oldest_counts_block_by_block() {
    let other = "rateLimits: [{name: other, local: {requests: 1, interval: 1s}}]";
    let health = "healthCheck: {protocol: tcp}";
    // By age, not by name.
    let compiled = Compiled::of(&[
        policy("a", 2, SERVICE, LOCAL),
        policy("b", 1, SERVICE, other),
        policy("c", 3, SERVICE, health),
    ]);
    assert_eq!(names(&compiled.of_service()), ["shop/b/other"]);
    assert_eq!(
        compiled.conditions("a"),
        ["Accepted false Conflicted: TrafficPolicy b has the rateLimits of Service reviews"]
    );
    for good in ["b", "c"] {
        assert_eq!(
            compiled.conditions(good),
            ["Accepted true Accepted: attached to the waypoint"]
        );
    }
    // Of the same age, by name.
    let compiled = Compiled::of(&[
        policy("b", 1, SERVICE, other),
        policy("a", 1, SERVICE, LOCAL),
    ]);
    assert_eq!(names(&compiled.of_service()), ["shop/a/all"]);
    // A Gateway's policy and a service's are no conflict.
    let compiled = Compiled::of(&[
        policy("b", 1, GATEWAY, other),
        policy("a", 1, SERVICE, LOCAL),
    ]);
    assert_eq!(names(&compiled.of_service()), ["shop/a/all"]);
    assert_eq!(names(&compiled.of_gateway()), ["shop/b/other"]);
}

#[test]
fn a_global_limit_names_its_service_whatever_is_wrong_with_it() {
    let spec = |service: &str, port: u16, closed: bool| {
        format!(
            "rateLimits: [{{name: g, key: [{{header: x-t}}], global: {{domain: d, service: {service}, port: {port}, failClosed: {closed}}}}}]"
        )
    };
    let of = |spec: &str, more: &str| {
        let compiled = Compiled::of(&[policy("a", 1, SERVICE, spec), more.to_owned()]);
        let limits = compiled.of_service();
        let Some(Kind::Global(global)) = &limits[0].kind else {
            panic!("{limits:?}")
        };
        let backend = global.backend.clone().expect("a backend");
        let conditions = compiled.conditions("a");
        (
            format!("{}:{}", backend.service, backend.port),
            conditions[1].clone(),
        )
    };
    let good = "infra/rls.infra.svc.cluster.local:8081".to_owned();
    let full = "rls.infra.svc.cluster.local";
    assert_eq!(
        of(&spec(full, 8081, false), ""),
        (
            good.clone(),
            "ResolvedRefs true ResolvedRefs: all references are resolved".to_owned()
        )
    );
    assert_eq!(
        of(&spec("rls", 8081, false), ""),
        (
            "shop/rls.shop.svc.cluster.local:8081".to_owned(),
            "ResolvedRefs false BackendNotFound: rateLimits g: there is no service rls.shop.svc.cluster.local: requests go on".to_owned()
        )
    );
    assert_eq!(
        of(&spec(full, 9, true), ""),
        (
            "infra/rls.infra.svc.cluster.local:9".to_owned(),
            "ResolvedRefs false BackendNotFound: rateLimits g: service rls.infra.svc.cluster.local has no port 9: requests are answered 500".to_owned()
        )
    );
    // Nobody is asked in the clear who is to be asked by TLS: no service has that port.
    let tls = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: rls, namespace: infra}\nspec: {host: rls.infra.svc.cluster.local, trafficPolicy: {tls: {mode: SIMPLE}}}\n";
    let (backend, condition) = of(&spec(full, 8081, true), tls);
    assert_ne!(backend, good);
    assert!(
        condition.contains("DestinationRule infra/rls is not enforced"),
        "{condition}"
    );
}

#[test]
fn limits_of_filters_stand_beside_those_of_policies() {
    let compiled = Compiled::of(&[
        policy("a", 1, GATEWAY, LOCAL),
        filter("f", &[LIMIT_PATCH, LIMIT_PATCH]),
        filter(
            "a",
            &[&LIMIT_PATCH.replace("stat_prefix: s", "stat_prefix: all")],
        ),
    ]);
    // Each has tokens of its own, so each has a name of its own.
    assert_eq!(
        names(&compiled.of_gateway()),
        ["shop/a/all", "shop/a/all#2", "shop/f/s", "shop/f/s#2"]
    );
    assert_eq!(
        compiled.conditions("f"),
        ["WaypointAccepted true Accepted: bound to shop/waypoint"]
    );
}

#[test]
fn a_filter_that_would_refuse_nothing_says_so() {
    let idle = LIMIT_PATCH.replace(", filter_enforced: {default_value: {numerator: 100}}", "");
    let compiled = Compiled::of(&[filter("f", &[&idle])]);
    assert_eq!(compiled.of_gateway()[0].enforced_ppm, 0);
    assert_eq!(
        compiled.conditions("f"),
        [
            "WaypointAccepted true Accepted: bound to shop/waypoint; as in Envoy, s refuses nothing: filter_enabled or filter_enforced is 0 or absent"
        ]
    );
}

#[test]
fn proxy_headers_are_nobodys_until_somebody_is_named() {
    // The limit beside it is not in force either: all of it or nothing.
    let both = filter("f", &[PROXY_PATCH, LIMIT_PATCH]);
    let compiled = Compiled::of(std::slice::from_ref(&both));
    assert_eq!(compiled.settings().client_address, None);
    assert_eq!(names(&compiled.of_gateway()), [""; 0]);
    assert_eq!(
        compiled.conditions("f"),
        [
            "WaypointAccepted false UnsupportedValue: no TrafficPolicy with clientAddress.trustedPeers says whose PROXY headers count for Gateway waypoint: nothing of it is in force there"
        ]
    );
    let compiled = Compiled::of(&[both, policy("p", 1, GATEWAY, PEERS)]);
    let address = compiled
        .settings()
        .client_address
        .clone()
        .expect("an address");
    assert!(address.proxy_protocol);
    assert_eq!(address.trusted_peers.len(), 3);
    assert_eq!(address.trusted_proxies, 1);
    assert_eq!(names(&compiled.of_gateway()), ["shop/f/s"]);
    assert_eq!(
        compiled.conditions("f"),
        ["WaypointAccepted true Accepted: bound to shop/waypoint"]
    );
    // Without the filter nobody is asked for one.
    let compiled = Compiled::of(&[policy("p", 1, GATEWAY, PEERS)]);
    let address = compiled
        .settings()
        .client_address
        .clone()
        .expect("an address");
    assert!(!address.proxy_protocol);
}

#[test]
fn the_client_address_of_a_service_is_on_its_tables() {
    let compiled = Compiled::of(&[policy("p", 1, SERVICE, PEERS)]);
    assert_eq!(compiled.settings().client_address, None);
    let count = compiled
        .tables()
        .filter(|table| table.client_address.is_some())
        .count();
    assert_eq!(count, 2);
}

#[test]
fn all_that_can_be_written_is_read_by_a_waypoint() {
    let spec = "rateLimits:
  - name: one
    matches:
    - {path: {type: Exact, value: /a}, method: GET, headers: [{name: x-a, value: b}], queryParams: [{name: q, type: RegularExpression, value: 'a+'}]}
    - {path: {type: RegularExpression, value: '/b.*'}}
    routes: [shop.reviews.one, 'a rule of a VirtualService']
    key: [{header: X-A}, {claim: sub}, {claim: [a, b], name: c}, {identity: true}, {clientAddress: true}, {route: true}, {service: true}, {path: true}]
    local: {requests: 2147483647, interval: 24h}
    status: 599
    responseHeaders: [{name: Retry-After, value: '1'}, {name: X-Local-Rate-Limit, value: mine}]
    grpcStatus: RESOURCE_EXHAUSTED
    enabled: 0.0001
    enforced: 0
  - name: two
    key: [{method: true}, {value: v}]
    global: {domain: 'a domain', service: rls.infra.svc.cluster.local, port: 8081, timeout: 1ms, failClosed: true}";
    for target in [SERVICE, GATEWAY] {
        let compiled = Compiled::of(&[policy("a", 1, target, spec)]);
        let limits = match target {
            SERVICE => compiled.of_service(),
            _gateway => compiled.of_gateway(),
        };
        assert_eq!(names(&limits), ["shop/a/one", "shop/a/two"]);
        let one = &limits[0];
        assert_eq!(
            (one.matches.len(), one.routes.len(), one.keys.len()),
            (2, 2, 8)
        );
        let headers: Vec<_> = one.response_headers.iter().map(|it| &*it.value).collect();
        assert_eq!(headers, ["1", "mine"]);
        assert_eq!((one.enabled_ppm, one.enforced_ppm), (1, 0));
        assert!(one.resource_exhausted);
    }
}
