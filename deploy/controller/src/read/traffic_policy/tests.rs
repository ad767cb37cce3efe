//! Our own kind: what is filled in, and what is refused.

mod client;
mod limits;

use std::time::Duration;

use crate::{
    objects::{
        Object, TargetRef, TrafficPolicy,
        traffic_policy::{HealthCheck, Probe, StatusRange},
    },
    read::testkit::Head,
};

const HEAD: Head = Head("ambit.dev/v1alpha1", "TrafficPolicy");

fn good(body: &str) -> TrafficPolicy {
    let Object::TrafficPolicy(policy) = HEAD.good(body) else {
        panic!("another kind")
    };
    (*policy).clone()
}

/// What a check of a Service comes to.
fn check(fields: &str) -> HealthCheck {
    let policy = good(&format!(
        "spec: {{targetRefs: [{{kind: Service, name: web}}], healthCheck: {{{fields}}}}}"
    ));
    policy.health_check.expect("a check")
}

fn range(first: u16, last: u16) -> StatusRange {
    StatusRange { first, last }
}

#[test]
fn defaults_are_filled_in() {
    let expected = HealthCheck {
        probe: Probe::Http {
            path: "/".to_owned(),
            host: None,
            expected: vec![range(200, 200)],
        },
        port: None,
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        unhealthy_threshold: 3,
        healthy_threshold: 2,
    };
    assert_eq!(check(""), expected);
    assert_eq!(
        check(
            "protocol: http, path: /, expectedStatuses: [], interval: 10s, timeout: 1000ms, unhealthyThreshold: 3, healthyThreshold: 2"
        ),
        expected
    );
    let probe = |fields| check(fields).probe;
    assert_eq!(probe("protocol: tcp"), Probe::Tcp);
    let grpc = |service: &str| Probe::Grpc {
        service: service.to_owned(),
    };
    assert_eq!(probe("protocol: grpc"), grpc(""));
    assert_eq!(probe("protocol: grpc, service: a.B"), grpc("a.B"));
    // A timeout that nobody asked for does not make an interval wrong.
    assert_eq!(check("interval: 200ms").timeout, Duration::from_millis(200));
}

#[test]
fn every_field_is_read() {
    let policy = good(
        "spec:
  targetRefs:
  - {kind: Service, name: a}
  - {group: networking.istio.io, kind: ServiceEntry, name: b}
  healthCheck: {protocol: http, path: '/healthz?x=y', host: 'h.example:80', port: 8081, expectedStatuses: [204, '300-399', 200-203, 350-400, '599'], interval: 5s, timeout: 500ms, unhealthyThreshold: 1, healthyThreshold: 100}",
    );
    let target = |group: &str, kind: &str, name: &str| TargetRef {
        group: group.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
    };
    assert_eq!(
        policy.targets,
        [
            target("", "Service", "a"),
            target("networking.istio.io", "ServiceEntry", "b")
        ]
    );
    assert_eq!(
        policy.health_check,
        Some(HealthCheck {
            probe: Probe::Http {
                path: "/healthz?x=y".to_owned(),
                host: Some("h.example:80".to_owned()),
                expected: vec![range(200, 204), range(300, 400), range(599, 599)],
            },
            port: Some(8081),
            interval: Duration::from_secs(5),
            timeout: Duration::from_millis(500),
            unhealthy_threshold: 1,
            healthy_threshold: 100,
        })
    );
}

#[test]
fn what_is_not_known_or_not_possible_refuses_it() {
    HEAD.refused(&[
        ("", "1:1: spec: missing, expected a mapping with targetRefs and one of healthCheck, rateLimits, clientAddress"),
        ("spec: {healthCheck: {}}", "4:7: spec.targetRefs: missing, expected a list of at least one reference"),
        ("spec: {targetRefs: [], healthCheck: {}}", "4:20: spec.targetRefs: found a list of 0, expected a list of at least one reference"),
        ("spec: {targetRefs: [{kind: Service, name: a}]}", "4:7: spec.healthCheck: missing, expected something to do: this, rateLimits or clientAddress"),
        ("spec: {targetRefs: [{kind: Service, name: a}], rateLimits: []}", "4:7: spec.healthCheck: missing, expected something to do: this, rateLimits or clientAddress"),
        ("spec: {targetRefs: [{kind: Service, name: a}], rateLimit: []}", "4:48: spec.rateLimit: unknown field (did you mean rateLimits?), expected one of clientAddress, healthCheck, rateLimits, targetRefs"),
        ("spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a}], healthCheck: {}}", "4:95: spec.healthCheck: found a mapping of 0, expected none with a Gateway among targetRefs, which has no endpoints to ask"),
        ("spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: GatewayClass, name: a}], rateLimits: []}", "4:62: spec.targetRefs[0].kind: found \"GatewayClass\", expected Service, ServiceEntry of networking.istio.io, or Gateway of gateway.networking.k8s.io"),
        ("status: {}\nspex: {}", "5:1: spex: unknown field (did you mean spec?), expected one of apiVersion, kind, metadata, spec, status"),
        ("spec: {targetRefs: [{kind: Gateway, name: a}], healthCheck: {}}", "4:28: spec.targetRefs[0].kind: found \"Gateway\", expected Service, ServiceEntry of networking.istio.io, or Gateway of gateway.networking.k8s.io"),
        ("spec: {targetRefs: [{kind: ServiceEntry, name: a}], healthCheck: {}}", "4:28: spec.targetRefs[0].kind: found \"ServiceEntry\", expected Service, ServiceEntry of networking.istio.io, or Gateway of gateway.networking.k8s.io"),
        ("spec: {targetRefs: [{kind: Service, name: a, namespace: b}], healthCheck: {}}", "4:46: spec.targetRefs[0].namespace: unknown field, expected one of group, kind, name"),
        ("spec: {targetRefs: [{kind: Service, name: a}, {kind: Service, name: a, group: core}], healthCheck: {}}", "4:47: spec.targetRefs[1]: found a mapping of 3, expected each target once"),
    ]);
    let checks = [
        (
            "protocol: HTTP",
            "6:27: spec.healthCheck.protocol: found \"HTTP\", expected http or grpc or tcp",
        ),
        (
            "protocol: tcp, path: /",
            "6:38: spec.healthCheck.path: found \"/\", expected none with this protocol",
        ),
        (
            "protocol: grpc, expectedStatuses: [200]",
            "6:51: spec.healthCheck.expectedStatuses: found a list of 1, expected none with this protocol",
        ),
        (
            "service: a",
            "6:26: spec.healthCheck.service: found \"a\", expected none with this protocol",
        ),
        (
            "path: healthz",
            "6:23: spec.healthCheck.path: found \"healthz\", expected a path that begins with /, such as /healthz",
        ),
        (
            "path: '/a b'",
            "6:23: spec.healthCheck.path: found \"/a b\", expected a path: at most 8192 bytes without spaces",
        ),
        (
            "path: '/a#b'",
            "6:23: spec.healthCheck.path: found \"/a#b\", expected a path that begins with /, such as /healthz",
        ),
        (
            "host: 'a/b'",
            "6:23: spec.healthCheck.host: found \"a/b\", expected an authority: a hostname or an address, perhaps with a port",
        ),
        (
            "host: ''",
            "6:23: spec.healthCheck.host: found \"\", expected an authority: a hostname or an address, perhaps with a port",
        ),
        (
            "port: 0",
            "6:23: spec.healthCheck.port: found \"0\", expected a port from 1 to 65535",
        ),
        (
            "interval: 99ms",
            "6:27: spec.healthCheck.interval: found \"99ms\", expected a duration from 100ms to 1h",
        ),
        (
            "interval: 2h",
            "6:27: spec.healthCheck.interval: found \"2h\", expected a duration from 100ms to 1h",
        ),
        (
            "interval: 1",
            "6:27: spec.healthCheck.interval: found \"1\", expected a duration of whole milliseconds, at least 1ms, such as 1.5s, 10ms or 1h30m",
        ),
        (
            "timeout: 11s",
            "6:26: spec.healthCheck.timeout: found \"11s\", expected a duration that is not longer than `interval`",
        ),
        (
            "timeout: 0s",
            "6:26: spec.healthCheck.timeout: found \"0s\", expected a duration of whole milliseconds, at least 1ms, such as 1.5s, 10ms or 1h30m",
        ),
        (
            "unhealthyThreshold: 0",
            "6:37: spec.healthCheck.unhealthyThreshold: found \"0\", expected a whole number from 1 to 100",
        ),
        (
            "healthyThreshold: 101",
            "6:35: spec.healthCheck.healthyThreshold: found \"101\", expected a whole number from 1 to 100",
        ),
        (
            "expectedStatuses: [99]",
            "6:36: spec.healthCheck.expectedStatuses[0]: found \"99\", expected a status code such as 200, or a range such as 200-299, from 100 to 599",
        ),
        (
            "expectedStatuses: ['300-200']",
            "6:36: spec.healthCheck.expectedStatuses[0]: found \"300-200\", expected a status code such as 200, or a range such as 200-299, from 100 to 599",
        ),
        (
            "expectedStatuses: ['200-']",
            "6:36: spec.healthCheck.expectedStatuses[0]: found \"200-\", expected a status code such as 200, or a range such as 200-299, from 100 to 599",
        ),
        (
            "expectedStatuses: 200",
            "6:35: spec.healthCheck.expectedStatuses: found \"200\", expected a list of status codes and ranges of them",
        ),
        (
            "jitter: 1s",
            "6:17: spec.healthCheck.jitter: unknown field, expected one of expectedStatuses, healthyThreshold, host, interval, path, port, protocol, service, timeout, unhealthyThreshold",
        ),
    ];
    for (fields, error) in checks {
        let body = format!(
            "spec:\n  targetRefs: [{{kind: Service, name: a}}]\n  healthCheck: {{{fields}}}"
        );
        HEAD.refused(&[(&body, error)]);
    }
}

#[test]
fn no_text_is_too_strange() {
    HEAD.mangled("spec: {targetRefs: [{kind: Service, name: a}], healthCheck: {protocol: http, path: /a, host: b:1, expectedStatuses: [200-299, 301], interval: 1s, timeout: 10ms, unhealthyThreshold: 2, port: 1}}");
}
