//! Which VirtualServices are in force, and in which order their rules are tried.

use wire::proto::waypoint::HttpRoutes;

use super::world::{World, hostname};
use crate::render::routing::{
    covers, overlap,
    scope::Overlap::{Part, Whole},
};

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {istio.io/use-waypoint: w, istio.io/use-waypoint-namespace: infra}}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}, {name: http-two, port: 81}]}
";

/// No rule.
const NONE: [u64; 0] = [];

#[test]
fn a_short_name_is_beside_the_object() {
    let world = World::default();
    for (host, expected) in [
        ("web", "web.shop.svc.cluster.local"),
        ("web.shop", "web.shop"),
        ("*", "*"),
        ("*.local", "*.local"),
        ("::1", "::1"),
        ("10.0.0.1", "10.0.0.1"),
        ("", ""),
    ] {
        assert_eq!(hostname(&world, "shop", host), expected);
    }
}

#[test]
fn patterns_cover_what_is_below_them() {
    for (pattern, host, expected) in [
        ("a.example.com", "a.example.com", true),
        ("a.example.com", "b.example.com", false),
        ("*.example.com", "a.example.com", true),
        ("*.example.com", "a.b.example.com", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", "aexample.com", false),
        ("*.example.com", ".example.com", false),
        ("*.example.com", "*.example.com", true),
        ("*.example.com", "*.b.example.com", true),
        ("*.b.example.com", "*.example.com", false),
        ("*", "a", true),
        ("*", "*.example.com", true),
    ] {
        assert_eq!(covers(pattern, host), expected, "{pattern} {host}");
    }
    assert_eq!(overlap("*.com", "a.example.com"), Some(Whole));
    assert_eq!(overlap("a.example.com", "*.example.com"), Some(Part));
    assert_eq!(overlap("*.a.example.com", "*.example.com"), Some(Part));
    assert_eq!(overlap("*.example.org", "*.example.com"), None);
    assert_eq!(overlap("*.example.com", "example.com"), None);
}

/// A VirtualService of one rule without a match, which its timeout tells from others.
fn says(namespace: &str, name: &str, host: &str, seconds: u32, more: &str) -> String {
    format!(
        "
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  hosts: ['{host}']
  {more}
  http: [{{timeout: {seconds}s, route: [{{destination: {{host: web.shop.svc.cluster.local, port: {{number: 80}}}}}}]}}]
"
    )
}

fn seconds(routes: Option<HttpRoutes>) -> Vec<u64> {
    let rules = routes.into_iter().flat_map(|it| it.rules);
    rules.map(|it| it.timeout_us / 1_000_000).collect()
}

/// The timeouts of the rules that are in force, in order.
fn in_force(manifest: &str) -> Vec<u64> {
    let world = World::read(&format!("{SERVICE}{manifest}"));
    let table = world.table("web.shop.svc.cluster.local", 80);
    seconds(table.and_then(|it| it.http))
}

#[test]
fn namespaces_of_service_and_waypoint_have_a_say() {
    let host = "web.shop.svc.cluster.local";
    assert_eq!(in_force(&says("shop", "a", "web", 1, "")), [1]);
    assert_eq!(in_force(&says("infra", "a", host, 2, "")), [2]);
    assert_eq!(in_force(&says("istio-system", "a", host, 3, "")), NONE);
    assert_eq!(in_force(&says("qa", "a", host, 4, "")), NONE);
    assert_eq!(in_force(&says("shop", "a", "other", 5, "")), NONE);
}

#[test]
fn exports_are_to_the_namespace_of_the_waypoint() {
    for (export, expected) in [
        ("['*']", vec![1]),
        ("[infra]", vec![1]),
        ("[qa, infra]", vec![1]),
        ("['.']", vec![]),
        ("[qa]", vec![]),
    ] {
        let more = format!("exportTo: {export}");
        assert_eq!(
            in_force(&says("shop", "a", "web", 1, &more)),
            expected,
            "{export}"
        );
    }
    let own = says(
        "infra",
        "a",
        "web.shop.svc.cluster.local",
        1,
        "exportTo: ['.']",
    );
    assert_eq!(in_force(&own), [1]);
}

#[test]
fn gateways_must_name_the_mesh() {
    for (gateways, expected) in [
        ("[mesh]", vec![1]),
        ("[edge, mesh]", vec![1]),
        ("[edge]", vec![]),
    ] {
        let more = format!("gateways: {gateways}");
        assert_eq!(
            in_force(&says("shop", "a", "web", 1, &more)),
            expected,
            "{gateways}"
        );
    }
}

#[test]
fn the_most_specific_host_counts_alone() {
    let name = says("shop", "c", "web", 1, "");
    let near = says("shop", "b", "*.shop.svc.cluster.local", 2, "");
    let far = says("shop", "a", "*.cluster.local", 3, "");
    assert_eq!(in_force(&format!("{far}{near}{name}")), [1]);
    assert_eq!(in_force(&format!("{far}{near}")), [2]);
    assert_eq!(in_force(&far), [3]);
}

#[test]
fn the_oldest_is_first_and_what_matches_everything_last() {
    let manifest = "
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: young, namespace: shop, creationTimestamp: '2024-01-02T00:00:00Z'}
spec:
  hosts: [web]
  http:
  - {timeout: 3s, match: [{uri: {prefix: /young}}], route: [{destination: {host: web}}]}
  - {timeout: 5s, route: [{destination: {host: web}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: old, namespace: shop, creationTimestamp: '2024-01-01T00:00:00Z'}
spec:
  hosts: [web]
  http:
  - {timeout: 1s, match: [{uri: {prefix: /old}}, {uri: {prefix: /}}], route: [{destination: {host: web}}]}
  - {timeout: 2s, match: [{uri: {prefix: /}, headers: {x: {}}}], route: [{destination: {host: web}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: aaa, namespace: shop, creationTimestamp: '2024-01-02T00:00:00Z'}
spec:
  hosts: [web]
  http:
  - {timeout: 4s, match: [{uri: {exact: /}}], route: [{destination: {host: web}}]}
";
    // Of the same age, the first by name is first.
    assert_eq!(in_force(manifest), [1, 2, 4, 3, 1, 5]);
}

#[test]
fn the_port_of_a_match_chooses_the_table() {
    let manifest = "
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http:
  - {timeout: 1s, match: [{port: 80, uri: {exact: /a}}, {port: 82}], route: [{destination: {host: web}}]}
";
    let world = World::read(&format!("{SERVICE}{manifest}"));
    let first = world.table("web.shop.svc.cluster.local", 80).unwrap();
    let rules = first.http.unwrap().rules;
    assert_eq!((rules.len(), rules[0].matches.len()), (1, 1));
    // Without a rule for a port its requests go to the service itself, as in Istio.
    let other = world.table("web.shop.svc.cluster.local", 81).unwrap();
    assert_eq!(other.http, None);
    // The service has no such port.
    assert_eq!(world.table("web.shop.svc.cluster.local", 82), None);
}
