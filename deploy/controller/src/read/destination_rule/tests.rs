//! DestinationRules: every field, what is filled in, what is warned of. What is refused: `mistakes`.

mod mistakes;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    objects::{
        DestinationRule, Export, Object, Selector, Share,
        destination_rule::{
            Algorithm, ClientTls, ClientTlsMode, ConnectionPool, ConsistentHash, Cookie,
            Distribute, Failover, H2Upgrade, HashKey, HashTable, Http2Keepalive, HttpPool,
            LoadBalancer, LocalityBalancing, OutlierDetection, PortPolicy, ProxyProtocol,
            RetryBudget, TcpKeepalive, TcpPool, Tunnel, Warmup,
        },
    },
    read::testkit::Head,
};

const HEAD: Head = Head("networking.istio.io/v1", "DestinationRule");

fn rule(body: &str) -> DestinationRule {
    let Object::DestinationRule(rule) = HEAD.good(body) else {
        panic!("another kind")
    };
    (*rule).clone()
}

/// The blocks of a policy.
fn blocks(fields: &str) -> PortPolicy {
    rule(&format!("spec: {{host: a, trafficPolicy: {{{fields}}}}}"))
        .policy
        .any_port
}

fn balancer(fields: &str) -> LoadBalancer {
    let blocks = blocks(&format!("loadBalancer: {{{fields}}}"));
    blocks.load_balancer.expect("a balancer")
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[test]
fn the_rule_around_its_policies_is_read() {
    let read = rule(
        "spec:
  host: '*.Example.com'
  exportTo: ['.']
  workloadSelector: {matchLabels: {app: w}}
  trafficPolicy:
    loadBalancer: {simple: RANDOM}
    portLevelSettings:
    - {port: {number: 80}, loadBalancer: {simple: ROUND_ROBIN}}
    - {port: {number: 81}}
    retryBudget: {percent: 12.5, minRetryConcurrency: 5, budgetInterval: 10s}
    proxyProtocol: {version: V2}
    tunnel: {protocol: POST, targetHost: p.example, targetPort: 3128}
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: all, trafficPolicy: {loadBalancer: {simple: RANDOM}}}",
    );
    assert_eq!(read.host, "*.example.com");
    assert_eq!(read.export_to, BTreeSet::from([Export::Own]));
    assert_eq!(
        read.selector,
        Some(Selector([(text("app"), text("w"))].into()))
    );
    let simple = |algorithm| PortPolicy {
        load_balancer: Some(LoadBalancer {
            algorithm: Some(algorithm),
            ..LoadBalancer::default()
        }),
        ..PortPolicy::default()
    };
    assert_eq!(read.policy.any_port, simple(Algorithm::Random));
    assert_eq!(
        read.policy.ports,
        BTreeMap::from([
            (80, simple(Algorithm::RoundRobin)),
            (81, PortPolicy::default())
        ])
    );
    assert_eq!(
        read.policy.retry_budget,
        Some(RetryBudget {
            share: Share::of_million(125_000),
            min_concurrency: 5,
            interval: seconds(10),
        })
    );
    assert_eq!(read.policy.proxy_protocol, Some(ProxyProtocol::V2));
    assert_eq!(
        read.policy.tunnel,
        Some(Tunnel {
            protocol: text("POST"),
            host: text("p.example"),
            port: 3128
        })
    );
    let [v1, all] = &read.subsets[..] else {
        panic!("{read:?}")
    };
    assert_eq!(
        (&*v1.name, &v1.labels),
        ("v1", &[(text("version"), text("v1"))].into())
    );
    assert_eq!(
        (&*all.name, &all.policy.any_port),
        ("all", &simple(Algorithm::Random))
    );
    assert!(all.labels.is_empty());
}

#[test]
fn algorithms_are_read() {
    for (name, expected) in [
        ("UNSPECIFIED", None),
        ("LEAST_REQUEST", Some(Algorithm::LeastRequest)),
        ("LEAST_CONN", Some(Algorithm::LeastRequest)),
        ("ROUND_ROBIN", Some(Algorithm::RoundRobin)),
        ("RANDOM", Some(Algorithm::Random)),
        ("PASSTHROUGH", Some(Algorithm::Passthrough)),
    ] {
        assert_eq!(balancer(&format!("simple: {name}")).algorithm, expected);
    }
    assert_eq!(balancer(""), LoadBalancer::default());
    let ring = HashTable::Ring { minimum_size: 1024 };
    let cookie = |ttl, path: &str, attributes| {
        HashKey::Cookie(Cookie {
            name: text("c"),
            path: text(path),
            ttl,
            attributes,
        })
    };
    for (fields, key, table) in [
        (
            "httpHeaderName: X-User",
            HashKey::Header(text("x-user")),
            ring,
        ),
        (
            "httpQueryParameterName: User, ringHash: {}",
            HashKey::QueryParameter(text("User")),
            ring,
        ),
        (
            "useSourceIp: true, ringHash: {minimumRingSize: 4096}",
            HashKey::SourceIp,
            HashTable::Ring { minimum_size: 4096 },
        ),
        (
            "httpCookie: {name: c}, maglev: {}",
            cookie(None, "", vec![]),
            HashTable::Maglev { table_size: 65_537 },
        ),
        (
            "httpCookie: {name: c, ttl: 0s, path: /}, maglev: {tableSize: 11}",
            cookie(seconds(0), "/", vec![]),
            HashTable::Maglev { table_size: 11 },
        ),
        (
            "httpCookie: {name: c, ttl: 1h, attributes: [{name: SameSite, value: Lax}, {name: Secure}]}, useSourceIp: false, maglev: {tableSize: 5000011}",
            cookie(
                seconds(3600),
                "",
                vec![(text("SameSite"), text("Lax")), (text("Secure"), text(""))],
            ),
            HashTable::Maglev {
                table_size: 5_000_011,
            },
        ),
    ] {
        assert_eq!(
            balancer(&format!("consistentHash: {{{fields}}}")).algorithm,
            Some(Algorithm::ConsistentHash(ConsistentHash { key, table })),
            "{fields}"
        );
    }
}

#[test]
fn localities_and_warm_up_are_read() {
    let locality = |fields: &str| balancer(&format!("localityLbSetting: {{{fields}}}")).locality;
    assert_eq!(
        locality("enabled: false, distribute: [{from: 'r/z/*', to: {'r/z/*': 80, 'r/y': 20}}]"),
        Some(LocalityBalancing {
            enabled: Some(false),
            distribute: vec![Distribute {
                from: text("r/z/*"),
                to: BTreeMap::from([(text("r/z/*"), 80), (text("r/y"), 20)]),
            }],
            ..LocalityBalancing::default()
        })
    );
    assert_eq!(
        locality(
            "failover: [{from: a, to: b}], failoverPriority: [topology.istio.io/network, 'zone=x']"
        ),
        Some(LocalityBalancing {
            failover: vec![Failover {
                from: text("a"),
                to: text("b")
            }],
            failover_priority: vec![text("topology.istio.io/network"), text("zone=x")],
            ..LocalityBalancing::default()
        })
    );
    assert_eq!(locality(""), Some(LocalityBalancing::default()));
    let warmup = |minimum, aggression| {
        Some(Warmup {
            duration: Duration::from_secs(30),
            minimum: Share::of_million(minimum),
            aggression,
        })
    };
    assert_eq!(
        balancer("warmup: {duration: 30s}").warmup,
        warmup(100_000, 1.0)
    );
    assert_eq!(
        balancer(
            "simple: ROUND_ROBIN, warmup: {duration: 30s, minimumPercent: 5, aggression: 2.5}"
        )
        .warmup,
        warmup(50_000, 2.5)
    );
}

#[test]
fn pools_are_read_and_zero_is_no_number() {
    let pool = |fields: &str| blocks(&format!("connectionPool: {{{fields}}}")).connection_pool;
    assert_eq!(
        pool(
            "tcp: {maxConnections: 10, connectTimeout: 30ms, tcpKeepalive: {probes: 3, time: 2h, interval: 75s}, maxConnectionDuration: 1h, idleTimeout: 0s}"
        ),
        Some(ConnectionPool {
            tcp: TcpPool {
                max_connections: Some(10),
                connect_timeout: Some(Duration::from_millis(30)),
                keepalive: Some(TcpKeepalive {
                    probes: Some(3),
                    time: seconds(7200),
                    interval: seconds(75)
                }),
                max_connection_duration: seconds(3600),
                idle_timeout: Some(Duration::ZERO),
            },
            http: HttpPool::default(),
        })
    );
    assert_eq!(
        pool(
            "http: {http1MaxPendingRequests: 1, http2MaxRequests: 2, maxRequestsPerConnection: 3, maxRetries: 4, idleTimeout: 5s, h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 6, http2KeepAlive: {interval: 7s, timeout: 8s}}"
        ),
        Some(ConnectionPool {
            tcp: TcpPool::default(),
            http: HttpPool {
                max_pending_requests: Some(1),
                max_requests: Some(2),
                max_requests_per_connection: Some(3),
                max_retries: Some(4),
                idle_timeout: seconds(5),
                h2_upgrade: H2Upgrade::Upgrade,
                use_client_protocol: false,
                max_concurrent_streams: Some(6),
                http2_keepalive: Some(Http2Keepalive {
                    interval: seconds(7),
                    timeout: seconds(8)
                }),
            },
        })
    );
    assert_eq!(
        pool(
            "tcp: {maxConnections: 0}, http: {http1MaxPendingRequests: 0, http2MaxRequests: 0, maxRequestsPerConnection: 0, maxRetries: 0, h2UpgradePolicy: DEFAULT}"
        ),
        Some(ConnectionPool::default())
    );
    let http = |fields: &str| pool(&format!("http: {{{fields}}}")).map(|it| it.http);
    assert_eq!(
        http("useClientProtocol: true, h2UpgradePolicy: DO_NOT_UPGRADE")
            .map(|it| (it.use_client_protocol, it.h2_upgrade)),
        Some((true, H2Upgrade::DoNot))
    );
}

#[test]
fn outlier_detection_fills_in_its_defaults() {
    let outlier = |fields: &str| {
        let blocks = blocks(&format!("outlierDetection: {{{fields}}}"));
        blocks.outlier_detection.expect("a block")
    };
    assert_eq!(outlier(""), OutlierDetection::default());
    assert_eq!(
        outlier("maxEjectionPercent: 0, minHealthPercent: 0"),
        OutlierDetection::default()
    );
    assert_eq!(outlier("consecutive5xxErrors: 0").consecutive_5xx, 0);
    assert_eq!(
        outlier(
            "consecutive5xxErrors: 1, consecutiveGatewayErrors: 2, splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 3, interval: 4s, baseEjectionTime: 5s, maxEjectionPercent: 100, minHealthPercent: 50, outlierDetectionHttpErrorCodes: [429, 500]"
        ),
        OutlierDetection {
            consecutive_5xx: 1,
            consecutive_gateway: 2,
            split_local_origin: true,
            consecutive_local_origin: 3,
            interval: Duration::from_secs(4),
            base_ejection_time: Duration::from_secs(5),
            max_ejection_percent: 100,
            min_health_percent: 50,
            error_codes: BTreeSet::from([429, 500]),
        }
    );
    let rule = rule("spec: {host: a, trafficPolicy: {retryBudget: {}}}");
    assert_eq!(rule.policy.retry_budget, Some(RetryBudget::default()));
}

#[test]
fn tls_is_kept_as_it_is_written() {
    assert_eq!(
        blocks("tls: {mode: MUTUAL, clientCertificate: /c, privateKey: /k, caCertificates: /a, caCrl: /r, sni: S.example, subjectAltNames: [n], insecureSkipVerify: true}").tls,
        Some(ClientTls {
            mode: ClientTlsMode::Mutual,
            sni: text("s.example"),
            subject_alt_names: vec![text("n")],
            credential_name: String::new(),
            client_certificate: text("/c"),
            private_key: text("/k"),
            ca_certificates: text("/a"),
            ca_crl: text("/r"),
            insecure_skip_verify: true,
        })
    );
    for (mode, expected) in [
        ("DISABLE", ClientTlsMode::Disable),
        ("SIMPLE", ClientTlsMode::Simple),
        ("ISTIO_MUTUAL", ClientTlsMode::IstioMutual),
        ("MUTUAL, credentialName: x", ClientTlsMode::Mutual),
    ] {
        let tls = blocks(&format!("tls: {{mode: {mode}}}")).tls;
        assert_eq!(tls.map(|it| it.mode), Some(expected));
    }
}

#[test]
fn an_absent_block_and_an_empty_one_differ() {
    assert_eq!(blocks("tls: {}, loadBalancer: null").load_balancer, None);
    assert_eq!(
        blocks("outlierDetection: {}").outlier_detection,
        Some(OutlierDetection::default())
    );
}

#[test]
fn equal_meanings_are_equal() {
    let spec = |fields: &str| format!("spec: {{host: a, trafficPolicy: {{{fields}}}}}");
    for (one, other) in [
        (
            "loadBalancer: {simple: LEAST_CONN}",
            "loadBalancer: {simple: LEAST_REQUEST}",
        ),
        (
            "loadBalancer: {consistentHash: {useSourceIp: true}}",
            "loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 1024}}}",
        ),
        (
            "outlierDetection: {}",
            "outlierDetection: {consecutive5xxErrors: 5, interval: 10000ms, baseEjectionTime: 0.5m}",
        ),
        (
            "connectionPool: {tcp: {}}",
            "connectionPool: {http: {maxRetries: 0}}",
        ),
        (
            "loadBalancer: {warmupDurationSecs: 30s}",
            "loadBalancer: {warmup: {duration: 30s}}",
        ),
        (
            "outlierDetection: {consecutiveErrors: 4}",
            "outlierDetection: {consecutiveGatewayErrors: 4}",
        ),
        (
            "loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 7}}",
            "loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 7}}}",
        ),
    ] {
        HEAD.same(&spec(one), &spec(other));
    }
    HEAD.same(
        "spec: {host: a}",
        "spec: {host: A., subsets: [], trafficPolicy: null}",
    );
}

#[test]
fn what_is_old_or_unknown_is_warned_of() {
    for (fields, warning) in [
        (
            "outlierDetection: {consecutiveErrors: 4}",
            "7:43: spec.trafficPolicy.outlierDetection.consecutiveErrors: deprecated, consecutiveGatewayErrors and consecutive5xxErrors take its place",
        ),
        (
            "outlierDetection: {consecutive5xxError: 4}",
            "7:24: spec.trafficPolicy.outlierDetection.consecutive5xxError: unknown field, ignored (did you mean consecutive5xxErrors?)",
        ),
        (
            "loadBalancer: {warmupDurationSecs: 30s}",
            "7:40: spec.trafficPolicy.loadBalancer.warmupDurationSecs: deprecated, warmup takes its place",
        ),
        (
            "loadBalancer: {simple: RANDOM, warmup: {duration: 30s}}",
            "7:19: spec.trafficPolicy.loadBalancer: warm-up has no effect without LEAST_REQUEST or ROUND_ROBIN",
        ),
        (
            "loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 7}}",
            "7:73: spec.trafficPolicy.loadBalancer.consistentHash.minimumRingSize: deprecated, ringHash.minimumRingSize takes its place",
        ),
        (
            "loadBalancer: {zoneAwareLbSetting: {}}",
            "7:20: spec.trafficPolicy.loadBalancer.zoneAwareLbSetting: unknown field, ignored",
        ),
    ] {
        HEAD.warned(&[(
            &format!("spec:\n  host: a\n  trafficPolicy:\n    {fields}"),
            warning,
        )]);
    }
}

#[test]
fn no_text_is_too_strange() {
    HEAD.mangled("spec: {host: a, trafficPolicy: {loadBalancer: {consistentHash: {httpCookie: {name: c, ttl: 1s}, maglev: {tableSize: 11}}, localityLbSetting: {distribute: [{from: r, to: {r: 100}}]}, warmup: {duration: 1s, minimumPercent: 1.5, aggression: 1.5}}, connectionPool: {tcp: {maxConnections: 1, connectTimeout: 1s}, http: {http2MaxRequests: 3}}, outlierDetection: {consecutive5xxErrors: 1, interval: 1s, outlierDetectionHttpErrorCodes: [500]}, retryBudget: {percent: 1.5}, portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}], proxyProtocol: {version: V1}}, subsets: [{name: v1, labels: {a: b}}]}");
}
