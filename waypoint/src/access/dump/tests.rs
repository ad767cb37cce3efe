//! What an operator sees, and what not.

use std::{sync::Arc, time::Duration};

use mesh::{
    PolicyKey, ServiceKey,
    access::{
        ClientAddress, Policies, RequestAuthentication,
        authorization::{Action, Rule, TextMatch},
        external::{ExternalAuthorization, HttpCheck, Protocol},
        jwt::{JwtRule, KeySource},
    },
    route::Backend,
    settings::WaypointSettings,
};
use serde_json::json;

use super::json as shown;
use crate::access::testkit::{policies, policy};

fn issuer(keys: KeySource) -> JwtRule {
    JwtRule {
        issuer: "https://issuer.example".into(),
        audiences: Vec::new(),
        keys,
        from_headers: vec![("x-token".into(), "JWT ".into())],
        from_params: Vec::new(),
        from_cookies: Vec::new(),
        output_payload_to_header: None,
        forward_original_token: false,
        output_claim_to_headers: Vec::new(),
        timeout: Duration::from_secs(5),
        space_delimited_claims: Vec::new(),
    }
}

fn all() -> Policies {
    let external = Arc::new(ExternalAuthorization {
        provider: "login".into(),
        backend: Backend::new(ServiceKey::new("shop", "login.shop.svc.cluster.local"), 80),
        protocol: Protocol::Http(Box::new(HttpCheck {
            additional_headers: vec![("x-key".into(), "pass-word".into())],
            ..HttpCheck::default()
        })),
        timeout: Duration::from_millis(200),
        fail_open: true,
        status_on_error: 503,
        include_body: None,
    });
    let custom = |name| {
        policy(
            name,
            Action::Custom(Arc::clone(&external)),
            vec![Rule::default()],
        )
    };
    Policies {
        authentication: vec![Arc::new(RequestAuthentication {
            key: PolicyKey::new("shop", "tokens"),
            rules: vec![
                issuer(KeySource::Inline(r#"{"keys":[{"k":"secret"}]}"#.into())),
                issuer(KeySource::Uri("https://keys.example/k?key=secret".into())),
                issuer(KeySource::Uri("https://me:secret@keys.example/k".into())),
            ],
        })],
        ..policies(vec![
            policy("deny", Action::Deny, vec![Rule::default(), Rule::default()]),
            custom("ask"),
            custom("ask-too"),
        ])
    }
}

#[test]
fn policies_authorizers_and_whose_word_counts_are_shown() {
    let client = ClientAddress {
        trusted_peers: vec![TextMatch::Prefix("cluster.local/ns/edge/".into())],
        trusted_proxies: 1,
        proxy_protocol: false,
    };
    let shown = shown(
        &all(),
        Some(&client),
        &["AuthorizationPolicy shop/odd".into()],
    );
    assert_eq!(shown["unenforced"], json!(["AuthorizationPolicy shop/odd"]));
    let mut authorization = shown["authorization"].as_array().unwrap().clone();
    authorization.sort_by_key(|one| one["policy"].to_string());
    assert_eq!(
        authorization,
        [
            json!({"policy": "shop/ask", "action": "CUSTOM", "provider": "login", "dryRun": false, "rules": 1}),
            json!({"policy": "shop/ask-too", "action": "CUSTOM", "provider": "login", "dryRun": false, "rules": 1}),
            json!({"policy": "shop/deny", "action": "DENY", "provider": null, "dryRun": false, "rules": 2}),
        ]
    );
    assert_eq!(shown["authorizers"].as_array().unwrap().len(), 1);
    assert_eq!(shown["authorizers"][0]["failOpen"], true);
    assert_eq!(shown["authorizers"][0]["timeout"], "200ms");
    assert_eq!(
        shown["clientAddress"],
        json!({"trustedPeers": ["cluster.local/ns/edge/*"], "numTrustedProxies": 1, "proxyProtocol": false})
    );
    let rules = &shown["authentication"][0]["rules"];
    assert_eq!(rules[0]["keys"], "inline");
    assert_eq!(rules[1]["keys"], "https://keys.example/k");
    assert_eq!(rules[2]["keys"], "https://keys.example/k");
}

#[test]
fn no_key_and_no_password_is_shown() {
    let settings = WaypointSettings {
        policies: all(),
        ..WaypointSettings::new("shop".into(), "waypoint".into())
    };
    assert!(format!("{settings:?}").contains("pass-word"));
    let text = shown(&all(), None, &[]).to_string() + &super::settings(&settings);
    for secret in ["secret", "pass-word"] {
        assert!(!text.contains(secret), "{text}");
    }
}
