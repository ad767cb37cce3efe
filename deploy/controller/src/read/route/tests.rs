//! Routes of Gateway API: every field, what is filled in, what is warned of. What is refused: `mistakes`.

mod filters;
mod mistakes;

use std::{collections::BTreeSet, time::Duration};

use crate::{
    objects::{
        Object, StringMatch,
        route::{
            Backend, BackendRef, GrantFrom, GrantTo, GrpcMatch, GrpcMethodMatch, GrpcRoute,
            HttpMatch, HttpRoute, HttpRule, L4Backend, ParentRef, PathMatch, ReferenceGrant, Retry,
            Timeouts,
        },
    },
    read::testkit::Head,
};

const HTTP: Head = Head("gateway.networking.k8s.io/v1", "HTTPRoute");
const GRPC: Head = Head("gateway.networking.k8s.io/v1", "GRPCRoute");
const TCP: Head = Head("gateway.networking.k8s.io/v1alpha2", "TCPRoute");
const TLS: Head = Head("gateway.networking.k8s.io/v1alpha3", "TLSRoute");
const GRANT: Head = Head("gateway.networking.k8s.io/v1beta1", "ReferenceGrant");

fn http(body: &str) -> HttpRoute {
    let Object::HttpRoute(route) = HTTP.good(body) else {
        panic!("another kind")
    };
    (*route).clone()
}

fn grpc(body: &str) -> GrpcRoute {
    let Object::GrpcRoute(route) = GRPC.good(body) else {
        panic!("another kind")
    };
    (*route).clone()
}

/// The one rule of an HTTPRoute.
fn rule(fields: &str) -> HttpRule {
    let mut route = http(&format!("spec: {{rules: [{{{fields}}}]}}"));
    route.rules.pop().expect("a rule")
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn exact(value: &str) -> StringMatch {
    StringMatch::Exact(text(value))
}

fn regex(value: &str) -> StringMatch {
    StringMatch::Regex(text(value))
}

fn service(name: &str, port: u16) -> BackendRef {
    BackendRef {
        group: String::new(),
        kind: text("Service"),
        namespace: None,
        name: text(name),
        port: Some(port),
    }
}

#[test]
fn parents_are_read_with_the_defaults_of_the_api() {
    let route = http(
        "spec:
  parentRefs:
  - {name: gw}
  - {group: '', kind: Service, name: web, namespace: shop, port: 80}
  - {group: networking.istio.io, kind: ServiceEntry, name: ext, sectionName: http}
  hostnames: [A.example, '*.b.example']",
    );
    let gateway = ParentRef {
        group: text("gateway.networking.k8s.io"),
        kind: text("Gateway"),
        namespace: None,
        name: text("gw"),
        section: None,
        port: None,
    };
    assert_eq!(
        route.parents,
        [
            gateway.clone(),
            ParentRef {
                group: String::new(),
                kind: text("Service"),
                namespace: Some(text("shop")),
                name: text("web"),
                section: None,
                port: Some(80),
            },
            ParentRef {
                group: text("networking.istio.io"),
                kind: text("ServiceEntry"),
                name: text("ext"),
                section: Some(text("http")),
                ..gateway
            },
        ]
    );
    assert_eq!(route.hostnames, ["a.example", "*.b.example"]);
    // Without rules there is one that matches everything.
    assert_eq!(
        route.rules,
        [HttpRule {
            matches: vec![HttpMatch::default()],
            ..HttpRule::default()
        }]
    );
    assert_eq!(http("spec: {rules: []}").rules, []);
}

#[test]
fn matches_of_http_are_read() {
    let rule = rule(
        "name: r, matches: [{path: {type: Exact, value: /a/}, method: PUT, headers: [{name: X-A, value: b}, {type: RegularExpression, name: y, value: 'c+'}], queryParams: [{name: Q, value: d}]}, {path: {value: /e/}}, {path: {type: RegularExpression, value: '/f.*'}}, {path: {type: PathPrefix, value: /}}, {path: {}}, {}]",
    );
    let path = |path| HttpMatch {
        path,
        ..HttpMatch::default()
    };
    assert_eq!(rule.name, Some(text("r")));
    assert_eq!(
        rule.matches,
        [
            HttpMatch {
                path: PathMatch::Exact(text("/a/")),
                headers: [(text("x-a"), exact("b")), (text("y"), regex("c+"))].into(),
                query_params: [(text("Q"), exact("d"))].into(),
                method: Some(text("PUT")),
            },
            path(PathMatch::Prefix(text("/e"))),
            path(PathMatch::Regex(text("/f.*"))),
            HttpMatch::default(),
            HttpMatch::default(),
            HttpMatch::default(),
        ]
    );
}

#[test]
fn backends_timeouts_and_retries_are_read() {
    let rule = rule(
        "backendRefs: [{name: a, port: 80}, {name: b, port: 81, weight: 0, namespace: c}, {group: networking.istio.io, kind: Hostname, name: d.example}], timeouts: {request: 10s, backendRequest: 2s}, retry: {codes: [500, 503], attempts: 3, backoff: 100ms}",
    );
    let backend = |backend, weight| Backend {
        backend,
        weight,
        filters: vec![],
    };
    assert_eq!(
        rule.backends,
        [
            backend(service("a", 80), 1),
            backend(
                BackendRef {
                    namespace: Some(text("c")),
                    ..service("b", 81)
                },
                0
            ),
            backend(
                BackendRef {
                    group: text("networking.istio.io"),
                    kind: text("Hostname"),
                    namespace: None,
                    name: text("d.example"),
                    port: None,
                },
                1
            ),
        ]
    );
    assert_eq!(
        rule.timeouts,
        Timeouts {
            request: Some(Duration::from_secs(10)),
            backend_request: Some(Duration::from_secs(2)),
        }
    );
    assert_eq!(
        rule.retry,
        Some(Retry {
            codes: BTreeSet::from([500, 503]),
            attempts: Some(3),
            backoff: Some(Duration::from_millis(100)),
        })
    );
    let unlimited = self::rule("timeouts: {request: 0s, backendRequest: 1h}").timeouts;
    assert_eq!(unlimited.request, None);
    assert_eq!(unlimited.backend_request, Some(Duration::from_hours(1)));
    assert_eq!(
        self::rule("timeouts: {}, retry: {}").retry,
        Some(Retry::default())
    );
}

#[test]
fn routes_of_grpc_are_read() {
    let route = grpc(
        "spec:
  parentRefs: [{group: '', kind: Service, name: web}]
  rules:
  - matches:
    - method: {service: a.b.Greeter, method: SayHello}
      headers: [{name: X, value: y}]
    - method: {type: RegularExpression, service: 'a.*'}
    - {}
    backendRefs: [{name: a, port: 1, weight: 2}]
  - {name: all}",
    );
    let method = |service, method| Some(GrpcMethodMatch { service, method });
    assert_eq!(
        route.rules[0].matches,
        [
            GrpcMatch {
                method: method(Some(exact("a.b.Greeter")), Some(exact("SayHello"))),
                headers: [(text("x"), exact("y"))].into(),
            },
            GrpcMatch {
                method: method(Some(regex("a.*")), None),
                ..GrpcMatch::default()
            },
            GrpcMatch::default(),
        ]
    );
    let backend = Backend {
        backend: service("a", 1),
        weight: 2,
        filters: vec![],
    };
    assert_eq!(route.rules[0].backends, [backend]);
    assert_eq!(route.rules[1].matches, [GrpcMatch::default()]);
    assert_eq!(route.rules[1].name, Some(text("all")));
    assert_eq!(grpc("spec: {}").rules, []);
}

#[test]
fn routes_of_layer_4_are_read() {
    let Object::TcpRoute(route) = TCP.good(
        "spec: {parentRefs: [{group: '', kind: Service, name: db, port: 5432}], rules: [{name: r, backendRefs: [{name: a, port: 1, weight: 3}, {name: b, port: 2}]}]}",
    ) else {
        panic!("another kind")
    };
    let backend = |backend, weight| L4Backend { backend, weight };
    assert_eq!(route.parents[0].port, Some(5432));
    assert_eq!(route.rules[0].name, Some(text("r")));
    assert_eq!(
        route.rules[0].backends,
        [backend(service("a", 1), 3), backend(service("b", 2), 1)]
    );
    let Object::TlsRoute(route) = TLS
        .good("spec: {hostnames: ['*.A.example'], rules: [{backendRefs: [{name: a, port: 443}]}]}")
    else {
        panic!("another kind")
    };
    assert_eq!(route.hostnames, ["*.a.example"]);
    assert_eq!(route.rules[0].backends, [backend(service("a", 443), 1)]);
}

#[test]
fn every_version_of_the_api_is_read() {
    for (kind, versions) in [
        ("HTTPRoute", &["v1", "v1beta1"][..]),
        ("GRPCRoute", &["v1", "v1beta1"]),
        ("TCPRoute", &["v1", "v1alpha3", "v1alpha2"]),
        ("TLSRoute", &["v1", "v1alpha3", "v1alpha2"]),
    ] {
        for version in versions {
            let text = format!(
                "apiVersion: gateway.networking.k8s.io/{version}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{rules: [{{}}]}}"
            );
            let part = yaml::parts(&text).next().expect("a document");
            let items = crate::read::document("m.yaml", &part).expect("YAML");
            assert!(
                matches!(items[0].content, crate::read::Content::Good(_)),
                "{items:?}"
            );
        }
    }
}

#[test]
fn a_grant_permits_what_it_names_and_nothing_else() {
    let Object::ReferenceGrant(grant) = GRANT.good(
        "spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: a}], to: [{group: '', kind: Service, name: web}, {group: '', kind: Secret}]}",
    ) else {
        panic!("another kind")
    };
    let to = |kind: &str, name: Option<&str>| GrantTo {
        group: String::new(),
        kind: text(kind),
        name: name.map(text),
    };
    let from = |kind: &str, namespace: &str| GrantFrom {
        group: text("gateway.networking.k8s.io"),
        kind: text(kind),
        namespace: text(namespace),
    };
    let expected = ReferenceGrant {
        meta: grant.meta.clone(),
        from: vec![from("HTTPRoute", "a")],
        to: vec![to("Service", Some("web")), to("Secret", None)],
    };
    assert_eq!(*grant, expected);
    let route = from("HTTPRoute", "a");
    assert!(grant.allows(&route, ("", "Service"), "web"));
    assert!(grant.allows(&route, ("", "Secret"), "any"));
    assert!(!grant.allows(&route, ("", "Service"), "other"));
    assert!(!grant.allows(&route, ("x", "Service"), "web"));
    assert!(!grant.allows(&from("HTTPRoute", "b"), ("", "Service"), "web"));
    assert!(!grant.allows(&from("GRPCRoute", "a"), ("", "Service"), "web"));
}

#[test]
fn equal_meanings_are_equal() {
    for (one, other) in [
        ("{}", "{matches: []}"),
        (
            "{}",
            "{matches: [{path: {type: PathPrefix, value: /}}], filters: null, timeouts: {request: 0s}}",
        ),
        (
            "{matches: [{path: {value: /a}}]}",
            "{matches: [{path: {value: /a/}}]}",
        ),
        (
            "{backendRefs: [{name: a, port: 1}]}",
            "{backendRefs: [{group: '', kind: Service, name: a, port: 1, weight: 1}]}",
        ),
        ("{timeouts: {request: 1m}}", "{timeouts: {request: 60s}}"),
    ] {
        HTTP.same(
            &format!("spec: {{rules: [{one}]}}"),
            &format!("spec: {{rules: [{other}]}}"),
        );
    }
}

#[test]
fn what_has_no_effect_is_warned_of() {
    for (fields, warning) in [
        (
            "sessionPersistence: {type: Cookie}",
            "6:25: spec.rules[0].sessionPersistence: not supported",
        ),
        (
            "matches: [{headers: [{name: A, value: b}, {name: a, value: c}]}]",
            "6:47: spec.rules[0].matches[0].headers[1]: of several with one name only the first has an effect",
        ),
        (
            "filters: [{type: ExtensionRef, extensionRef: {group: g, kind: K, name: n}}]",
            "6:50: spec.rules[0].filters[0].extensionRef: not supported",
        ),
        (
            "timeout: 1s",
            "6:5: spec.rules[0].timeout: unknown field, ignored (did you mean timeouts?)",
        ),
    ] {
        HTTP.warned(&[(&format!("spec:\n  rules:\n  - {fields}"), warning)]);
    }
}

#[test]
fn no_text_is_too_strange() {
    HTTP.mangled("spec: {parentRefs: [{group: '', kind: Service, name: a, port: 80}], hostnames: [a.b], rules: [{name: r, matches: [{path: {type: Exact, value: /a}, headers: [{name: a, value: b}], method: GET}], filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}, fraction: {numerator: 1, denominator: 3}}}, {type: CORS, cors: {allowOrigins: ['https://*.a']}}, {type: URLRewrite, urlRewrite: {hostname: a, path: {type: ReplaceFullPath, replaceFullPath: /b}}}], backendRefs: [{name: a, port: 1, weight: 2, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}]}}]}], timeouts: {request: 1h2m3s, backendRequest: 1ms}, retry: {codes: [500], attempts: 1}}]}");
    GRPC.mangled("spec: {rules: [{matches: [{method: {type: RegularExpression, service: 'a.*', method: b}}], backendRefs: [{name: a, port: 1}]}]}");
    TLS.mangled(
        "spec: {hostnames: [a.b], rules: [{backendRefs: [{name: a, port: 1, weight: 2}]}]}",
    );
    GRANT.mangled(
        "spec: {from: [{group: a.b, kind: C, namespace: d}], to: [{group: '', kind: E, name: f}]}",
    );
}
