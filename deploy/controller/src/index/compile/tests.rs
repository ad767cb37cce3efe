//! Manifests in, conditions of policies out: what cannot be had of a target is told to whoever attached something to it.

use wire::proto::waypoint::rate_limit::Kind;

use crate::{
    index::{Index, Options},
    objects::Update,
    output::{Output, Resource},
    read::testkit::objects,
};

const WORLD: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/use-waypoint: w}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: w, namespace: shop}
spec: {gatewayClassName: ambit-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}, {name: tcp-db, port: 3306}, {name: anything, port: 99}]}
---
apiVersion: v1
kind: Service
metadata: {name: authz, namespace: infra}
spec: {clusterIP: 10.0.0.9, ports: [{name: http, port: 9000}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |-
    extensionProviders:
    - {name: by-http, envoyExtAuthzHttp: {service: authz.infra.svc.cluster.local, port: 9000}}
    - {name: by-grpc, envoyExtAuthzGrpc: {service: authz.infra.svc.cluster.local, port: 9000}}
---
";

fn apply(index: &mut Index, text: &str) -> Output {
    index.apply(objects(text).into_iter().map(Update::Put).collect())
}

/// `<status> <reason>: <message>` of the object `p`.
fn condition_of_p(output: &Output) -> String {
    let found = output
        .conditions
        .iter()
        .rev()
        .find(|(key, _)| &*key.name == "p");
    let (_, conditions) = found.expect("conditions");
    let told: Vec<_> = conditions
        .iter()
        .map(|it| format!("{} {}: {}", it.status, it.reason, it.message))
        .collect();
    told.join("\n")
}

fn condition(manifest: &str) -> String {
    let mut index = Index::new(Options::default());
    condition_of_p(&apply(&mut index, &format!("{WORLD}{manifest}")))
}

fn policy(spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {{{spec}}}\n"
    )
}

const OF_WEB: &str = "targetRefs: [{kind: Service, group: '', name: web}]";

#[test]
fn ports_that_an_authorizer_cannot_be_asked_about_are_told() {
    let custom = |provider: &str, rules: &str| {
        condition(&policy(&format!(
            "{OF_WEB}, action: CUSTOM, provider: {{name: {provider}}}, rules: [{rules}]"
        )))
    };
    let closed = "true UnsupportedValue: bound to shop/w; connections to port 3306 of Service shop/web that a rule matches are closed: \
                  provider \"by-http\" is asked by HTTP, and only about requests";
    let open = "true Accepted: bound to shop/w";
    assert_eq!(custom("by-http", "{}"), closed);
    let of_paths = "{to: [{operation: {paths: [/a]}}]}";
    assert_eq!(custom("by-http", of_paths), closed);
    assert_eq!(custom("by-grpc", "{}"), open);
    let of_port = |ports: &str| format!("{{to: [{{operation: {{{ports}}}}}]}}");
    assert_eq!(custom("by-http", &of_port("ports: ['80']")), open);
    assert_eq!(custom("by-http", &of_port("notPorts: ['3306']")), open);
    assert_eq!(custom("by-http", &of_port("ports: ['80', '3306']")), closed);
}

#[test]
fn a_gateway_whose_authorizer_cannot_be_asked_about_connections_is_told_without_its_ports() {
    let gateway = "{kind: Gateway, group: gateway.networking.k8s.io, name: w}";
    let custom = |targets: &str, provider: &str, rules: &str| {
        condition(&policy(&format!(
            "targetRefs: [{targets}], action: CUSTOM, provider: {{name: {provider}}}, rules: [{rules}]"
        )))
    };
    let general = "connections to ports behind Gateway w that do not speak HTTP, and that a rule matches, are closed: provider \"by-http\" \
                   is asked by HTTP, and only about requests";
    assert_eq!(
        custom(gateway, "by-http", "{}"),
        format!("true UnsupportedValue: bound to shop/w; {general}")
    );
    let open = "true Accepted: bound to shop/w";
    assert_eq!(custom(gateway, "by-grpc", "{}"), open);
    assert_eq!(custom(gateway, "by-http", ""), open, "nothing is asked");
    // The ports of a service are named all the same.
    let both = format!("{{kind: Service, group: '', name: web}}, {gateway}");
    let text = custom(&both, "by-http", "{}");
    assert!(
        text.contains(general) && text.contains("connections to port 3306 of Service shop/web"),
        "{text}"
    );
}

#[test]
fn custom_by_a_token_closes_and_says_why() {
    let text = condition(&policy(&format!(
        "{OF_WEB}, action: CUSTOM, provider: {{name: by-grpc}}, rules: [{{when: [{{key: 'request.auth.claims[a]', values: [b]}}]}}]"
    )));
    assert_eq!(
        text,
        "false Invalid: rules[0].when[0].key: found \"request.auth.claims[a]\", expected nothing of tokens with the action CUSTOM, which \
         is decided before any is read: every request to Service shop/web is answered with 403 and every connection ended"
    );
}

#[test]
fn a_star_within_a_path_is_told() {
    let text = condition(&policy(&format!(
        "{OF_WEB}, action: DENY, rules: [{{to: [{{operation: {{paths: ['/a/*/b']}}}}]}}]"
    )));
    assert_eq!(
        text,
        "true UnsupportedValue: bound to shop/w; rules[0].to[0].operation.paths: \"/a/*/b\": a * is a wildcard only as the first or the \
         last character; {*} is one segment of a path"
    );
}

#[test]
fn hosts_that_are_those_of_others_are_told_to_policies_of_the_entry() {
    let entry = |name: &str, hosts: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec: {{hosts: [{hosts}], ports: [{{name: http, number: 80, protocol: HTTP}}], resolution: NONE}}\n"
        )
    };
    let target = "targetRefs: [{kind: ServiceEntry, group: networking.istio.io, name: out}]";
    let traffic = "apiVersion: ambit.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {name: p, namespace: shop}\n\
                   spec:\n  targetRefs: [{kind: ServiceEntry, group: networking.istio.io, name: out}]\n  healthCheck: {protocol: tcp}\n";
    let web = "web.shop.svc.cluster.local";
    let manifest = |hosts: &str, policy: &str| format!("{policy}{}", entry("out", hosts));
    assert_eq!(
        condition(&manifest(web, &policy(target))),
        format!(
            "false AncestorNotBound: ServiceEntry shop/out has no host of its own: {web} is that of Service web"
        )
    );
    assert_eq!(
        condition(&manifest(&format!("a.b, {web}"), &policy(target))),
        format!("true Accepted: bound to shop/w, but {web} is that of Service web")
    );
    assert_eq!(
        condition(&manifest("a.b", &policy(target))),
        "true Accepted: bound to shop/w"
    );
    assert_eq!(
        condition(&manifest(web, traffic)),
        format!(
            "false TargetNotFound: ServiceEntry out has no host of its own: {web} is that of Service web"
        )
    );
    // What comes afterwards is told, too.
    let mut index = Index::new(Options::default());
    let before = apply(
        &mut index,
        &format!("{WORLD}{}", manifest("a.b", &policy(target))),
    );
    assert_eq!(condition_of_p(&before), "true Accepted: bound to shop/w");
    let older = entry("older", "a.b").replace(
        "{name: older,",
        "{name: older, creationTimestamp: '2020-01-01T00:00:00Z',",
    );
    let newer = entry("out", "a.b").replace(
        "{name: out,",
        "{name: out, creationTimestamp: '2021-01-01T00:00:00Z',",
    );
    let after = apply(&mut index, &format!("{newer}{older}"));
    assert_eq!(
        condition_of_p(&after),
        "false AncestorNotBound: ServiceEntry shop/out has no host of its own: a.b is that of ServiceEntry older"
    );
}

#[test]
fn a_gateways_limit_is_told_again_when_a_rule_for_many_hosts_closes_its_service() {
    let limit = "apiVersion: ambit.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {name: p, namespace: shop}\nspec:\n  \
                 targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: w}]\n  \
                 rateLimits: [{name: g, global: {domain: d, service: authz.infra.svc.cluster.local, port: 9000}, key: [{identity: true}]}]\n";
    let rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: all, namespace: infra}\n\
                spec: {host: '*.infra.svc.cluster.local', trafficPolicy: {tls: {mode: SIMPLE}}}\n";
    let port = |output: &Output| {
        let limit = output.puts.iter().find_map(|it| match it {
            Resource::Settings(settings, _) => settings.policies.clone()?.rate_limits.pop(),
            Resource::Workload(_)
            | Resource::Service(_)
            | Resource::Authorization(_)
            | Resource::BackendPolicy(_)
            | Resource::RouteTable(..) => None,
        });
        match limit?.kind? {
            Kind::Global(global) => global.backend.map(|it| it.port),
            Kind::Local(_) => None,
        }
    };
    let mut index = Index::new(Options::default());
    assert_eq!(
        port(&apply(&mut index, &format!("{WORLD}{limit}"))),
        Some(9000)
    );
    // Nobody listens where nobody may be asked in the clear.
    assert_eq!(port(&apply(&mut index, rule)), Some(1));
}
