//! Manifests in, what waypoints are told out.

use super::*;
use crate::{objects::Object, read::authorization::tests::read};

const JWKS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

fn policy(rules: &str) -> RequestAuthentication {
    let (read, _) = read(&format!(
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: p, namespace: shop}}\n\
         spec: {{targetRefs: [{{kind: Service, name: web}}], jwtRules: [{rules}]}}\n"
    ));
    let Object::RequestAuthentication(policy) = read.expect("a policy") else {
        panic!("another kind")
    };
    (*policy).clone()
}

#[test]
fn every_field_is_told() {
    let told = authentication(&policy(&format!(
        "{{issuer: iss, audiences: [a, b], jwks: '{JWKS}', fromHeaders: [{{name: X-Token, prefix: 'Bearer '}}, {{name: y}}], \
         fromParams: [p], fromCookies: [c], outputPayloadToHeader: X-Payload, forwardOriginalToken: true, \
         outputClaimToHeaders: [{{header: X-Sub, claim: sub}}, {{header: X-Role, claim: realm.role}}], timeout: 1500ms, \
         spaceDelimitedClaims: [roles]}}, {{issuer: two, jwksUri: 'https://keys.example/jwks'}}, {{issuer: 'https://three.example'}}"
    )))
    .expect("it can be enforced");
    let text = str::to_owned;
    let header = |name: &str, prefix: &str| JwtHeader {
        name: text(name),
        prefix: text(prefix),
    };
    let claim = |header: &str, claim: &[&str]| ClaimToHeader {
        header: text(header),
        claim: claim.iter().copied().map(text).collect(),
    };
    let first = WireRule {
        issuer: text("iss"),
        audiences: vec![text("a"), text("b")],
        keys: Some(Keys::Jwks(text(JWKS))),
        from_headers: vec![header("x-token", "Bearer "), header("y", "")],
        from_params: vec![text("p")],
        from_cookies: vec![text("c")],
        output_payload_to_header: text("x-payload"),
        forward_original_token: true,
        output_claim_to_headers: vec![
            claim("x-sub", &["sub"]),
            claim("x-role", &["realm", "role"]),
        ],
        timeout_us: 1_500_000,
        space_delimited_claims: vec![text("roles")],
    };
    let by_default = |issuer: &str, keys| WireRule {
        issuer: text(issuer),
        keys,
        timeout_us: 5_000_000,
        ..WireRule::default()
    };
    let uri = Keys::JwksUri(text("https://keys.example/jwks"));
    assert_eq!((told.namespace.as_str(), told.name.as_str()), ("shop", "p"));
    assert_eq!(
        told.rules,
        [
            first,
            by_default("two", Some(uri)),
            by_default("https://three.example", None)
        ]
    );
}

#[test]
fn what_no_waypoint_can_do_is_not_done_by_halves() {
    for (rule, expected) in [
        (
            "{issuer: a, jwks: nonsense}",
            "jwks: key set is not a JSON object",
        ),
        (
            "{issuer: a, jwks: '[]'}",
            "jwks: key set is not a JSON object",
        ),
        ("{issuer: a, jwks: '{}'}", "jwks: key set has no field keys"),
        (
            "{issuer: a, jwks: '{\"keys\": []}'}",
            "jwks: key set has no key that can be used",
        ),
        (
            "{issuer: a, jwks: '{\"keys\": [{\"kty\": \"RSA\"}]}'}",
            "jwks: key set has no key that can be used",
        ),
        (
            "{jwksUri: 'http://a/'}",
            "issuer: found \"\", expected an issuer",
        ),
        (
            "{issuer: a, fromHeaders: [{name: 'a b'}]}",
            "fromHeaders: found \"a b\", expected the name of a header",
        ),
        (
            "{issuer: a, outputPayloadToHeader: ':path'}",
            "outputPayloadToHeader: found \":path\", expected the name",
        ),
        (
            "{issuer: a, outputPayloadToHeader: Content-Length}",
            "outputPayloadToHeader: found \"content-length\", expected a header that is not of the message's framing",
        ),
        (
            "{issuer: a, outputClaimToHeaders: [{header: Host, claim: b}]}",
            "outputClaimToHeaders: found \"host\", expected a header that is not",
        ),
    ] {
        let rules = format!("{{issuer: fine}}, {rule}");
        let error = authentication(&policy(&rules)).expect_err(rule).to_string();
        let expected = format!("jwtRules[1].{expected}");
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[test]
fn keys_are_not_shown_at_length() {
    let long = "x".repeat(100_000);
    let error = authentication(&policy(&format!("{{issuer: a, jwks: {long}}}")));
    assert!(error.expect_err("no keys").to_string().len() < 200);
}
