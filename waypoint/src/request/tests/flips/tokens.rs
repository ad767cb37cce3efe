//! Streams whose client has shown a token.

use std::time::Duration;

use http::Request;
use mesh::{
    PolicyKey,
    access::{
        RequestAuthentication,
        authorization::{Action, TextAttribute},
        jwt::{JwtRule, KeySource},
    },
};
use serde_json::json;

use super::*;
use crate::access::keys::testkit::{Signer, set};

const ISSUER: &str = "https://issuer.example";

/// Tokens of a signer are believed, and these rules allow.
fn believing(signer: &Signer, allowed: Vec<Rule>) -> Policies {
    let rule = JwtRule {
        issuer: ISSUER.into(),
        audiences: Vec::new(),
        keys: KeySource::Inline(set(&[signer]).into()),
        from_headers: Vec::new(),
        from_params: Vec::new(),
        from_cookies: Vec::new(),
        output_payload_to_header: None,
        forward_original_token: false,
        output_claim_to_headers: Vec::new(),
        timeout: Duration::from_secs(5),
        space_delimited_claims: Vec::new(),
    };
    let authentication = RequestAuthentication {
        key: PolicyKey::new("shop", "tokens"),
        rules: vec![rule],
    };
    Policies {
        authentication: vec![Arc::new(authentication)],
        ..policies(vec![policy("allow", Action::Allow, allowed)])
    }
}

fn alice() -> Rule {
    let principal = format!("{ISSUER}/alice");
    rule(vec![is(TextAttribute::RequestPrincipal, &principal)])
}

fn in_group(name: &str) -> Rule {
    rule(vec![is(TextAttribute::Claim(vec!["groups".into()]), name)])
}

fn with_token(signer: &Signer) -> Request<Body> {
    let claims =
        json!({"iss": ISSUER, "sub": "alice", "exp": 4_000_000_000_u64, "groups": ["a", "b"]});
    let token = format!("Bearer {}", signer.sign(&claims));
    let mut request = get("/");
    request
        .headers_mut()
        .insert("authorization", token.parse().unwrap());
    request
}

async fn begun_with(kit: &Kit, request: Request<Body>) -> Body {
    let response = kit.serve(request).await;
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    frame(&mut body).await.unwrap().unwrap();
    body
}

#[tokio::test]
async fn what_a_token_says_decides_after_it_is_verified() {
    let signer = Signer::new("k");
    for allowed in [alice(), in_group("b")] {
        let kit = endless(believing(&signer, vec![allowed])).await;
        drop(begun_with(&kit, with_token(&signer)).await);
        kit.line_soon().await;
        assert_eq!(kit.ask(get("/")).await.status(), 403);
        assert_eq!(
            kit.line()["details"],
            "rbac_access_denied_matched_policy[none]"
        );
        let answered = kit.ask(with_token(&Signer::new("k"))).await;
        assert_eq!(answered.status(), 401);
    }
}

#[tokio::test]
async fn a_stream_outlives_a_flip_that_believes_its_token_and_allows_what_it_says() {
    let signer = Signer::new("k");
    let kit = endless(believing(&signer, vec![alice()])).await;
    let mut body = begun_with(&kit, with_token(&signer)).await;
    let waits = tokio::spawn(async move { frame(&mut body).await });
    soon(|| kit.session.flips.waiting() == 1).await;
    kit.turn(now(believing(&signer, vec![in_group("a")])));
    // What it was judged by is known, so that another claim is judged, too.
    kit.turn(now(believing(&signer, vec![in_group("c")])));
    waits.await.unwrap().unwrap().unwrap_err();
    let details = "rbac_access_denied_matched_policy[none]";
    assert_eq!(kit.line_soon().await["details"], details);

    let mut body = {
        kit.turn(now(believing(&signer, vec![alice()])));
        begun_with(&kit, with_token(&signer)).await
    };
    kit.turn(now(believing(&signer, vec![in_group("a")])));
    let waits = tokio::spawn(async move { frame(&mut body).await });
    soon(|| kit.session.flips.waiting() == 1).await;
    assert!(!waits.is_finished());
    waits.abort();
}

#[tokio::test]
async fn a_stream_is_cut_when_the_keys_that_its_token_was_believed_by_are_others() {
    let signer = Signer::new("k");
    let kit = endless(believing(&signer, vec![alice()])).await;
    let mut body = begun_with(&kit, with_token(&signer)).await;
    kit.turn(now(believing(&Signer::new("k"), vec![alice()])));
    let cut = frame(&mut body).await.unwrap().unwrap_err();
    assert_eq!(why(&cut), Lost::Unknown.to_string());
}

#[tokio::test]
async fn a_token_that_nobody_looked_at_is_no_reason_to_let_its_stream_go_on() {
    let signer = Signer::new("k");
    let kit = endless(Policies::default()).await;
    let mut body = begun_with(&kit, with_token(&signer)).await;
    let mut denying = believing(&signer, Vec::new());
    denying.authorization = deny(vec![in_group("a")]).authorization;
    kit.turn(now(denying));
    let cut = frame(&mut body).await.unwrap().unwrap_err();
    assert_eq!(why(&cut), Lost::Unknown.to_string());
}

#[tokio::test]
async fn tokens_that_no_policy_looks_at_cut_nothing() {
    let signer = Signer::new("k");
    let kit = endless(Policies::default()).await;
    let mut body = begun_with(&kit, get("/")).await;
    let mut only = believing(&signer, Vec::new());
    only.authorization = Policies::default().authorization;
    kit.turn(now(only));
    let waits = tokio::spawn(async move { frame(&mut body).await });
    soon(|| kit.session.flips.waiting() == 1).await;
    assert!(!waits.is_finished());
    waits.abort();
}
