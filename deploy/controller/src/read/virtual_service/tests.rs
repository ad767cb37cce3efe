//! VirtualServices: every field, what is filled in, what is warned of. What is refused: `mistakes`.

mod actions;
mod mistakes;

use std::collections::BTreeSet;

use crate::{
    objects::{
        Export, HeaderEdit, HeaderEdits, Object, StringMatch, ValueMatches, VirtualService,
        virtual_service::{
            ClaimMatch, Destination, HttpAction, HttpDestination, HttpMatch, HttpRoute, L4Match,
            WeightedDestination,
        },
    },
    read::testkit::Head,
};

const HEAD: Head = Head("networking.istio.io/v1", "VirtualService");

fn service(body: &str) -> VirtualService {
    let Object::VirtualService(service) = HEAD.good(body) else {
        panic!("another kind")
    };
    (*service).clone()
}

/// The one route of HTTP that has these fields beside its destination.
fn route(fields: &str) -> HttpRoute {
    let mut service = service(&format!(
        "spec:\n  hosts: [a]\n  http:\n  - route: [{{destination: {{host: b}}}}]\n{fields}"
    ));
    service.http.pop().expect("a route")
}

/// What is done instead of forwarding.
fn action(fields: &str) -> HttpAction {
    let mut service = service(&format!("spec: {{hosts: [a], http: [{{{fields}}}]}}"));
    service.http.pop().expect("a route").action
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn exact(value: &str) -> StringMatch {
    StringMatch::Exact(text(value))
}

fn prefix(value: &str) -> StringMatch {
    StringMatch::Prefix(text(value))
}

fn regex(value: &str) -> StringMatch {
    StringMatch::Regex(text(value))
}

fn to(host: &str, subset: &str, port: Option<u16>) -> Destination {
    Destination {
        host: text(host),
        subset: text(subset),
        port,
    }
}

fn set(name: &str, value: &str) -> HeaderEdit {
    HeaderEdit {
        set: [(text(name), text(value))].into(),
        ..HeaderEdit::default()
    }
}

#[test]
fn hosts_gateways_and_namespaces_are_read() {
    let read = service(
        "spec:
  hosts: [Reviews, '*.Example.com', 10.0.0.1, 'FD00::1', reviews.shop.svc.cluster.local.]
  gateways: [mesh, istio-ingress/public, local]
  exportTo: ['.', other]
  tcp: [{route: [{destination: {host: b}}]}]",
    );
    assert_eq!(
        read.hosts,
        [
            "reviews",
            "*.example.com",
            "10.0.0.1",
            "fd00::1",
            "reviews.shop.svc.cluster.local"
        ]
    );
    assert_eq!(read.gateways, ["mesh", "istio-ingress/public", "local"]);
    assert!(read.is_for_mesh());
    assert_eq!(
        read.export_to,
        BTreeSet::from([Export::Own, Export::Namespace(text("other"))])
    );
    let read = service(
        "spec: {hosts: ['*'], gateways: [g], exportTo: ['*'], tcp: [{route: [{destination: {host: b}}]}]}",
    );
    assert!(!read.is_for_mesh());
    assert_eq!(read.export_to, BTreeSet::from([Export::All]));
    let read = service("spec: {hosts: [a], tcp: [{route: [{destination: {host: b}}]}]}");
    assert_eq!(
        (read.gateways, read.export_to),
        (vec![text("mesh")], BTreeSet::new())
    );
    // What others delegate to has no hosts.
    let read = service("spec: {http: [{route: [{destination: {host: b}}]}]}");
    assert_eq!(read.hosts, [""; 0]);
}

#[test]
fn every_condition_of_a_match_is_read() {
    let read = route(
        "    name: n
    match:
    - name: m
      uri: {prefix: /a}
      ignoreUriCase: true
      scheme: {exact: https}
      method: {regex: GET|PUT}
      authority: {exact: h}
      headers: {X-A: {exact: b}, Y: {}}
      withoutHeaders: {Z: {prefix: c}}
      queryParams: {Q: {regex: d+}, r: {}}
      port: 80
      sourceLabels: {app: e}
      sourceNamespace: f
      gateways: [mesh]
      statPrefix: g
    - {}
    - {uri: {}, port: 0, sourceNamespace: '', headers: {}}",
    );
    let values = |values: &[(&str, Option<StringMatch>)]| -> ValueMatches {
        values
            .iter()
            .map(|(name, it)| (text(name), it.clone()))
            .collect()
    };
    let first = HttpMatch {
        name: text("m"),
        uri: Some(prefix("/a")),
        ignore_uri_case: true,
        scheme: Some(exact("https")),
        method: Some(regex("GET|PUT")),
        authority: Some(exact("h")),
        headers: values(&[("x-a", Some(exact("b"))), ("y", None)]),
        without_headers: values(&[("z", Some(prefix("c")))]),
        claims: Vec::new(),
        query_params: values(&[("Q", Some(regex("d+"))), ("r", None)]),
        port: Some(80),
        source_labels: [(text("app"), text("e"))].into(),
        source_namespace: text("f"),
        gateways: vec![text("mesh")],
        stat_prefix: text("g"),
    };
    assert_eq!(read.name, "n");
    assert_eq!(
        read.matches,
        [first, HttpMatch::default(), HttpMatch::default()]
    );
}

#[test]
fn destinations_have_weights_that_mean_something() {
    let destinations = |list: &str| action(&format!("route: [{list}]"));
    let one = |host: &str, weight| HttpDestination {
        destination: to(host, "", None),
        weight,
        headers: HeaderEdits::default(),
    };
    for alone in ["", ", weight: 0", ", weight: 7"] {
        assert_eq!(
            destinations(&format!("{{destination: {{host: a}}{alone}}}")),
            HttpAction::Route(vec![one("a", 100)])
        );
    }
    assert_eq!(
        destinations(
            "{destination: {host: a}, weight: 90}, {destination: {host: B.c}, weight: 10}, {destination: {host: d}}"
        ),
        HttpAction::Route(vec![one("a", 90), one("b.c", 10), one("d", 0)])
    );
    assert_eq!(
        destinations(
            "{destination: {host: a, subset: v1, port: {number: 80}}, headers: {response: {set: {x: y}}}}"
        ),
        HttpAction::Route(vec![HttpDestination {
            destination: to("a", "v1", Some(80)),
            weight: 100,
            headers: HeaderEdits {
                response: set("x", "y"),
                ..HeaderEdits::default()
            },
        }])
    );
}

#[test]
fn claims_of_tokens_are_read_among_headers() {
    let read = route(
        "    match:
    - headers: {'@request.auth.claims.Group': {exact: Dev}, '@request.auth.claims[realm][https://x.y/z]': {}, X-A: {exact: b}}
      withoutHeaders: {'@Request.Auth.Claims.a.b': {prefix: c}}",
    );
    let claim = |names: &[&str], value, invert| ClaimMatch {
        claim: names.iter().map(|it| text(it)).collect(),
        value,
        invert,
    };
    assert_eq!(
        read.matches[0].claims,
        [
            claim(&["Group"], Some(exact("Dev")), false),
            claim(&["realm", "https://x.y/z"], None, false),
            claim(&["a", "b"], Some(prefix("c")), true),
        ]
    );
    let headers: Vec<_> = read.matches[0].headers.keys().collect();
    assert_eq!(headers, ["x-a"]);
    assert_eq!(read.matches[0].without_headers.len(), 0);
}

#[test]
fn routes_of_tls_and_tcp_are_read() {
    let read = service(
        "spec:
  hosts: [a]
  tls:
  - match: [{sniHosts: [A.example, '*.b'], destinationSubnets: [10.0.0.0/8], port: 443, sourceLabels: {a: b}, sourceNamespace: c, gateways: [mesh]}]
    route: [{destination: {host: c}}]
  tcp:
  - match: [{port: 1, sourceSubnet: 10.1.2.3/16, destinationSubnets: [10.0.0.1]}, {}]
    route: [{destination: {host: d}, weight: 1}, {destination: {host: e}, weight: 3}]",
    );
    let range = |text: &str| text.parse::<ipnet::IpNet>().expect("a range");
    let destination = |host: &str, weight| WeightedDestination {
        destination: to(host, "", None),
        weight,
    };
    assert_eq!(
        read.tls[0].matches,
        [L4Match {
            sni_hosts: BTreeSet::from([text("a.example"), text("*.b")]),
            destination_subnets: BTreeSet::from([range("10.0.0.0/8")]),
            port: Some(443),
            source_labels: [(text("a"), text("b"))].into(),
            source_namespace: text("c"),
            source_subnet: None,
            gateways: vec![text("mesh")],
        }]
    );
    assert_eq!(read.tls[0].destinations, [destination("c", 100)]);
    assert_eq!(
        read.tcp[0].matches,
        [
            L4Match {
                destination_subnets: BTreeSet::from([range("10.0.0.1/32")]),
                port: Some(1),
                source_subnet: Some(range("10.1.0.0/16")),
                ..L4Match::default()
            },
            L4Match::default()
        ]
    );
    assert_eq!(
        read.tcp[0].destinations,
        [destination("d", 1), destination("e", 3)]
    );
}

#[test]
fn equal_meanings_are_equal() {
    let spec = |fields: &str| {
        format!("spec: {{hosts: [a], http: [{{route: [{{destination: {{host: b}}}}], {fields}}}]}}")
    };
    for (one, other) in [
        ("", "timeout: 0s, mirrors: [], match: null, fault: null"),
        ("timeout: 90s", "timeout: 1m30s"),
        (
            "match: [{headers: {X: {exact: a}}}]",
            "match: [{headers: {x: {exact: a}}, uri: {}}]",
        ),
        (
            "mirror: {host: c}",
            "mirrors: [{destination: {host: C}, percentage: {value: 100.0}}]",
        ),
        (
            "retries: {attempts: 1, retryOn: '500,reset'}",
            "retries: {attempts: 1, retryOn: 'reset, 500,retriable-status-codes'}",
        ),
        (
            "headers: {request: {set: {Host: c}}}",
            "headers: {request: {set: {':authority': c}}}",
        ),
    ] {
        HEAD.same(&spec(one), &spec(other));
    }
    HEAD.same(
        "spec: {hosts: [A.], tcp: [{route: [{destination: {host: b}}]}]}",
        "spec: {hosts: [a], gateways: [mesh], tcp: [{route: [{destination: {host: b}, weight: 5}]}]}",
    );
}

#[test]
fn what_has_no_effect_is_warned_of() {
    let spec = |fields: &str| {
        format!(
            "spec:\n  hosts: [a]\n  http:\n  - route: [{{destination: {{host: b}}}}]\n    {fields}"
        )
    };
    for (fields, warning) in [
        (
            "match: [{uri: {regex: a}, ignoreUriCase: true}]",
            "8:46: spec.http[0].match[0].ignoreUriCase: no effect with a regex, of which (?i) ignores case",
        ),
        (
            "fault: {delay: {fixedDelay: 1s}}",
            "8:20: spec.http[0].fault.delay: no effect without percentage",
        ),
        (
            "fault: {delay: {fixedDelay: 1s, percent: 5}}",
            "8:46: spec.http[0].fault.delay.percent: deprecated, percentage takes its place",
        ),
        (
            "mirrorPercent: 5",
            "8:20: spec.http[0].mirrorPercent: deprecated, mirrorPercentage takes its place",
        ),
        (
            "corsPolicy: {allowOrigin: ['*']}",
            "8:32: spec.http[0].corsPolicy.allowOrigin[0]: deprecated, allowOrigins takes its place",
        ),
        (
            "timout: 1s",
            "8:5: spec.http[0].timout: unknown field, ignored (did you mean timeout?)",
        ),
        (
            "retries: {attempts: 1, retryon: 5xx}",
            "8:28: spec.http[0].retries.retryon: unknown field, ignored (did you mean retryOn?)",
        ),
    ] {
        HEAD.warned(&[(&spec(fields), warning)]);
    }
}

#[test]
fn no_text_is_too_strange() {
    HEAD.mangled("spec: {hosts: [a], gateways: [mesh], exportTo: ['.'], http: [{name: n, match: [{uri: {prefix: /a}, headers: {x: {regex: 'a+'}}, port: 80}], route: [{destination: {host: b, subset: v1, port: {number: 80}}, weight: 10}, {destination: {host: c}, weight: 90}], rewrite: {uriRegexRewrite: {match: '(a)', rewrite: '\\1'}}, timeout: 1.5s, retries: {attempts: 2, retryOn: '5xx,409', perTryTimeout: 1s}, fault: {abort: {grpcStatus: OK, percentage: {value: 0.5}}}, mirrors: [{destination: {host: d}}], corsPolicy: {allowOrigins: [{exact: a}], maxAge: 1s}, headers: {request: {set: {a: b}}}}, {directResponse: {status: 200, body: {bytes: Zm9v}}}, {redirect: {uri: /x}}], tls: [{match: [{sniHosts: [a]}], route: [{destination: {host: b}}]}], tcp: [{match: [{sourceSubnet: 10.0.0.0/8}], route: [{destination: {host: b}}]}]}");
}
