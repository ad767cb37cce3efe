//! Policies of layer 7: where they are told, what closes, and what a change of what they name does.

mod world;

use wire::proto::waypoint::{AuthorizationAction, http_rule::Action, weighted_backend::Target};

use crate::{objects::Kind, output::Resource};
use world::{AUTHORIZER, WORLD, World, expected};

const WEB: &str = "shop/web.shop.svc.cluster.local:80";
const WEB_TWO: &str = "shop/web.shop.svc.cluster.local:81";
const OUT: &str = "shop/out.example.com:80";
const OF_WEB: &str = "targetRefs: [{kind: Service, group: '', name: web}]";
const OF_GATEWAY: &str = "targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: w}]";
const OF_CLASS: &str =
    "targetRefs: [{kind: GatewayClass, group: gateway.networking.k8s.io, name: ambit-waypoint}]";
const OF_ENTRY: &str = "targetRefs: [{kind: ServiceEntry, group: networking.istio.io, name: out}]";
const KEYS: &str = r#"jwks: '{"keys": [{"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}'"#;

#[test]
fn policies_are_told_to_what_they_are_attached_to_and_to_nothing_else() {
    let mut world = World::new();
    assert_eq!(world.told(), expected([]));
    world.policy("shop/of-web", "", OF_WEB);
    world.policy("shop/of-web-too", "", OF_WEB);
    world.policy("shop/of-gateway", "", OF_GATEWAY);
    world.policy("istio-system/of-class", "", OF_CLASS);
    world.policy("shop/of-entry", "", OF_ENTRY);
    world.tokens(
        "shop/jwt",
        &format!("{OF_WEB}, jwtRules: [{{issuer: a, {KEYS}}}]"),
    );
    world.tokens("shop/idle", OF_WEB);
    world.tokens(
        "shop/of-gateway",
        &format!("{OF_GATEWAY}, jwtRules: [{{issuer: a}}]"),
    );
    // None of these holds.
    world.policy("shop/of-class", "", OF_CLASS);
    world.policy("other/of-gateway", "", OF_GATEWAY);
    world.policy("other/of-web", "", OF_WEB);
    world.policy("shop/of-labels", "", "selector: {matchLabels: {a: b}}");
    let of_web = "shop/of-web, shop/of-web-too, tokens shop/jwt";
    assert_eq!(
        world.told(),
        expected([
            (WEB, of_web),
            (WEB_TWO, of_web),
            (OUT, "shop/of-entry"),
            (
                "waypoint",
                "istio-system/of-class, shop/of-gateway, tokens shop/of-gateway"
            ),
        ])
    );
    for (kind, name) in [
        (Kind::AuthorizationPolicy, "shop/of-web"),
        (Kind::RequestAuthentication, "shop/jwt"),
        (Kind::AuthorizationPolicy, "shop/of-gateway"),
    ] {
        let bound = (true, "Accepted", "bound to shop/w".to_owned());
        assert_eq!(world.condition(kind, name), bound);
    }
    let of = |name| world.condition(Kind::AuthorizationPolicy, name);
    assert_eq!(of("istio-system/of-class").2, "bound to ambit-waypoint");
    assert_eq!(
        of("shop/of-entry").2,
        "bound to shop/w, but web.shop.svc.cluster.local is that of Service web"
    );
    assert_eq!(
        of("shop/of-class"),
        (
            false,
            "Invalid",
            "AuthorizationPolicy must be in the root namespace `istio-system` when referencing a GatewayClass".to_owned()
        )
    );
    assert_eq!(
        (of("other/of-gateway").1, of("other/of-web").1),
        ("TargetNotFound", "TargetNotFound")
    );
}

#[test]
fn a_target_that_comes_goes_or_loses_its_waypoint_is_told_of() {
    let mut world = World::new();
    world.policy("shop/p", "", OF_WEB);
    world.delete(Kind::Service, "shop", "web");
    assert_eq!(
        world.condition_of_policy(),
        (
            false,
            "TargetNotFound",
            "Service shop/web was not found".to_owned()
        )
    );
    world.put(WORLD);
    assert_eq!(world.condition_of_policy().1, "Accepted");
    world.delete(Kind::Gateway, "shop", "w");
    assert_eq!(
        world.condition_of_policy(),
        (
            false,
            "AncestorNotBound",
            "Service shop/web is not bound to a waypoint".to_owned()
        )
    );
    world.put(&WORLD.replace("ambit-waypoint", "istio-waypoint"));
    assert_eq!(world.condition_of_policy().1, "AncestorNotBound");
    // A class that is not one of waypoints, until it is.
    let class = "targetRefs: [{kind: GatewayClass, group: gateway.networking.k8s.io, name: mine}]";
    world.policy("istio-system/c", "", class);
    let of = |world: &World| {
        world
            .condition(Kind::AuthorizationPolicy, "istio-system/c")
            .1
    };
    assert_eq!(of(&world), "TargetNotFound");
    let object = "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: mine}\nspec: {controllerName: X}\n";
    world.put(&object.replace('X', "example.com/other"));
    assert_eq!(of(&world), "Invalid");
    world.put(&object.replace('X', "istio.io/mesh-controller"));
    assert_eq!(of(&world), "Accepted");
    world.delete(Kind::GatewayClass, "", "mine");
    assert_eq!(of(&world), "TargetNotFound");
}

#[test]
fn custom_is_closed_until_its_authorizer_can_be_asked() {
    let mut world = World::new();
    let custom = |of: &str, provider: &str| {
        format!(
            "{of}, action: CUSTOM, provider: {{name: {provider}}}, rules: [{{to: [{{operation: {{paths: [/admin]}}}}]}}]"
        )
    };
    let closed = "closed by AuthorizationPolicy shop/p";
    world.policy("shop/p", "", &custom(OF_WEB, "ext"));
    assert_eq!(world.told(), expected([(WEB, closed), (WEB_TWO, closed)]));
    assert_eq!(
        world.condition_of_policy(),
        (
            false,
            "Invalid",
            "provider \"ext\": there is no service authz.infra.svc.cluster.local: every request to Service shop/web is \
             answered with 403 and every connection ended"
                .to_owned()
        )
    );
    world.put(AUTHORIZER);
    assert_eq!(
        world.told(),
        expected([(WEB, "shop/p"), (WEB_TWO, "shop/p")])
    );
    assert!(world.condition_of_policy().0);
    let policies = world
        .tables()
        .remove(WEB)
        .and_then(|it| it.policies)
        .unwrap();
    let told = &policies.authorization[0];
    assert_eq!(told.action(), AuthorizationAction::Custom);
    let backend = told.external.clone().and_then(|it| it.backend).unwrap();
    assert_eq!(
        (backend.service.as_str(), backend.port),
        ("infra/authz.infra.svc.cluster.local", 9000)
    );
    // What it needs goes, one by one.
    world.put(&AUTHORIZER.replace("9000", "9001"));
    assert_eq!(world.told()[WEB], closed);
    world.put(AUTHORIZER);
    let tls = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: tls, namespace: infra}\n\
               spec: {host: authz, trafficPolicy: {tls: {mode: SIMPLE}}}\n";
    assert_eq!(world.told()[WEB], "shop/p");
    world.put(tls);
    assert_eq!(world.told()[WEB], closed);
    world.put(&tls.replace("host: authz", "host: '*.svc.cluster.local'"));
    world.delete(Kind::DestinationRule, "infra", "tls");
    assert_eq!(world.told()[WEB], "shop/p");
    world.put(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: ''}\n",
    );
    assert_eq!(world.told()[WEB], closed);
    let message = world.condition_of_policy().2;
    assert!(message.contains("no extensionProvider"), "{message}");
    // For a Gateway, everything that it stands before is closed.
    world.policy("shop/p", "", &custom(OF_GATEWAY, "ext"));
    let all = [
        WEB,
        WEB_TWO,
        OUT,
        "waypoint",
        "shop/far.shop.svc.cluster.local:80",
    ];
    assert_eq!(world.told(), expected(all.map(|it| (it, closed))));
    world.delete(Kind::AuthorizationPolicy, "shop", "p");
    assert_eq!(world.told(), expected([]));
}

#[test]
fn an_authorizer_may_be_a_service_entry_and_is_one_of_the_namespace_that_is_named() {
    let mut world = World::new();
    let entry = |namespace: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: authz, namespace: {namespace}}}\n\
             spec: {{hosts: [authz.example.com], ports: [{{name: http, number: 443, protocol: HTTP}}], resolution: DNS}}\n"
        )
    };
    let spec = format!("{OF_WEB}, action: CUSTOM, provider: {{name: outside}}, rules: [{{}}]");
    world.policy("shop/p", "", &spec);
    world.put(&entry("other"));
    assert!(!world.condition_of_policy().0);
    world.put(&entry("infra"));
    assert!(world.condition_of_policy().0);
    // Without a namespace it would be either.
    world.put(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |-\n    \
         extensionProviders: [{name: outside, envoyExtAuthzHttp: {service: authz.example.com, port: 443}}]\n",
    );
    let (is_accepted, _, message) = world.condition_of_policy();
    assert!(
        !is_accepted && message.contains("several namespaces"),
        "{message}"
    );
    world.delete(Kind::ServiceEntry, "other", "authz");
    assert!(world.condition_of_policy().0);
}

#[test]
fn an_authorizer_that_is_asked_before_itself_is_no_circle() {
    let mut world = World::new();
    world.put(&AUTHORIZER.replace("infra", "shop"));
    world.put(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |-\n    \
         extensionProviders: [{name: ext, envoyExtAuthzGrpc: {service: authz.shop.svc.cluster.local, port: 9000}}]\n",
    );
    let of_authz = "targetRefs: [{kind: Service, group: '', name: authz}]";
    let rest = "action: CUSTOM, provider: {name: ext}, rules: [{}]";
    world.policy("shop/p", "", &format!("{of_authz}, {rest}"));
    world.policy("shop/of-gateway", "", &format!("{OF_GATEWAY}, {rest}"));
    let authz = "shop/authz.shop.svc.cluster.local:9000";
    let open = expected([(authz, "shop/p"), ("waypoint", "shop/of-gateway")]);
    assert_eq!(world.told(), open);
    world.put(&AUTHORIZER.replace("infra", "shop").replace("9000", "9001"));
    assert_eq!(
        world.told()["waypoint"],
        "closed by AuthorizationPolicy shop/of-gateway"
    );
}

#[test]
fn a_policy_that_cannot_be_read_closes_what_it_is_attached_to() {
    let mut world = World::new();
    let unknown = "rules: [{when: [{key: 'request.headers[:path]', values: [/a]}]}]";
    let spec = format!("{OF_WEB}, action: DENY, {unknown}");
    world.policy("shop/p", "", &spec);
    let closed = "closed by AuthorizationPolicy shop/p";
    assert_eq!(world.told(), expected([(WEB, closed), (WEB_TWO, closed)]));
    let (is_accepted, reason, message) = world.condition_of_policy();
    assert!(!is_accepted);
    assert_eq!(reason, "Invalid");
    assert!(
        message.starts_with("rules[0].when[0].key: found \"request.headers[:path]\"")
            && message.ends_with(
                "every request to Service shop/web is answered with 403 and every connection ended"
            ),
        "{message}"
    );
    // One that only looks on closes nothing.
    world.policy("shop/p", "istio.io/dry-run: 'true'", &spec);
    assert_eq!(world.told(), expected([]));
    let message = world.condition_of_policy().2;
    assert!(message.ends_with(": it has no effect"), "{message}");
    world.policy("shop/p", "", &format!("{OF_WEB}, action: AUDIT, {unknown}"));
    assert_eq!(world.told(), expected([]));
    // Keys that are none.
    world.tokens(
        "shop/jwt",
        &format!("{OF_WEB}, jwtRules: [{{issuer: a, jwks: nonsense}}]"),
    );
    let closed = "closed by RequestAuthentication shop/jwt";
    assert_eq!(world.told(), expected([(WEB, closed), (WEB_TWO, closed)]));
    let (is_accepted, reason, message) = world.condition(Kind::RequestAuthentication, "shop/jwt");
    assert_eq!((is_accepted, reason), (false, "Invalid"));
    assert!(
        message.starts_with("jwtRules[0].jwks: key set is not a JSON object"),
        "{message}"
    );
    world.tokens(
        "shop/jwt",
        &format!("{OF_WEB}, jwtRules: [{{issuer: a, {KEYS}}}]"),
    );
    assert_eq!(
        world.told(),
        expected([(WEB, "tokens shop/jwt"), (WEB_TWO, "tokens shop/jwt")])
    );
}

#[test]
fn what_is_closed_is_closed_for_routes_of_others_and_what_is_asked_is_asked_of_those_who_ask_for_it()
 {
    let mut world = World::new();
    world.put(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: shop}\n\
         spec: {hosts: [far], http: [{route: [{destination: {host: web, port: {number: 80}}}]}]}\n",
    );
    let leads_to_web = |world: &World| {
        let table = world.tables().remove("shop/far.shop.svc.cluster.local:80");
        let rule = table.and_then(|it| it.http?.rules.pop()).expect("a rule");
        let Some(Action::Forward(forward)) = rule.action else {
            panic!("{rule:?}");
        };
        matches!(forward.backends[0].target, Some(Target::Backend(_)))
    };
    assert!(leads_to_web(&world));
    world.policy(
        "shop/p",
        "",
        &format!("{OF_WEB}, action: DENY, rules: [{{}}]"),
    );
    assert!(leads_to_web(&world));
    assert_eq!(
        world.told(),
        expected([(WEB, "shop/p"), (WEB_TWO, "shop/p")])
    );
    let custom = "action: CUSTOM, provider: {name: ext}, rules: [{}]";
    world.policy("shop/p", "", &format!("{OF_WEB}, {custom}"));
    assert!(!leads_to_web(&world));
    world.put(AUTHORIZER);
    assert!(leads_to_web(&world));
    world.policy(
        "shop/p",
        "",
        &format!("{OF_GATEWAY}, {}", custom.replace("ext", "nobody")),
    );
    assert!(!leads_to_web(&world));
    world.delete(Kind::AuthorizationPolicy, "shop", "p");
    assert!(leads_to_web(&world));
}

#[test]
fn an_edit_of_a_gateways_policy_is_told_to_the_gateway_alone() {
    let mut world = World::new();
    world.policy("shop/p", "", OF_GATEWAY);
    let output = world.policy("shop/p", "", &format!("{OF_GATEWAY}, rules: [{{}}]"));
    assert!(
        matches!(*output.puts, [Resource::Settings(..)]),
        "{:?}",
        output.puts
    );
    let output = world.policy("shop/q", "", OF_WEB);
    let is_table = |it: &Resource| matches!(it, Resource::RouteTable(..));
    assert_eq!(output.puts.len(), 2);
    assert!(output.puts.iter().all(is_table), "{:?}", output.puts);
}

#[test]
fn trust_domain_aliases_reach_the_waypoint() {
    let mut world = World::new();
    world.policy(
        "shop/p",
        "",
        &format!(
            "{OF_WEB}, rules: [{{from: [{{source: {{principals: [cluster.local/ns/a/sa/b]}}}}]}}]"
        ),
    );
    let principals = |world: &World| {
        let policies = world
            .tables()
            .remove(WEB)
            .and_then(|it| it.policies)
            .unwrap();
        let rule = &policies.authorization[0].rules[0];
        rule.clauses[0].matches[0].fields[0].texts.len()
    };
    assert_eq!(principals(&world), 1);
    world.put(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |-\n    \
         {trustDomain: td, trustDomainAliases: [old, older]}\n",
    );
    assert_eq!(principals(&world), 3);
}
