//! `rateLimits`: what is filled in, and what is refused.

use std::{collections::BTreeMap, time::Duration};

use super::{HEAD, good};
use crate::objects::{
    Share, StringMatch,
    route::{HttpMatch, PathMatch},
    traffic_policy::{
        RateLimit,
        limit::{GlobalLimit, LimitKey, LimitKind, LimitValue, TokenBucket},
    },
};

/// The one limit of a Service.
fn limit(fields: &str) -> RateLimit {
    let policy = good(&body(fields));
    let [limit] = <[_; 1]>::try_from(policy.rate_limits).expect("one limit");
    limit
}

fn body(fields: &str) -> String {
    format!(
        "spec:\n  targetRefs: [{{kind: Service, name: a}}]\n  rateLimits: [{{name: x, {fields}}}]"
    )
}

const LOCAL: &str = "local: {requests: 100, interval: 1m}";

fn bucket(max_tokens: u32, tokens_per_fill: u32, fill_interval: Duration) -> LimitKind {
    LimitKind::Local(TokenBucket {
        max_tokens,
        tokens_per_fill,
        fill_interval,
    })
}

fn key(name: &str, value: LimitValue) -> LimitKey {
    LimitKey {
        name: name.to_owned(),
        value,
    }
}

#[test]
fn defaults_are_filled_in() {
    let expected = RateLimit {
        name: "x".to_owned(),
        matches: Vec::new(),
        routes: Vec::new(),
        keys: Vec::new(),
        kind: bucket(100, 100, Duration::from_mins(1)),
        status: 429,
        response_headers: Vec::new(),
        resource_exhausted: false,
        enabled: Share::ALL,
        enforced: Share::ALL,
    };
    assert_eq!(limit(LOCAL), expected);
    assert_eq!(
        limit(
            "local: {requests: 100, interval: 60s, burst: 100}, matches: [], routes: [], key: [], status: 429, responseHeaders: [], grpcStatus: UNAVAILABLE, enabled: 100, enforced: 100.0"
        ),
        expected
    );
    let global = limit("global: {domain: d, service: rls, port: 8081}").kind;
    let expected = GlobalLimit {
        domain: "d".to_owned(),
        service: "rls".to_owned(),
        port: 8081,
        timeout: Duration::from_millis(100),
        fail_closed: false,
    };
    assert_eq!(global, LimitKind::Global(expected));
}

#[test]
fn every_field_is_read() {
    let read = limit(
        "matches: [{path: {type: PathPrefix, value: /api/}, method: POST, headers: [{name: X-A, value: b}]}], \
         routes: [shop.reviews.v1], \
         key: [{header: X-Tenant}, {claim: tenant}, {claim: [realm, id], name: realm}, {identity: true}, {clientAddress: true}, \
               {route: true}, {service: true}, {path: true}], \
         global: {domain: d, service: RLS.infra.svc.cluster.local, port: 1, timeout: 10s, failClosed: true}, \
         status: 503, responseHeaders: [{name: Retry-After, value: '30'}], grpcStatus: RESOURCE_EXHAUSTED, enabled: 50, enforced: 0.5",
    );
    let expected = RateLimit {
        name: "x".to_owned(),
        matches: vec![HttpMatch {
            path: PathMatch::Prefix("/api".to_owned()),
            headers: BTreeMap::from([("x-a".to_owned(), StringMatch::Exact("b".to_owned()))]),
            query_params: BTreeMap::new(),
            method: Some("POST".to_owned()),
        }],
        routes: vec!["shop.reviews.v1".to_owned()],
        keys: vec![
            key("x-tenant", LimitValue::Header("x-tenant".to_owned())),
            key("tenant", LimitValue::Claim(vec!["tenant".to_owned()])),
            key(
                "realm",
                LimitValue::Claim(vec!["realm".to_owned(), "id".to_owned()]),
            ),
            key("source_principal", LimitValue::Identity),
            key("remote_address", LimitValue::ClientAddress),
            key("route", LimitValue::Route),
            key("service", LimitValue::Service),
            key("path", LimitValue::Path),
        ],
        kind: LimitKind::Global(GlobalLimit {
            domain: "d".to_owned(),
            service: "rls.infra.svc.cluster.local".to_owned(),
            port: 1,
            timeout: Duration::from_secs(10),
            fail_closed: true,
        }),
        status: 503,
        response_headers: vec![("retry-after".to_owned(), "30".to_owned())],
        resource_exhausted: true,
        enabled: Share::of_million(500_000),
        enforced: Share::of_million(5_000),
    };
    assert_eq!(read, expected);
    let rest = limit(&format!(
        "key: [{{method: true}}, {{value: v}}, {{claim: [a, b]}}], {LOCAL}"
    ));
    assert_eq!(
        rest.keys,
        [
            key("method", LimitValue::Method),
            key("generic_key", LimitValue::Value("v".to_owned())),
            key(
                "a.b",
                LimitValue::Claim(vec!["a".to_owned(), "b".to_owned()])
            ),
        ]
    );
    assert_eq!(
        limit("local: {requests: 1, interval: 50ms, burst: 7}").kind,
        bucket(7, 1, Duration::from_millis(50))
    );
    let gateway = good(
        "spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: w}], rateLimits: [{name: a, local: {requests: 1, interval: 1s}}, {name: b, local: {requests: 1, interval: 1s}}]}",
    );
    assert_eq!(gateway.rate_limits.len(), 2);
}

#[test]
fn what_is_not_known_or_not_possible_refuses_it() {
    let one_of =
        "one of header, claim, identity, clientAddress, route, service, path, method and value";
    let cases = [
        ("status: 429", "local: missing, expected this or global".to_owned()),
        (&*format!("{LOCAL}, global: {{domain: d, service: s, port: 1}}"), "global: found a mapping of 3, expected either this or local".to_owned()),
        (&*format!("{LOCAL}, burst: 1"), "burst: unknown field, expected one of enabled, enforced, global, grpcStatus, key, local, matches, name, responseHeaders, routes, status".to_owned()),
        ("local: {interval: 1s}", "local.requests: missing, expected a whole number from 1 to 2147483647".to_owned()),
        ("local: {requests: 0, interval: 1s}", "local.requests: found \"0\", expected a whole number from 1 to 2147483647".to_owned()),
        ("local: {requests: 1, interval: 49ms}", "local.interval: found \"49ms\", expected a duration from 50ms to 24h".to_owned()),
        ("local: {requests: 1, interval: 25h}", "local.interval: found \"25h\", expected a duration from 50ms to 24h".to_owned()),
        ("local: {requests: 2, interval: 1s, burst: 1}", "local.burst: found \"1\", expected a number that is not less than `requests`".to_owned()),
        ("local: {requests: 2, interval: 1s, per: pod}", "local.per: unknown field, expected one of burst, interval, requests".to_owned()),
        ("global: {domain: '', service: s, port: 1}", "global.domain: found \"\", expected a text of 1 to 253 bytes without control characters".to_owned()),
        ("global: {domain: d, service: 10.0.0.1, port: 1}", "global.service: found \"10.0.0.1\", expected a hostname such as db.example.com".to_owned()),
        ("global: {domain: d, service: s}", "global.port: missing, expected a mapping with domain, service and port".to_owned()),
        ("global: {domain: d, service: s, port: 1, timeout: 11s}", "global.timeout: found \"11s\", expected a duration from 1ms to 10s".to_owned()),
        ("global: {domain: d, service: s, port: 1, failOpen: true}", "global.failOpen: unknown field, expected one of domain, failClosed, port, service, timeout".to_owned()),
        (&*format!("{LOCAL}, status: 399"), "status: found \"399\", expected a status code from 400 to 599".to_owned()),
        (&*format!("{LOCAL}, grpcStatus: OK"), "grpcStatus: found \"OK\", expected UNAVAILABLE or RESOURCE_EXHAUSTED".to_owned()),
        (&*format!("{LOCAL}, enforced: 101"), "enforced: found \"101\", expected a percentage from 0 to 100, such as 0.5".to_owned()),
        (&*format!("{LOCAL}, key: [{{}}]"), format!("key[0]: found a mapping of 0, expected {one_of}")),
        (&*format!("{LOCAL}, key: [{{header: a, identity: true}}]"), format!("key[0]: found a mapping of 2, expected {one_of}")),
        (&*format!("{LOCAL}, key: [{{identity: false}}]"), "key[0].identity: found \"false\", expected true".to_owned()),
        (&*format!("{LOCAL}, key: [{{header: 'a b'}}]"), "key[0].header: found \"a b\", expected the name of a header: at most 256 letters, digits and the signs !#$%&'*+-.^_`|~".to_owned()),
        (&*format!("{LOCAL}, key: [{{claim: []}}]"), "key[0].claim: found a list of 0, expected the name of a claim, or a list of names that lead to it".to_owned()),
        (&*format!("{LOCAL}, key: [{{cookie: a}}]"), "key[0].cookie: unknown field, expected one of claim, clientAddress, header, identity, method, name, path, route, service, value".to_owned()),
        (&*format!("{LOCAL}, matches: [{{path: {{value: a}}}}]"), "matches[0].path.value: found \"a\", expected a path of at most 1024 bytes that begins with / and has no //, /./, /../, %2f or #".to_owned()),
        (&*format!("{LOCAL}, routes: ['']"), "routes[0]: found \"\", expected the name of a route, as the access log shows it".to_owned()),
        (&*format!("{LOCAL}, responseHeaders: [{{name: Content-Length, value: '1'}}]"), "responseHeaders[0].name: found \"Content-Length\", expected the name of a header that can be changed: not of the message's framing, and of those with a colon only :authority, of a request, and not removed".to_owned()),
        (&*format!("{LOCAL}, responseHeaders: [{{name: a, value: b}}, {{name: A, value: c}}]"), "responseHeaders[1]: found a mapping of 2, expected each header once: their names know no case".to_owned()),
    ];
    for (fields, error) in cases {
        let (read, _) = HEAD.read(&body(fields));
        let text = read.expect_err(fields);
        let (_, text) = text
            .split_once("spec.rateLimits[0].")
            .expect("of the limit");
        assert_eq!(text, error, "{fields}");
    }
    HEAD.refused(&[
        ("spec: {targetRefs: [{kind: Service, name: a}], rateLimits: [{local: {requests: 1, interval: 1s}}]}", "4:61: spec.rateLimits[0].name: missing, expected the name of the limit"),
        ("spec: {targetRefs: [{kind: Service, name: a}], rateLimits: [{name: A, local: {requests: 1, interval: 1s}}]}", "4:68: spec.rateLimits[0].name: found \"A\", expected at most 63 lower-case letters, digits and hyphens, the latter only inside"),
        ("spec: {targetRefs: [{kind: Service, name: a}], rateLimits: [{name: b, local: {requests: 1, interval: 1s}}, {name: b, local: {requests: 1, interval: 1s}}]}", "4:108: spec.rateLimits[1]: found \"b\", which line 4 has already, expected each name of a limit once"),
    ]);
}

#[test]
fn no_text_is_too_strange() {
    HEAD.mangled("spec: {targetRefs: [{kind: Service, name: a}], rateLimits: [{name: x, matches: [{path: {type: Exact, value: /a}}], routes: [r], key: [{header: a}, {claim: [a, b]}, {identity: true}], local: {requests: 5, interval: 1s, burst: 9}, status: 503, enabled: 1.5}, {name: y, global: {domain: d, service: s, port: 1, timeout: 1ms}}]}");
}
