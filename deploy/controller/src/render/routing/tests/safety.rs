//! What cannot be done is refused, or never matches: nothing is open because a word was not understood.

use wire::{
    proto::waypoint::{
        ClaimMatch, HttpRule, RouteTable, http_rule::Action, weighted_backend::Target,
    },
    xds::Decoder,
};

use super::world::World;

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {istio.io/use-waypoint: w}}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}, {name: tcp, port: 81}]}
---
apiVersion: v1
kind: Service
metadata: {name: far, namespace: shop}
spec: {clusterIP: 10.0.0.2, ports: [{name: http, port: 80}]}
";

fn table(manifest: &str, port: u16) -> Option<RouteTable> {
    let world = World::read(&format!("{SERVICE}{manifest}"));
    world.table("web.shop.svc.cluster.local", port)
}

fn virtual_service(body: &str) -> String {
    format!(
        "
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: web, namespace: shop}}
spec:
  hosts: [web]
  {body}
"
    )
}

fn targets(rule: &HttpRule) -> Vec<Target> {
    match rule.action.clone().unwrap() {
        Action::Forward(it) => it.backends.into_iter().filter_map(|it| it.target).collect(),
        other @ (Action::Redirect(_) | Action::Respond(_)) => panic!("{other:?}"),
    }
}

#[test]
fn a_match_on_what_a_waypoint_cannot_know_never_holds() {
    let body =
        "http: [{match: [{sourceLabels: {app: tester}}], route: [{destination: {host: far}}]}]";
    let http = table(&virtual_service(body), 80).unwrap().http;
    // Present and without rules: 404, not the service itself.
    assert_eq!(http.unwrap().rules, Vec::new());
}

#[test]
fn a_namespace_of_clients_has_rules_of_its_own() {
    let body = "http: [{name: qa, match: [{sourceNamespace: qa}], route: [{destination: {host: far}}]}, {name: all, route: [{destination: {host: web}}]}]";
    let table = table(&virtual_service(body), 80).unwrap();
    let names = |it: &wire::proto::waypoint::HttpRoutes| {
        it.rules
            .iter()
            .map(|it| it.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(table.http.as_ref().unwrap()), ["all"]);
    assert_eq!(names(&table.consumers["qa"]), ["qa", "all"]);
    assert_eq!(table.consumers.len(), 1);
}

#[test]
fn connections_of_routes_that_never_hold_are_closed() {
    let body = "tcp: [{match: [{sourceLabels: {app: a}}], route: [{destination: {host: far}}]}]";
    let tcp = table(&virtual_service(body), 81).unwrap().tcp;
    assert_eq!(tcp.len(), 1);
    assert!(matches!(
        tcp[0].backends[0].target,
        Some(Target::Missing(_))
    ));
    // What is about another port is as if it were not there.
    let body = "tcp: [{match: [{port: 99}], route: [{destination: {host: far}}]}]";
    assert!(table(&virtual_service(body), 81).unwrap().tcp.is_empty());
}

#[test]
fn a_delegate_does_nothing() {
    let body = "http: [{match: [{uri: {prefix: /a}}], delegate: {name: other}}, {name: rest, match: [{uri: {prefix: /b}}], route: [{destination: {host: web}}]}]";
    let rules = table(&virtual_service(body), 80)
        .unwrap()
        .http
        .unwrap()
        .rules;
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].name, "rest");
}

#[test]
fn endpoints_that_want_tls_get_nothing_in_the_clear() {
    let rule = |host: &str, policy: &str| {
        format!(
            "
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {host}, namespace: shop}}
spec: {{host: {host}, trafficPolicy: {policy}}}
"
        )
    };
    for (policy, is_enforced) in [
        ("{tls: {mode: SIMPLE}}", false),
        (
            "{tls: {mode: MUTUAL, clientCertificate: /a, privateKey: /b}}",
            false,
        ),
        (
            "{portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]}",
            false,
        ),
        (
            "{portLevelSettings: [{port: {number: 99}, tls: {mode: SIMPLE}}]}",
            true,
        ),
        (
            "{tunnel: {protocol: CONNECT, targetHost: a.example.com, targetPort: 443}}",
            false,
        ),
        ("{proxyProtocol: {version: V2}}", true),
        ("{tls: {mode: ISTIO_MUTUAL}}", true),
        ("{tls: {mode: DISABLE}}", true),
    ] {
        // The service's own: all of it.
        let own = table(&rule("web", policy), 80);
        let unenforced = own.map(|it| it.unenforced).unwrap_or_default();
        let expected: &[&str] = if is_enforced {
            &[]
        } else {
            &["DestinationRule shop/web"]
        };
        assert_eq!(unenforced, expected, "{policy}");
        // Another's: what is sent there.
        let body = "http: [{route: [{destination: {host: far}}]}]";
        let manifest = format!("{}{}", rule("far", policy), virtual_service(body));
        let rules = table(&manifest, 80).unwrap().http.unwrap().rules;
        let is_sent = matches!(targets(&rules[0])[..], [Target::Backend(_)]);
        assert_eq!(is_sent, is_enforced, "{policy}");
    }
}

#[test]
fn a_filter_that_is_not_known_answers_500() {
    let route = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  parentRefs: [{kind: Service, group: '', name: web}]
  rules:
  - filters: [{type: ExtensionRef, extensionRef: {group: a.com, kind: A, name: a}}]
    backendRefs: [{name: web, port: 80}]
  - matches: [{path: {value: /part}}]
    backendRefs:
    - {name: web, port: 80}
    - {name: web, port: 80, filters: [{type: ExtensionRef, extensionRef: {group: a.com, kind: A, name: a}}]}
";
    let rules = table(route, 80).unwrap().http.unwrap().rules;
    let [Target::Backend(_), Target::Missing(missing)] = &targets(&rules[0])[..] else {
        panic!("{:?}", rules[0]);
    };
    assert_eq!(missing.status, 500);
    let Some(Action::Respond(response)) = &rules[1].action else {
        panic!("{:?}", rules[1]);
    };
    assert_eq!(response.status, 500);
}

#[test]
fn a_waypoint_understands_whatever_a_path_is_written_as() {
    for path in ["new", "/ä", "/a#b", "?q", "//x", "/a%"] {
        let body = format!(
            "http: [{{match: [{{uri: {{prefix: /a}}}}], redirect: {{uri: '{path}'}}}}, {{match: [{{uri: {{prefix: /b}}}}], redirect: {{prefixRewrite: '{path}'}}}}, {{rewrite: {{uri: '{path}', authority: a}}, route: [{{destination: {{host: web}}}}]}}]"
        );
        let table = table(&virtual_service(&body), 80).unwrap();
        Decoder::new().route_table(&table).unwrap();
    }
    for path in ["/new", "", "/a", "/"] {
        let full = format!("path: {{type: ReplaceFullPath, replaceFullPath: '{path}'}}");
        let prefix = format!("path: {{type: ReplacePrefixMatch, replacePrefixMatch: '{path}'}}");
        let mut rules = Vec::new();
        for change in [full, prefix] {
            rules.push(format!(
                "{{backendRefs: [{{name: web, port: 80}}], filters: [{{type: URLRewrite, urlRewrite: {{{change}}}}}]}}"
            ));
            rules.push(format!(
                "{{filters: [{{type: RequestRedirect, requestRedirect: {{{change}}}}}]}}"
            ));
        }
        let route = format!(
            "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: web, namespace: shop}}
spec: {{parentRefs: [{{kind: Service, group: '', name: web}}], rules: [{}]}}
",
            rules.join(", ")
        );
        let table = table(&route, 80).unwrap();
        Decoder::new().route_table(&table).unwrap();
    }
}

#[test]
fn claims_of_tokens_are_asked_for_and_are_no_headers() {
    let body = "http: [{match: [{headers: {'@request.auth.claims.group': {exact: dev}, x-a: {}}, withoutHeaders: {'@request.auth.claims[a][b.c]': {}}}], route: [{destination: {host: far}}]}, {route: [{destination: {host: web}}]}]";
    let table = table(&virtual_service(body), 80).unwrap();
    Decoder::new().route_table(&table).unwrap();
    let rules = table.http.unwrap().rules;
    let of = &rules[0].matches[0];
    let headers: Vec<_> = of.headers.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(headers, ["x-a"]);
    let asked = |it: &ClaimMatch| (it.claim.join("/"), it.value.is_some(), it.invert);
    let claims: Vec<_> = of.claims.iter().map(asked).collect();
    assert_eq!(
        claims,
        [
            ("group".to_owned(), true, false),
            ("a/b.c".to_owned(), false, true)
        ]
    );
}
