//! What a policy of tokens says, and what is refused.

use std::time::Duration;

use crate::{
    objects::{JwtHeader, JwtKeys, JwtRule, Object, RequestAuthentication, Selector, TargetRef},
    read::testkit::Head,
};

const HEAD: Head = Head("security.istio.io/v1", "RequestAuthentication");
const WARNING: &str =
    "1:1: : without targetRefs it has no effect: ztunnels do not look into requests";

fn good(body: &str) -> RequestAuthentication {
    let Object::RequestAuthentication(policy) = HEAD.good(body) else {
        panic!("another kind")
    };
    (*policy).clone()
}

/// The rules of a policy for a service.
fn rules(rules: &str) -> String {
    format!("spec: {{targetRefs: [{{kind: Service, name: web}}], jwtRules: [{rules}]}}")
}

#[test]
fn every_field_is_read() {
    let policy = good(&rules(
        "{issuer: iss, audiences: [a, b], jwks: '{}', fromHeaders: [{name: X-Token, prefix: 'Bearer '}, {name: y}], fromParams: [p], \
         fromCookies: [c], outputPayloadToHeader: X-P, forwardOriginalToken: true, outputClaimToHeaders: [{header: X-C, claim: a.b}], \
         timeout: 1.5s, spaceDelimitedClaims: [roles]}, {jwksUri: 'http://keys.example:8080/jwks?a=b'}, {issuer: iss}",
    ));
    let list = |values: &[&str]| values.iter().map(|it| (*it).to_owned()).collect();
    let header = |name: &str, prefix: &str| JwtHeader {
        name: name.to_owned(),
        prefix: prefix.to_owned(),
    };
    let by_default = JwtRule {
        issuer: "iss".to_owned(),
        audiences: Vec::new(),
        keys: JwtKeys::Discovery,
        from_headers: Vec::new(),
        from_params: Vec::new(),
        from_cookies: Vec::new(),
        output_payload_to_header: None,
        forward_original_token: false,
        output_claim_to_headers: Vec::new(),
        timeout: Duration::from_secs(5),
        space_delimited_claims: Vec::new(),
    };
    let first = JwtRule {
        issuer: "iss".to_owned(),
        audiences: list(&["a", "b"]),
        keys: JwtKeys::Inline("{}".to_owned()),
        from_headers: vec![header("X-Token", "Bearer "), header("y", "")],
        from_params: list(&["p"]),
        from_cookies: list(&["c"]),
        output_payload_to_header: Some("X-P".to_owned()),
        forward_original_token: true,
        output_claim_to_headers: vec![("X-C".to_owned(), "a.b".to_owned())],
        timeout: Duration::from_millis(1500),
        space_delimited_claims: list(&["roles"]),
    };
    let second = JwtRule {
        issuer: String::new(),
        keys: JwtKeys::Uri("http://keys.example:8080/jwks?a=b".to_owned()),
        ..by_default.clone()
    };
    assert_eq!(policy.rules, [first, second, by_default]);
    let web = TargetRef {
        group: String::new(),
        kind: "Service".to_owned(),
        name: "web".to_owned(),
    };
    assert_eq!((policy.targets, policy.selector), (vec![web], None));
}

#[test]
fn a_policy_that_is_attached_to_no_waypoint_is_warned_of() {
    HEAD.warned(&[
        ("spec: {selector: {matchLabels: {app: web}}}", WARNING),
        ("spec: {jwtRules: [{issuer: x}]}", WARNING),
        ("", WARNING),
        (
            &rules("{issuer: x, jwks: '{}', jwksUri: 'https://a/'}"),
            "4:94: spec.jwtRules[0].jwksUri: no effect beside jwks",
        ),
    ]);
    let (Ok(Object::RequestAuthentication(policy)), _) =
        HEAD.read("spec: {selector: {matchLabels: {app: web}}}")
    else {
        panic!("refused")
    };
    let labels = [("app".to_owned(), "web".to_owned())];
    assert_eq!(policy.selector, Some(Selector(labels.into())));
}

#[test]
fn what_it_is_attached_to_has_to_be_clear() {
    HEAD.refused(&[
        ("spec: {targetRefs: [{kind: Pod, name: a}]}", "4:28: spec.targetRefs[0].kind: found \"Pod\", expected Service, ServiceEntry of networking.istio.io, or Gateway or GatewayClass of gateway.networking.k8s.io"),
        (
            "spec: {selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, name: a}]}",
            "4:18: spec.selector: found a mapping of 1, expected either this or targetRefs",
        ),
        (
            "spec: {targetRefs: [{kind: Service, name: a, namespace: b}]}",
            "4:57: spec.targetRefs[0].namespace: found \"b\", expected none: a policy is attached within its own namespace",
        ),
        ("spec: []", "4:7: spec: found a list of 0, expected a mapping with jwtRules"),
    ]);
}

#[test]
fn what_istio_refuses_is_refused() {
    let cases = [
        (
            "{}",
            "61: spec.jwtRules[0].issuer: missing, expected an issuer, or jwksUri",
        ),
        (
            "{jwks: '{}'}",
            "61: spec.jwtRules[0].issuer: missing, expected an issuer, or jwksUri",
        ),
        (
            "{issuer: a, audiences: ['']}",
            "85: spec.jwtRules[0].audiences[0]: found \"\", expected a text that is not empty",
        ),
        (
            "{issuer: a, jwksUri: 'ftp://a/'}",
            "82: spec.jwtRules[0].jwksUri: found \"ftp://a/\", expected a URL of http or https with a host",
        ),
        (
            "{issuer: a, jwksUri: 'https://me:secret@keys/'}",
            "82: spec.jwtRules[0].jwksUri: found \"https://me:secret@keys/\", expected a URL of http or https with a host",
        ),
        (
            "{issuer: a, jwksUri: '/keys'}",
            "82: spec.jwtRules[0].jwksUri: found \"/keys\", expected a URL of http or https with a host",
        ),
        (
            "{issuer: a, fromHeaders: [{}]}",
            "87: spec.jwtRules[0].fromHeaders[0].name: missing, expected a text that is not empty",
        ),
        (
            "{issuer: a, fromParams: ['']}",
            "86: spec.jwtRules[0].fromParams[0]: found \"\", expected a text that is not empty",
        ),
        (
            "{issuer: a, fromCookies: ['']}",
            "87: spec.jwtRules[0].fromCookies[0]: found \"\", expected a text that is not empty",
        ),
        (
            "{issuer: a, outputClaimToHeaders: [{header: 'a b', claim: c}]}",
            "105: spec.jwtRules[0].outputClaimToHeaders[0].header: found \"a b\", expected the name of a header",
        ),
        (
            "{issuer: a, outputClaimToHeaders: [{header: a}]}",
            "96: spec.jwtRules[0].outputClaimToHeaders[0].claim: missing, expected a text that is not empty",
        ),
        (
            "{issuer: a, timeout: 0s}",
            "82: spec.jwtRules[0].timeout: found \"0s\", expected a duration of whole milliseconds, at least 1ms, such as 1.5s, 10ms or 1h30m",
        ),
    ];
    let cases = cases.map(|(rule, expected)| (rules(rule), format!("4:{expected}")));
    let cases: Vec<_> = cases.iter().map(|(rule, it)| (&**rule, &**it)).collect();
    HEAD.refused(&cases);
}

#[test]
fn a_misspelt_field_of_a_rule_does_not_make_more_tokens_good() {
    let (read, _) = HEAD.read(&rules("{issuer: a, audience: [b]}"));
    let error = read.expect_err("it is refused");
    assert!(
        error.contains("unknown field (did you mean audiences?)"),
        "{error}"
    );
}

#[test]
fn no_text_breaks_the_reader() {
    HEAD.mangled(&rules(
        "{issuer: i, audiences: [a], jwks: '{}', fromHeaders: [{name: x, prefix: y}], outputClaimToHeaders: [{header: x, claim: a.b}], timeout: 1s}",
    ));
}
