//! Which block of which DestinationRule is in force.

use wire::proto::waypoint::ProxyProtocol;

use super::world::World;

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop, labels: {istio.io/use-waypoint: w, istio.io/use-waypoint-namespace: infra}}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}, {name: http-two, port: 81}]}
";

/// A DestinationRule that allows so many retries.
fn rule(namespace: &str, name: &str, host: &str, retries: u32, more: &str) -> String {
    format!(
        "
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  host: '{host}'
  {more}
  trafficPolicy: {{connectionPool: {{http: {{maxRetries: {retries}}}}}}}
"
    )
}

/// How many retries are allowed on port 80 of all endpoints of `db`; `None` where nobody says.
fn retries(manifest: &str) -> Option<u32> {
    let world = World::read(&format!("{SERVICE}{manifest}"));
    let facts = world.facts();
    let policies = world.backend_policies(&facts[0]);
    let policy = policies.first()?;
    let of = policy.ports.get(&80).or(policy.policy.as_ref())?;
    of.pool?.max_retries
}

#[test]
fn a_service_without_rules_has_no_policy() {
    assert_eq!(retries(""), None);
    let world = World::read(SERVICE);
    let facts = world.facts();
    assert_eq!(world.backend_policies(&facts[0]), Vec::new());
}

#[test]
fn the_namespace_of_the_waypoint_counts_first_then_the_services_then_the_root() {
    let host = "db.shop.svc.cluster.local";
    let infra = rule("infra", "a", host, 1, "");
    let shop = rule("shop", "a", "db", 2, "");
    let root = rule("istio-system", "a", host, 3, "");
    let other = rule("elsewhere", "a", host, 4, "");
    let all = format!("{root}{other}{shop}{infra}");
    assert_eq!(retries(&all), Some(1));
    assert_eq!(retries(&format!("{root}{other}{shop}")), Some(2));
    assert_eq!(retries(&format!("{root}{other}")), Some(3));
    assert_eq!(retries(&other), None);
}

#[test]
fn a_rule_that_the_waypoint_does_not_know_does_not_count() {
    for (export, expected) in [
        ("['*']", Some(2)),
        ("[infra]", Some(2)),
        ("['.']", None),
        ("[qa]", None),
    ] {
        let shop = rule("shop", "a", "db", 2, &format!("exportTo: {export}"));
        assert_eq!(retries(&shop), expected, "{export}");
    }
    let clients = rule(
        "shop",
        "a",
        "db",
        2,
        "workloadSelector: {matchLabels: {app: a}}",
    );
    assert_eq!(retries(&clients), None);
}

#[test]
fn the_most_specific_host_counts() {
    let name = rule("shop", "b", "db.shop.svc.cluster.local", 1, "");
    let near = rule("shop", "a", "*.shop.svc.cluster.local", 2, "");
    let far = rule("shop", "c", "*.cluster.local", 3, "");
    let not = rule("shop", "d", "*.other.svc.cluster.local", 4, "");
    assert_eq!(retries(&format!("{far}{near}{not}{name}")), Some(1));
    assert_eq!(retries(&format!("{far}{near}{not}")), Some(2));
    assert_eq!(retries(&format!("{far}{not}")), Some(3));
    assert_eq!(retries(&not), None);
}

#[test]
fn several_rules_of_a_host_are_one() {
    let old = "
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: z, namespace: shop, creationTimestamp: '2024-01-01T00:00:00Z'}
spec: {host: db, subsets: [{name: v1, labels: {version: old}}]}
";
    let new = "
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a, namespace: shop, creationTimestamp: '2024-01-02T00:00:00Z'}
spec:
  host: db.shop.svc.cluster.local
  trafficPolicy: {connectionPool: {http: {maxRetries: 5}}}
  subsets: [{name: v1, labels: {version: new}}, {name: v2, labels: {version: v2}}]
---
apiVersion: v1
kind: Pod
metadata: {name: old, namespace: shop, labels: {version: old}}
spec: {nodeName: n, containers: [{name: app, image: app}]}
";
    let world = World::read(&format!("{SERVICE}{old}{new}"));
    let facts = world.facts();
    let policies = world.backend_policies(&facts[0]);
    let names: Vec<_> = policies.iter().map(|it| it.subset.as_str()).collect();
    assert_eq!(names, ["", "v1", "v2"]);
    // The older has no policy, so that of the younger is everybody's.
    let retries = |at: usize| {
        policies[at]
            .policy
            .as_ref()
            .unwrap()
            .pool
            .unwrap()
            .max_retries
    };
    assert_eq!([retries(0), retries(1), retries(2)], [Some(5); 3]);
}

/// Mesh, rule, port of the rule, subset, port of the subset: each sets some blocks.
const BLOCKS: &str = "
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    defaultTrafficPolicy:
      connectionPool: {http: {maxRetries: 1}}
      outlierDetection: {consecutive5xxErrors: 1}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: db, namespace: shop}
spec:
  host: db
  trafficPolicy:
    connectionPool: {tcp: {maxConnections: 2}}
    portLevelSettings:
    - {port: {number: 81}, outlierDetection: {consecutive5xxErrors: 3}}
  subsets:
  - name: own
    labels: {version: v1}
    trafficPolicy:
      outlierDetection: {consecutive5xxErrors: 4}
      portLevelSettings:
      - {port: {number: 80}, connectionPool: {http: {maxRetries: 5}}}
  - {name: none, labels: {version: v2}}
";

#[test]
fn blocks_are_replaced_as_wholes() {
    let world = World::read(&format!("{SERVICE}{BLOCKS}"));
    let facts = world.facts();
    let policies = world.backend_policies(&facts[0]);
    // (subset, port): retries, connections, errors.
    let seen = |subset: &str, port: Option<u32>| {
        let of = policies.iter().find(|it| it.subset == subset).unwrap();
        let port = port.and_then(|it| of.ports.get(&it));
        let policy = port.or(of.policy.as_ref()).unwrap();
        let pool = policy.pool.unwrap();
        let outlier = policy.outlier.as_ref().unwrap();
        (
            pool.max_retries,
            pool.max_connections,
            outlier.consecutive_5xx,
        )
    };
    // The rule's pool replaces all of the mesh's; the mesh's outlier detection stays.
    assert_eq!(seen("", None), (None, Some(2), 1));
    assert_eq!(seen("", Some(80)), (None, Some(2), 1));
    // A port of its own inherits nothing of the rule.
    assert_eq!(seen("", Some(81)), (Some(1), None, 3));
    assert_eq!(seen("own", None), (None, Some(2), 4));
    assert_eq!(seen("own", Some(80)), (Some(5), None, 1));
    // A block of the subset replaces that of the rule's port.
    assert_eq!(seen("own", Some(81)), (Some(1), None, 4));
    assert_eq!(seen("none", Some(80)), (None, Some(2), 1));
    assert_eq!(seen("none", Some(81)), (Some(1), None, 3));
}

#[test]
fn locality_is_weighed_only_where_failures_are_seen() {
    let locality = |balancer: &str, outlier: &str| {
        let rule = format!(
            "
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: db, namespace: shop}}
spec: {{host: db, trafficPolicy: {{loadBalancer: {{simple: RANDOM{balancer}}}{outlier}}}}}
"
        );
        let world = World::read(&format!("{SERVICE}{rule}"));
        let facts = world.facts();
        let policies = world.backend_policies(&facts[0]);
        policies[0].policy.clone().unwrap().locality
    };
    let outlier = ", outlierDetection: {}";
    let failover = ", localityLbSetting: {failover: [{from: eu, to: us}]}";
    let distribute = ", localityLbSetting: {distribute: [{from: eu/*, to: {eu/*: 100}}]}";
    assert_eq!(locality("", ""), None);
    assert_eq!(
        locality("", outlier),
        Some(wire::proto::waypoint::LocalityPolicy::default())
    );
    assert_eq!(locality(failover, ""), None);
    assert_eq!(locality(failover, outlier).unwrap().failover.len(), 1);
    assert_eq!(locality(distribute, "").unwrap().distribute.len(), 1);
    assert_eq!(
        locality(", localityLbSetting: {enabled: false}", outlier),
        None
    );
}

/// What is written before the bytes to a port of all endpoints, or of a subset.
fn headers(spec: &str, subset: &str, port: u32) -> ProxyProtocol {
    let manifest = format!(
        "{SERVICE}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: a, namespace: shop}}
spec: {{host: db, {spec}}}
"
    );
    let world = World::read(&manifest);
    let facts = world.facts();
    let policies = world.backend_policies(&facts[0]);
    let policy = policies.iter().find(|it| it.subset == subset);
    let policy = policy.expect("a policy");
    let of = policy.ports.get(&port).or(policy.policy.as_ref());
    of.expect("of the port").proxy_protocol()
}

#[test]
fn proxy_headers_are_the_subsets_else_the_rules_and_of_all_ports() {
    use ProxyProtocol::{ProxyNone, ProxyV1, ProxyV2};
    let of = |version: &str| format!("{{proxyProtocol: {version}}}");
    // Istio's default is V1.
    for (version, expected) in [
        ("{version: V1}", ProxyV1),
        ("{version: V2}", ProxyV2),
        ("{}", ProxyV1),
    ] {
        let spec = format!("trafficPolicy: {}", of(version));
        assert_eq!(headers(&spec, "", 80), expected, "{version}");
        // A subset that says something else inherits it.
        let spec = format!(
            "{spec}, subsets: [{{name: v1, labels: {{a: b}}, trafficPolicy: {{loadBalancer: {{simple: RANDOM}}}}}}]"
        );
        assert_eq!(headers(&spec, "v1", 80), expected, "{version}");
    }
    let spec = format!(
        "trafficPolicy: {}, subsets: [{{name: v1, labels: {{a: b}}, trafficPolicy: {}}}]",
        of("{version: V1}"),
        of("{version: V2}")
    );
    assert_eq!(headers(&spec, "", 80), ProxyV1);
    assert_eq!(headers(&spec, "v1", 80), ProxyV2);
    let spec = format!(
        "subsets: [{{name: v1, labels: {{a: b}}, trafficPolicy: {}}}]",
        of("{version: V2}")
    );
    assert_eq!(headers(&spec, "", 80), ProxyNone);
    assert_eq!(headers(&spec, "v1", 80), ProxyV2);
    // The blocks of a port are its own; PROXY headers are no block of a port.
    let spec = "trafficPolicy: {proxyProtocol: {version: V2}, portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]}";
    assert_eq!(headers(spec, "", 80), ProxyV2);
    assert_eq!(headers(spec, "", 81), ProxyV2);
    assert_eq!(
        headers("trafficPolicy: {loadBalancer: {simple: RANDOM}}", "", 80),
        ProxyNone
    );
}
