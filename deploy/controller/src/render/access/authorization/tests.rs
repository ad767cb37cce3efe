//! Manifests in, what waypoints are told out.

use wire::{
    proto::waypoint::{Attribute, RouteTable, TextMatch, text_match::Kind},
    xds::Decoder,
};

use super::*;
use crate::{objects::Object, read::authorization::tests::read};

const MESH: Scoping<'static> = Scoping {
    root_namespace: "istio-system",
    trust_domain: "cluster.local",
    trust_domain_aliases: &[],
};

/// The policy `shop/p` of a `spec`, perhaps with annotations.
fn policy(annotations: &str, spec: &str) -> AuthorizationPolicy {
    let (read, _) = read(&format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata: {{name: p, namespace: shop, annotations: {{{annotations}}}}}\nspec: {spec}\n"
    ));
    let Object::AuthorizationPolicy(policy) = read.expect("a policy") else {
        panic!("another kind")
    };
    (*policy).clone()
}

fn of_rule(rule: &str, scoping: &Scoping<'_>) -> Result<Wire, Unenforceable> {
    authorization(&policy("", &format!("{{rules: [{rule}]}}")), scoping, None)
}

/// Each rule as one line: clauses by `;`, matches by `|`, fields by `&`.
fn lines(policy: &Wire) -> Vec<String> {
    let join = |texts: Vec<String>, between: &str| texts.join(between);
    let of_match = |it: &Match| join(it.fields.iter().map(field).collect(), " & ");
    let clause = |it: &Clause| join(it.matches.iter().map(of_match).collect(), " | ");
    let rules = policy.rules.iter();
    rules
        .map(|it| join(it.clauses.iter().map(clause).collect(), "; "))
        .collect()
}

fn field(it: &Field) -> String {
    let attribute = Attribute::try_from(it.attribute).expect("an attribute");
    let text = |it: &TextMatch| match it.kind.as_ref().expect("a kind") {
        Kind::Exact(text) => format!("={text}"),
        Kind::Prefix(text) => format!("{text}*"),
        Kind::Suffix(text) => format!("*{text}"),
        Kind::Present(true) => "*".to_owned(),
        Kind::Present(false) => panic!("never said"),
        Kind::Template(text) => format!("~{text}"),
    };
    let mut values: Vec<String> = it.texts.iter().map(text).collect();
    values.extend(it.blocks.clone());
    values.extend(it.ports.iter().map(ToString::to_string));
    let mut of = vec![it.name.clone()];
    of.extend(it.path.clone());
    of.retain(|it| !it.is_empty());
    let index = if of.is_empty() {
        String::new()
    } else {
        format!("[{}]", of.join("."))
    };
    let not = if it.negate { "!" } else { "" };
    format!(
        "{not}{}{index} {}",
        attribute.as_str_name(),
        values.join(",")
    )
}

#[track_caller]
fn check(rule: &str, expected: &str) {
    let policy = of_rule(rule, &MESH).expect("it can be enforced");
    assert_eq!(lines(&policy), [expected], "{rule}");
    let table = RouteTable {
        service: "shop/web".to_owned(),
        port: 80,
        policies: Some(wire::proto::waypoint::Policies {
            authorization: vec![policy],
            ..Default::default()
        }),
        ..RouteTable::default()
    };
    Decoder::new()
        .route_table(&table)
        .expect("waypoints read it");
}

#[test]
fn every_field_of_a_source_is_a_field_of_one_match() {
    check(
        "{from: [{source: {principals: ['cluster.local/ns/a/sa/x', 'spiffe://td/*', '*/sa/y', '*'], \
         notPrincipals: [p], requestPrincipals: ['iss/*'], notRequestPrincipals: ['*'], namespaces: [a, 'b*', '*c'], notNamespaces: [d], \
         ipBlocks: [10.1.2.3/8], notIpBlocks: [10.0.0.1], remoteIpBlocks: ['fd00::/64'], notRemoteIpBlocks: [1.2.3.4], \
         trustDomains: [td, '*.corp', 'x*'], notTrustDomains: [other]}}]}",
        "SOURCE_PRINCIPAL =cluster.local/ns/a/sa/x,td/*,*/sa/y,* & !SOURCE_PRINCIPAL =p & REQUEST_PRINCIPAL iss/* & \
         !REQUEST_PRINCIPAL * & SOURCE_NAMESPACE =a,b*,*c & !SOURCE_NAMESPACE =d & SOURCE_TRUST_DOMAIN =td,*.corp,x* & \
         !SOURCE_TRUST_DOMAIN =other & SOURCE_IP 10.0.0.0/8 & !SOURCE_IP 10.0.0.1/32 & REMOTE_IP fd00::/64 & \
         !REMOTE_IP 1.2.3.4/32",
    );
    check(
        "{from: [{source: {serviceAccounts: [web, bank/teller], notServiceAccounts: [old]}}]}",
        "SOURCE_SERVICE_ACCOUNT =shop/web,=bank/teller & !SOURCE_SERVICE_ACCOUNT =shop/old",
    );
}

#[test]
fn every_field_of_an_operation_is_a_field_of_one_match() {
    check(
        "{to: [{operation: {hosts: [Example.COM, '*.Shop', 'a:*'], notHosts: [B], ports: ['80', '443'], notPorts: ['81'], \
         methods: [GET, 'P*'], notMethods: [PUT], paths: [/a, '/b/*', '*.png', '*', '/c/{*}/{**}', '/d/{*}'], notPaths: [/e]}}]}",
        "HOST =example.com,*.shop,a:* & !HOST =b & DESTINATION_PORT 80,443 & !DESTINATION_PORT 81 & METHOD =GET,P* & \
         !METHOD =PUT & PATH =/a,/b/*,*.png,*,~/c/{*}/{**},~/d/{*} & !PATH =/e",
    );
}

#[test]
fn a_rule_is_sources_and_operations_and_each_condition() {
    check(
        "{from: [{source: {namespaces: [a]}}, {source: {namespaces: [b]}}], to: [{operation: {paths: [/x]}}, {operation: {paths: [/y]}}], \
         when: [{key: source.namespace, values: [c], notValues: [d]}, {key: remote.ip, notValues: [10.0.0.0/8]}]}",
        "SOURCE_NAMESPACE =a | SOURCE_NAMESPACE =b; PATH =/x | PATH =/y; SOURCE_NAMESPACE =c & !SOURCE_NAMESPACE =d; \
         !REMOTE_IP 10.0.0.0/8",
    );
    check("{}", "");
}

#[test]
fn every_key_of_a_condition_is_an_attribute() {
    for (key, values, expected) in [
        (
            "request.headers[X-Token]",
            "'a*', '*b', c, '*'",
            "HEADER[x-token] a*,*b,=c,*",
        ),
        ("request.headers[Host]", "A.example", "HOST =a.example"),
        (
            "request.headers[:authority]",
            "A.example",
            "HOST =a.example",
        ),
        ("request.headers[:method]", "GET", "METHOD =GET"),
        (
            "source.ip",
            "10.1.2.3, 10.1.0.0/16",
            "SOURCE_IP 10.1.2.3/32,10.1.0.0/16",
        ),
        ("remote.ip", "'fd00::1'", "REMOTE_IP fd00::1/128"),
        ("destination.ip", "10.1.2.3", "DESTINATION_IP 10.1.2.3/32"),
        ("destination.port", "'80', '443'", "DESTINATION_PORT 80,443"),
        ("source.namespace", "a", "SOURCE_NAMESPACE =a"),
        (
            "source.serviceAccount",
            "web, bank/teller",
            "SOURCE_SERVICE_ACCOUNT =shop/web,=bank/teller",
        ),
        ("source.trustDomain", "'*x'", "SOURCE_TRUST_DOMAIN *x"),
        ("source.principal", "'*/sa/x'", "SOURCE_PRINCIPAL */sa/x"),
        (
            "request.auth.principal",
            "'iss/*'",
            "REQUEST_PRINCIPAL iss/*",
        ),
        ("request.auth.audiences", "aud", "AUDIENCES =aud"),
        ("request.auth.presenter", "azp", "PRESENTER =azp"),
        ("request.auth.claims[iss]", "a", "CLAIM[iss] =a"),
        (
            "request.auth.claims[realm][roles]",
            "admin",
            "CLAIM[realm.roles] =admin",
        ),
        (
            "request.auth.claims[https://x/y]",
            "admin",
            "CLAIM[https://x/y] =admin",
        ),
        ("connection.sni", "'*.example'", "SNI *.example"),
        (
            "experimental.envoy.filters.http.ext_authz[tier]",
            "gold, '[silver]'",
            "METADATA[envoy.filters.http.ext_authz.tier] =gold,=silver",
        ),
    ] {
        check(
            &format!("{{when: [{{key: '{key}', values: [{values}]}}]}}"),
            expected,
        );
        let not = format!("!{expected}");
        check(
            &format!("{{when: [{{key: '{key}', notValues: [{values}]}}]}}"),
            &not,
        );
    }
}

#[test]
fn a_condition_on_what_a_waypoint_does_not_know_cannot_be_enforced() {
    for (key, found) in [
        (
            "experimental.envoy.filters.network.mysql_proxy[db.table]",
            "of experimental.envoy.filters only",
        ),
        (
            "experimental.envoy.filters.http.ext_authz_more[a]",
            "of experimental.envoy.filters only",
        ),
        ("request.headers[:path]", "the name of a header"),
        ("request.headers[a b]", "the name of a header"),
        ("request.auth.claims[a]b]", "one of the keys of Istio"),
        ("request.auth.claims[a][]", "one of the keys of Istio"),
        ("request.auth.claims[[a]]", "one of the keys of Istio"),
    ] {
        for list in ["values", "notValues"] {
            let rule = format!("{{}}, {{when: [{{key: '{key}', {list}: [a]}}]}}");
            let error = of_rule(&rule, &MESH).expect_err(key).to_string();
            let start = format!("rules[1].when[0].key: found {key:?}, expected {found}");
            assert!(error.starts_with(&start), "{error}");
        }
    }
}

#[test]
fn parts_without_a_field_hold_for_nothing_and_are_no_rule() {
    for (rule, at) in [
        (
            PolicyRule {
                from: vec![crate::objects::Source::default()],
                ..PolicyRule::default()
            },
            "from[0].source",
        ),
        (
            PolicyRule {
                to: vec![crate::objects::Operation::default()],
                ..PolicyRule::default()
            },
            "to[0].operation",
        ),
        (
            PolicyRule {
                when: vec![crate::objects::Condition {
                    key: "source.ip".to_owned(),
                    ..crate::objects::Condition::default()
                }],
                ..PolicyRule::default()
            },
            "when[0].values",
        ),
    ] {
        let policy = AuthorizationPolicy {
            rules: vec![rule],
            ..AuthorizationPolicy::default()
        };
        let error = authorization(&policy, &MESH, None).expect_err(at);
        let expected = format!("rules[0].{at}: found \"\", expected at least one field");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_principal_of_the_mesh_is_one_by_all_names_of_its_trust_domain() {
    let aliases = ["old-td".to_owned()];
    let scoping = Scoping {
        trust_domain: "td",
        trust_domain_aliases: &aliases,
        ..MESH
    };
    let rule = "{from: [{source: {principals: [cluster.local/ns/a/sa/x, other/ns/a/sa/x], notPrincipals: [old-td/ns/a/sa/y]}}], \
                when: [{key: source.principal, values: [td/ns/a/sa/z]}]}";
    let policy = of_rule(rule, &scoping).expect("it can be enforced");
    assert_eq!(
        lines(&policy),
        [
            "SOURCE_PRINCIPAL =td/ns/a/sa/x,=old-td/ns/a/sa/x,=other/ns/a/sa/x & \
          !SOURCE_PRINCIPAL =td/ns/a/sa/y,=old-td/ns/a/sa/y; SOURCE_PRINCIPAL =td/ns/a/sa/z,=old-td/ns/a/sa/z"
        ]
    );
}

#[test]
fn actions_and_dry_runs_are_told() {
    let dry = "istio.io/dry-run: 'true'";
    for (annotations, spec, action, dry_run, closes) in [
        ("", "{}", AuthorizationAction::Allow, false, true),
        (
            "",
            "{action: DENY, rules: [{}]}",
            AuthorizationAction::Deny,
            false,
            true,
        ),
        (
            "",
            "{action: AUDIT, rules: [{}]}",
            AuthorizationAction::Audit,
            false,
            false,
        ),
        (dry, "{}", AuthorizationAction::Allow, true, false),
        (
            dry,
            "{action: DENY, rules: [{}]}",
            AuthorizationAction::Deny,
            true,
            false,
        ),
        // Anything but a clear yes is a no.
        (
            "istio.io/dry-run: 'yes'",
            "{}",
            AuthorizationAction::Allow,
            false,
            true,
        ),
    ] {
        let policy = policy(annotations, spec);
        let told = authorization(&policy, &MESH, None).expect("it can be enforced");
        assert_eq!((told.namespace.as_str(), told.name.as_str()), ("shop", "p"));
        assert_eq!(told.action(), action, "{spec}");
        assert_eq!(told.dry_run, dry_run, "{annotations} {spec}");
        assert_eq!(can_close(&policy), closes, "{annotations} {spec}");
    }
    // Without rules it allows nothing; with an empty one, everything.
    let rules = |spec| {
        authorization(&policy("", spec), &MESH, None)
            .unwrap()
            .rules
            .len()
    };
    assert_eq!((rules("{}"), rules("{rules: [{}]}")), (0, 1));
}

#[test]
fn custom_asks_and_does_not_run_dry() {
    let spec =
        "{action: CUSTOM, provider: {name: ext}, rules: [{to: [{operation: {paths: [/x]}}]}]}";
    let external = ExternalAuthorization {
        provider: "ext".to_owned(),
        ..ExternalAuthorization::default()
    };
    let told = authorization(&policy("", spec), &MESH, Some(external.clone())).unwrap();
    assert_eq!(told.action(), AuthorizationAction::Custom);
    assert_eq!(
        (told.external, told.rules.len()),
        (Some(external.clone()), 1)
    );
    let dry = policy("istio.io/dry-run: 'true'", spec);
    let error = authorization(&dry, &MESH, Some(external)).expect_err("a dry run");
    assert_eq!(error, Unenforceable::DryRunOfCustom);
    assert!(!can_close(&dry));
}

#[test]
fn custom_is_not_decided_by_what_is_only_known_afterwards() {
    let of = |rule: &str| {
        let spec = format!("{{action: CUSTOM, provider: {{name: ext}}, rules: [{{}}, {rule}]}}");
        let policy = policy("", &spec);
        assert!(can_close(&policy));
        let external = Some(ExternalAuthorization::default());
        authorization(&policy, &MESH, external).map_err(|error| error.to_string())
    };
    let tokens =
        "expected nothing of tokens with the action CUSTOM, which is decided before any is read";
    for key in [
        "request.auth.principal",
        "request.auth.audiences",
        "request.auth.presenter",
        "request.auth.claims[a]",
    ] {
        for values in ["values", "notValues"] {
            let error = of(&format!("{{when: [{{key: '{key}', {values}: [x]}}]}}"));
            let expected = format!("rules[1].when[0].key: found {key:?}, {tokens}");
            assert_eq!(error, Err(expected));
        }
    }
    for list in ["requestPrincipals", "notRequestPrincipals"] {
        let error = of(&format!(
            "{{from: [{{source: {{remoteIpBlocks: [10.0.0.0/8]}}}}, {{source: {{{list}: ['*']}}}}]}}"
        ));
        let expected = format!("rules[1].from[1].source.{list}: found \"*\", {tokens}");
        assert_eq!(error, Err(expected));
    }
    let metadata = "experimental.envoy.filters.http.ext_authz[a]";
    assert_eq!(
        of(&format!("{{when: [{{key: '{metadata}', values: [x]}}]}}")),
        Err(format!(
            "rules[1].when[0].key: found {metadata:?}, expected nothing that an authorizer says with the action CUSTOM, which is decided before it is asked"
        ))
    );
    // Whatever is known of the connection and of the request itself.
    for rule in [
        "{when: [{key: 'request.headers[x]', values: [a]}, {key: remote.ip, values: [10.0.0.1]}]}",
        "{from: [{source: {ipBlocks: [10.0.0.0/8]}}], to: [{operation: {paths: [/a]}}]}",
    ] {
        assert!(of(rule).is_ok(), "{rule}");
    }
    // Other actions come after both.
    let rule = format!(
        "{{from: [{{source: {{requestPrincipals: ['*']}}}}], when: [{{key: 'request.auth.claims[a]', values: [x]}}, {{key: '{metadata}', values: [x]}}]}}"
    );
    assert!(of_rule(&rule, &MESH).is_ok());
}

#[test]
fn a_trust_domain_of_the_mesh_stands_for_all_of_its_names() {
    let aliases = ["old".to_owned(), "older".to_owned()];
    let mesh = Scoping {
        trust_domain: "td",
        trust_domain_aliases: &aliases,
        ..MESH
    };
    let all = "=td,=old,=older";
    for (values, expected) in [
        ("td", all),
        ("older", all),
        ("cluster.local", all),
        ("'td', old", all),
        ("foreign", "=foreign"),
        ("foreign, old", "=foreign,=td,=old,=older"),
        ("'t*'", "t*"),
        ("'*'", "*"),
    ] {
        for (list, not) in [("trustDomains", ""), ("notTrustDomains", "!")] {
            let source = of_rule(
                &format!("{{from: [{{source: {{{list}: [{values}]}}}}]}}"),
                &mesh,
            );
            let expected = format!("{not}SOURCE_TRUST_DOMAIN {expected}");
            assert_eq!(lines(&source.unwrap()), std::slice::from_ref(&expected));
            let list = if not.is_empty() {
                "values"
            } else {
                "notValues"
            };
            let when = of_rule(
                &format!("{{when: [{{key: source.trustDomain, {list}: [{values}]}}]}}"),
                &mesh,
            );
            assert_eq!(lines(&when.unwrap()), [expected]);
        }
    }
    check(
        "{from: [{source: {trustDomains: [td]}}]}",
        "SOURCE_TRUST_DOMAIN =td",
    );
}

#[test]
fn a_star_within_a_text_is_remarked_on() {
    let of = |operation: &str| {
        remarks(&policy(
            "",
            &format!(
                "{{rules: [{{}}, {{to: [{{operation: {{methods: [GET]}}}}, {{operation: {{{operation}}}}}]}}]}}"
            ),
        ))
    };
    for (field, value, more) in [
        ("paths", "/a/*/b", "; {*} is one segment of a path"),
        ("notPaths", "/a/*/b", "; {*} is one segment of a path"),
        ("paths", "/a**", "; {*} is one segment of a path"),
        ("paths", "*/a/*", "; {*} is one segment of a path"),
        ("hosts", "a.*.com", ""),
        ("notHosts", "a.*.com", ""),
    ] {
        assert_eq!(
            of(&format!("{field}: [/x, '{value}']")),
            [format!(
                "rules[1].to[1].operation.{field}: {value:?}: a * is a wildcard only as the first or the last character{more}"
            )]
        );
    }
    for operation in [
        "paths: [/a, '/a/*', '*.png', '*', '/a/{*}/b', '/a/{**}']",
        "hosts: ['*.example.com', 'a.*', '*']",
    ] {
        assert_eq!(of(operation), [""; 0], "{operation}");
    }
}
