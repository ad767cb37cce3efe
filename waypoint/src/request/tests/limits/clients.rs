//! Limits that tell clients apart by what is proven of them: a verified token, the word of a trusted proxy.

use mesh::access::{
    ClientAddress, RequestAuthentication,
    authorization::TextMatch,
    jwt::{JwtRule, KeySource},
};
use serde_json::json;

use super::*;
use crate::access::keys::testkit::{Signer, set};

const ISSUER: &str = "https://issuer.example";

#[tokio::test]
async fn claims_of_a_verified_token_tell_requests_apart() {
    let signer = Signer::new("k");
    let rule = JwtRule {
        issuer: ISSUER.into(),
        audiences: Vec::new(),
        keys: KeySource::Inline(set(&[&signer]).into()),
        from_headers: Vec::new(),
        from_params: Vec::new(),
        from_cookies: Vec::new(),
        output_payload_to_header: None,
        forward_original_token: false,
        output_claim_to_headers: Vec::new(),
        timeout: PATIENCE,
        space_delimited_claims: Vec::new(),
    };
    let authentication = RequestAuthentication {
        key: mesh::PolicyKey::new("default", "jwt"),
        rules: vec![rule],
    };
    let limit = RateLimit {
        keys: vec![key(
            "tenant",
            LimitValue::Claim(vec!["org".into(), "id".into()]),
        )],
        ..local("tenant", 2)
    };
    let plan = Plan {
        table: Some(RouteTable {
            policies: Policies {
                authentication: vec![Arc::new(authentication)],
                ..policies(vec![limit])
            },
            ..table(vec![forward()])
        }),
        ..Plan::default()
    };
    let kit = Kit::new(&[endpoint().await], plan);
    let bearer = |signer: &Signer, org: serde_json::Value| {
        let claims = json!({"iss": ISSUER, "sub": "alice", "exp": 4_000_000_000_u64, "org": org});
        format!("Bearer {}", signer.sign(&claims))
    };
    let of = |org| bearer(&signer, org);
    for (org, expected) in [
        (json!({"id": "a"}), [200, 200, 429]),
        (json!({"id": "b"}), [200, 200, 429]),
        (json!({"id": ["a", "b"]}), [200, 200, 429]),
        // It lacks the claim, so the limit is not for it.
        (json!({}), [200, 200, 200]),
        (json!({"id": 7}), [200, 200, 200]),
    ] {
        let token = of(org.clone());
        let statuses = statuses(&kit, 3, || with("authorization", &token)).await;
        assert_eq!(statuses, expected, "{org}");
    }
    // A token that somebody else has signed uses up nobody's.
    let forged = bearer(&Signer::new("k"), json!({"id": "c"}));
    assert_eq!(
        statuses(&kit, 3, || with("authorization", &forged)).await,
        [401; 3]
    );
    let token = of(json!({"id": "c"}));
    assert_eq!(
        statuses(&kit, 3, || with("authorization", &token)).await,
        [200, 200, 429]
    );
}

#[tokio::test]
async fn a_trusted_proxy_says_which_client_it_is() {
    let limit = RateLimit {
        keys: vec![key("who", LimitValue::RemoteAddress)],
        ..local("who", 1)
    };
    let plan = Plan {
        table: Some(RouteTable {
            client_address: Some(ClientAddress {
                trusted_peers: vec![TextMatch::Exact(
                    "cluster.local/ns/default/sa/client".into(),
                )],
                trusted_proxies: 0,
                proxy_protocol: false,
            }),
            ..limited(vec![forward()], vec![limit])
        }),
        ..Plan::default()
    };
    let kit = Kit::new(&[endpoint().await], plan);
    let from = |chain: &'static str| move || with("x-forwarded-for", chain);
    assert_eq!(statuses(&kit, 2, from("198.51.100.1")).await, [200, 429]);
    assert_eq!(statuses(&kit, 2, from("198.51.100.2")).await, [200, 429]);
    // What a client puts before the proxy's own word makes it nobody else.
    assert_eq!(
        statuses(&kit, 2, from("203.0.113.9, 198.51.100.1")).await,
        [429; 2]
    );
    // One address, however it is written.
    assert_eq!(statuses(&kit, 1, from("::ffff:198.51.100.2")).await, [429]);
}
