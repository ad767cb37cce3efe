//! Requests with tokens, good ones and others.

use std::{sync::Arc, time::Duration};

use http::{Method, Request, Version};
use mesh::{
    Name,
    access::{
        Policies, RequestAuthentication,
        jwt::{JwtRule, KeySource},
    },
    route::{ClaimMatch, HttpMatch, StringMatch},
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::kit::*;
use crate::{
    access::keys::testkit::{Answer, Host, Signer, set},
    body::Body,
};

mod places;

const ISSUER: &str = "https://issuer.example";

fn rule(issuer: &str, keys: KeySource) -> JwtRule {
    JwtRule {
        issuer: issuer.into(),
        audiences: Vec::new(),
        keys,
        from_headers: Vec::new(),
        from_params: Vec::new(),
        from_cookies: Vec::new(),
        output_payload_to_header: None,
        forward_original_token: false,
        output_claim_to_headers: Vec::new(),
        timeout: Duration::from_secs(20),
        space_delimited_claims: Vec::new(),
    }
}

fn inline(signer: &Signer) -> KeySource {
    KeySource::Inline(set(&[signer]).into())
}

fn policies(rules: Vec<JwtRule>) -> Policies {
    let policy = RequestAuthentication {
        key: mesh::PolicyKey::new("default", "jwt"),
        rules,
    };
    Policies {
        authentication: vec![Arc::new(policy)],
        ..Policies::default()
    }
}

fn claims(issuer: &str) -> Value {
    // A test ends long before.
    json!({"iss": issuer, "sub": "alice", "aud": "shop", "exp": 4_000_000_000_u64, "groups": ["a", "b"]})
}

fn with(request: Request<Body>, headers: &[(&'static str, &str)]) -> Request<Body> {
    let (mut head, body) = request.into_parts();
    for (name, value) in headers {
        head.headers.append(*name, value.parse().unwrap());
    }
    Request::from_parts(head, body)
}

fn bearer(token: &str) -> Request<Body> {
    with(get("/p"), &[("authorization", &format!("Bearer {token}"))])
}

/// A waypoint before a backend that notes the heads of its requests.
struct Shop {
    kit: Kit,
    heads: Arc<Mutex<Vec<http::request::Parts>>>,
}

impl Shop {
    async fn new(rules: Vec<JwtRule>) -> Self {
        Self::with(Plan {
            policies: policies(rules),
            ..Plan::default()
        })
        .await
    }

    async fn with(plan: Plan) -> Self {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&heads);
        let address = backend(Version::HTTP_11, move |request| {
            let (head, _) = request.into_parts();
            noted.lock().push(head);
            async move { Ok(text("ok")) }
        })
        .await;
        Self {
            kit: Kit::new(&[address], plan),
            heads,
        }
    }

    /// The head of the last request that came through.
    async fn passes(&self, request: Request<Body>) -> http::request::Parts {
        let answered = self.kit.ask(request).await;
        assert_eq!(answered.status(), 200, "{}", answered.body);
        self.heads.lock().pop().unwrap()
    }

    async fn refuses(&self, request: Request<Body>, status: u16, words: &str) {
        let answered = self.kit.ask(request).await;
        assert_eq!(answered.body, words);
        assert_eq!(answered.status(), status);
        assert!(self.heads.lock().is_empty());
    }
}

#[tokio::test]
async fn a_token_of_the_issuer_passes_and_so_does_none_and_no_other() {
    let signer = Signer::new("k");
    let mut wanted = rule(ISSUER, inline(&signer));
    wanted.audiences = vec!["shop".into()];
    let shop = Shop::new(vec![wanted]).await;
    let good = signer.sign(&claims(ISSUER));
    let head = shop.passes(bearer(&good)).await;
    assert!(!head.headers.contains_key("authorization"));
    shop.passes(get("/p")).await;
    // Something else than a token is not ours to judge.
    let basic = with(get("/p"), &[("authorization", "Basic YWxpY2U6c2VjcmV0")]);
    let head = shop.passes(basic).await;
    assert_eq!(head.headers["authorization"], "Basic YWxpY2U6c2VjcmV0");
    shop.kit.lines();

    let stranger = Signer::new("k").sign(&claims(ISSUER));
    let unknown = Signer::new("other").sign(&claims(ISSUER));
    let elsewhere = signer.sign(&claims("https://other.example"));
    let mut over = claims(ISSUER);
    over["exp"] = 1.into();
    let mut to_come = claims(ISSUER);
    to_come["nbf"] = 4_000_000_000_u64.into();
    let cases = [
        (stranger, "Jwt verification fails"),
        (
            unknown,
            "Jwks doesn't have key to match kid or alg from Jwt",
        ),
        (elsewhere, "Jwt issuer is not configured"),
        (signer.sign(&over), "Jwt is expired"),
        (signer.sign(&to_come), "Jwt not yet valid"),
        (
            "x".to_owned(),
            "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
        ),
        (
            "eyJhbGciOiJub25lIn0.e30.eA".to_owned(),
            "Jwt header [alg] is not supported",
        ),
    ];
    for (token, words) in cases {
        let answered = shop.kit.ask(bearer(&token)).await;
        assert_eq!((answered.status(), answered.body.as_str()), (401, words));
        assert_eq!(
            answered.header("www-authenticate"),
            Some(r#"Bearer realm="http://reviews:80/p", error="invalid_token""#)
        );
        assert_eq!(answered.header("content-type"), Some("text/plain"));
        let line = shop.kit.line();
        let details = format!("jwt_authn_access_denied{{{}}}", words.replace(' ', "_"));
        assert_eq!(line["details"], details);
        assert_eq!(line["code"], 401);
    }
    let mut other = claims(ISSUER);
    other["aud"] = "bank".into();
    let token = signer.sign(&other);
    shop.refuses(bearer(&token), 403, "Audiences in Jwt are not allowed")
        .await;
}

#[tokio::test]
async fn a_client_of_grpc_is_told_in_grpc() {
    let signer = Signer::new("k");
    let shop = Shop::new(vec![rule(ISSUER, inline(&signer))]).await;
    let request = with(bearer("x.y"), &[("content-type", "application/grpc")]);
    let answered = shop.kit.ask(request).await;
    assert_eq!(answered.status(), 200);
    assert_eq!(answered.header("grpc-status"), Some("16"));
    let said = answered.header("grpc-message").unwrap();
    assert!(said.starts_with("Jwt is not in the form"), "{said}");
}

#[tokio::test]
async fn a_token_is_found_and_taken_out_wherever_a_rule_looks() {
    let signer = Signer::new("k");
    let token = signer.sign(&claims(ISSUER));
    let mut wanted = rule(ISSUER, inline(&signer));
    wanted.from_headers = vec![("x-token".into(), "JWT ".into())];
    wanted.from_params = vec!["jwt".into()];
    wanted.from_cookies = vec!["session".into()];
    let shop = Shop::new(vec![wanted.clone()]).await;
    let of_header = || with(get("/p"), &[("x-token", &format!("JWT {token}"))]);
    let of_query = || get(&format!("/p?a=1&jwt={token}&b=2"));
    let of_cookie = || with(get("/p"), &[("cookie", &format!("x=y; session={token}"))]);
    let head = shop.passes(of_header()).await;
    assert!(!head.headers.contains_key("x-token"));
    assert_eq!(shop.passes(of_query()).await.uri, "/p?a=1&b=2");
    assert_eq!(shop.passes(of_cookie()).await.headers["cookie"], "x=y");
    // Nobody looks at the usual place.
    let head = shop.passes(bearer("opaque")).await;
    assert_eq!(head.headers["authorization"], "Bearer opaque");
    for bad in [
        with(get("/p"), &[("x-token", "JWT x")]),
        get("/p?jwt=x"),
        get("/p?j%77t=x"),
        with(get("/p"), &[("cookie", "session=x")]),
    ] {
        assert_eq!(shop.kit.ask(bad).await.status(), 401);
    }

    wanted.forward_original_token = true;
    let shop = Shop::new(vec![wanted]).await;
    let head = shop.passes(of_header()).await;
    assert_eq!(head.headers["x-token"], format!("JWT {token}"));
    assert_eq!(
        shop.passes(of_query()).await.uri,
        format!("/p?a=1&jwt={token}&b=2").as_str()
    );
    let head = shop.passes(of_cookie()).await;
    assert_eq!(head.headers["cookie"], format!("x=y; session={token}"));
}

#[tokio::test]
async fn a_good_token_hides_no_bad_one() {
    let (first, second) = (Signer::new("1"), Signer::new("2"));
    let other = "https://other.example";
    let mut elsewhere = rule(other, inline(&second));
    elsewhere.from_headers = vec![("x-token".into(), "".into())];
    let shop = Shop::new(vec![rule(ISSUER, inline(&first)), elsewhere]).await;
    let good = first.sign(&claims(ISSUER));
    let also_good = second.sign(&claims(other));
    let both = [format!("Bearer {good}"), also_good.clone()];
    shop.passes(with(
        get("/"),
        &[("authorization", &both[0]), ("x-token", &both[1])],
    ))
    .await;
    let good = format!("Bearer {good}");
    for (name, value) in [
        ("x-token", "x.y.z"),
        ("authorization", "Bearer x.y.z"),
        ("authorization", "bearer x"),
        // Good, but not there.
        ("x-token", &good["Bearer ".len()..]),
    ] {
        let request = with(get("/"), &[("authorization", &good), (name, value)]);
        assert_eq!(shop.kit.ask(request).await.status(), 401, "{name}: {value}");
    }
    let twice = with(get("/?access_token=x.y.z"), &[("authorization", &good)]);
    assert_eq!(shop.kit.ask(twice).await.status(), 401);
}

#[tokio::test]
async fn several_issuers_share_a_place() {
    let (first, second) = (Signer::new("1"), Signer::new("2"));
    let other = "https://other.example";
    let mut strict = rule(ISSUER, inline(&first));
    strict.audiences = vec!["bank".into()];
    let rules = vec![
        strict,
        rule(other, inline(&second)),
        rule(ISSUER, inline(&first)),
    ];
    let shop = Shop::new(rules).await;
    shop.passes(bearer(&first.sign(&claims(ISSUER)))).await;
    shop.passes(bearer(&second.sign(&claims(other)))).await;
    // Each by its own keys alone.
    let crossed = second.sign(&claims(ISSUER));
    let words = "Jwks doesn't have key to match kid or alg from Jwt";
    shop.refuses(bearer(&crossed), 401, words).await;
    let nobody = first.sign(&claims("https://nobody.example"));
    shop.refuses(bearer(&nobody), 401, "Jwt issuer is not configured")
        .await;
}

#[tokio::test]
async fn claims_become_headers_and_made_up_ones_go() {
    let signer = Signer::new("k");
    let mut telling = rule(ISSUER, inline(&signer));
    telling.output_payload_to_header = Some("x-payload".into());
    let way = |names: &[&str]| {
        names
            .iter()
            .map(|name| Name::from(*name))
            .collect::<Vec<_>>()
    };
    telling.output_claim_to_headers = vec![
        ("x-user".into(), way(&["sub"])),
        ("x-role".into(), way(&["realm", "role"])),
        ("x-number".into(), way(&["n"])),
        ("x-float".into(), way(&["f"])),
        ("x-flag".into(), way(&["flag"])),
        ("x-groups".into(), way(&["groups"])),
        ("x-evil".into(), way(&["evil"])),
    ];
    let shop = Shop::new(vec![telling]).await;
    let spoofed = [
        ("x-payload", "spoofed"),
        ("x-user", "root"),
        // What becomes the same name where names have no hyphens (CGI, WSGI).
        ("x_user", "root"),
        ("x-role", "admin"),
        ("x-groups", "admin"),
        ("x-evil", "1"),
        ("x-other", "kept"),
    ];
    let head = shop.passes(with(get("/p"), &spoofed)).await;
    for name in [
        "x-payload",
        "x-user",
        "x_user",
        "x-role",
        "x-groups",
        "x-evil",
    ] {
        assert!(!head.headers.contains_key(name), "{name}");
    }
    assert_eq!(head.headers["x-other"], "kept");

    let mut said = claims(ISSUER);
    said["realm"] = json!({"role": "buyer"});
    said["n"] = 7.into();
    said["f"] = json!(12.0);
    said["flag"] = true.into();
    said["evil"] = "a\r\nx-injected: 1".into();
    let token = signer.sign(&said);
    let head = shop.passes(with(bearer(&token), &spoofed)).await;
    let one = |name: &str| {
        let all: Vec<_> = head.headers.get_all(name).iter().collect();
        assert!(all.len() <= 1, "{name}: {all:?}");
        all.first().map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(one("x-payload").as_deref(), token.split('.').nth(1));
    assert_eq!(one("x-user").as_deref(), Some("alice"));
    assert_eq!(one("x-role").as_deref(), Some("buyer"));
    assert_eq!(one("x-number").as_deref(), Some("7"));
    assert_eq!(one("x-float").as_deref(), Some("12"));
    assert_eq!(one("x-flag").as_deref(), Some("true"));
    // Neither a list nor what would be two headers.
    assert_eq!(one("x-groups"), None);
    assert_eq!(one("x-evil"), None);
    assert_eq!(one("x-injected"), None);
}

#[tokio::test]
async fn a_preflight_passes_without_a_look_at_tokens() {
    let signer = Signer::new("k");
    let mut telling = rule(ISSUER, inline(&signer));
    telling.output_payload_to_header = Some("x-payload".into());
    let shop = Shop::new(vec![telling]).await;
    let preflight = |headers: &[(&'static str, &str)]| {
        let mut request = with(bearer("x"), headers);
        *request.method_mut() = Method::OPTIONS;
        request
    };
    let all = [
        ("origin", "https://a.example"),
        ("access-control-request-method", "PUT"),
        ("x-payload", "spoofed"),
    ];
    let head = shop.passes(preflight(&all)).await;
    assert!(!head.headers.contains_key("x-payload"));
    // Whatever lacks one of the three is none.
    assert_eq!(shop.kit.ask(preflight(&all[..1])).await.status(), 401);
    assert_eq!(shop.kit.ask(preflight(&all[1..2])).await.status(), 401);
    assert_eq!(shop.kit.ask(with(bearer("x"), &all)).await.status(), 401);
}

#[tokio::test]
async fn keys_come_from_their_host_and_through_the_mesh() {
    let signer = Signer::new("k");
    let host = Host::start(Answer::ok(set(&[&signer]))).await;
    let uri = KeySource::Uri(host.uri("/keys").into());
    let shop = Shop::new(vec![rule(ISSUER, uri)]).await;
    let token = signer.sign(&claims(ISSUER));
    for _ in 0..3 {
        shop.passes(bearer(&token)).await;
    }
    assert_eq!(host.asked(), 1);

    // The name is a service of the mesh, and nothing anywhere else; its endpoint is the host.
    let uri = KeySource::Uri(format!("http://{HOSTNAME}:80/keys").into());
    let plan = Plan {
        policies: policies(vec![rule(ISSUER, uri)]),
        ..Plan::default()
    };
    let kit = Kit::new(&[host.address], plan);
    let answered = kit.ask(bearer(&token)).await;
    assert_eq!(answered.status(), 200, "{}", answered.body);
    assert_eq!(host.paths(), ["/keys", "/keys", "/p"]);
}

#[tokio::test]
async fn a_host_of_keys_that_is_down_refuses_its_tokens_and_nothing_else() {
    let (signer, other) = (Signer::new("k"), Signer::new("o"));
    let host = Host::start(Answer::status(503)).await;
    let uri = KeySource::Uri(host.uri("/").into());
    let others = "https://other.example";
    let shop = Shop::new(vec![rule(ISSUER, uri), rule(others, inline(&other))]).await;
    let token = signer.sign(&claims(ISSUER));
    for _ in 0..10 {
        shop.refuses(bearer(&token), 401, "Jwks remote fetch is failed")
            .await;
    }
    assert_eq!(host.asked(), 1);
    shop.passes(get("/p")).await;
    shop.passes(bearer(&other.sign(&claims(others)))).await;
    // A token that is over costs no question.
    let mut over = claims(ISSUER);
    over["exp"] = 1.into();
    shop.refuses(bearer(&signer.sign(&over)), 401, "Jwt is expired")
        .await;
    assert_eq!(host.asked(), 1);
}

#[tokio::test]
async fn keys_of_a_policy_that_cannot_be_read_refuse_its_tokens() {
    let signer = Signer::new("k");
    let token = signer.sign(&claims(ISSUER));
    for (keys, words) in [
        ("{", "Jwks is an invalid JSON"),
        ("{}", "Jwks does not have [keys] field"),
        (
            r#"{"keys":[{"kty":"RSA"}]}"#,
            "Jwks doesn't have any valid public key",
        ),
    ] {
        let shop = Shop::new(vec![rule(ISSUER, KeySource::Inline(keys.into()))]).await;
        shop.refuses(bearer(&token), 401, words).await;
        shop.passes(get("/p")).await;
    }
}

#[tokio::test]
async fn policies_of_the_waypoint_and_of_the_service_count_as_one_set() {
    let (first, second) = (Signer::new("1"), Signer::new("2"));
    let other = "https://other.example";
    let mut table = table(vec![forward()]);
    table.policies = policies(vec![rule(other, inline(&second))]);
    let shop = Shop::with(Plan {
        table: Some(table),
        policies: policies(vec![rule(ISSUER, inline(&first))]),
        ..Plan::default()
    })
    .await;
    shop.passes(bearer(&first.sign(&claims(ISSUER)))).await;
    shop.passes(bearer(&second.sign(&claims(other)))).await;
    let words = "Jwt issuer is not configured";
    let nobody = first.sign(&claims("https://nobody.example"));
    shop.refuses(bearer(&nobody), 401, words).await;
}

#[tokio::test]
async fn routes_are_chosen_by_claims_of_a_verified_token_alone() {
    let signer = Signer::new("k");
    let mut of_group = forward();
    of_group.name = "of-group".into();
    of_group.matches = vec![HttpMatch {
        claims: vec![ClaimMatch {
            claim: vec!["groups".into()],
            value: Some(StringMatch::Exact("b".into())),
            invert: false,
        }],
        ..HttpMatch::default()
    }];
    let mut others = forward();
    others.name = "others".into();
    let shop = Shop::with(Plan {
        table: Some(table(vec![of_group, others])),
        policies: policies(vec![rule(ISSUER, inline(&signer))]),
        ..Plan::default()
    })
    .await;
    shop.passes(bearer(&signer.sign(&claims(ISSUER)))).await;
    assert_eq!(shop.kit.line()["route"], "of-group");
    let mut outsider = claims(ISSUER);
    outsider["groups"] = json!(["c"]);
    shop.passes(bearer(&signer.sign(&outsider))).await;
    assert_eq!(shop.kit.line()["route"], "others");
    // A header of that name is a header.
    let spoofed = with(get("/p"), &[("groups", "b"), ("x-jwt-claim-groups", "b")]);
    shop.passes(spoofed).await;
    assert_eq!(shop.kit.line()["route"], "others");
}
