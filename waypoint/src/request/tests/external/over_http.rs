//! Authorizers that are asked by HTTP.

use http::HeaderValue;
use mesh::access::authorization::{Clause, Field, Match, Test, TextAttribute, TextMatch};

use super::*;

fn with_headers(
    mut request: Request<Body>,
    headers: &[(&'static str, &'static str)],
) -> Request<Body> {
    for (name, value) in headers {
        let value = HeaderValue::from_static(value);
        request.headers_mut().append(*name, value);
    }
    request
}

fn answering(status: u16, headers: &'static [(&'static str, &'static str)]) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::Empty).unwrap()
}

fn patterns(names: &[&str]) -> Vec<TextMatch> {
    let exact = names.iter().map(|name| TextMatch::Exact((*name).into()));
    exact.collect()
}

#[tokio::test]
async fn a_request_that_may_pass_goes_on_with_what_the_authorizer_says_of_it() {
    let (asked, reached) = (Got::default(), Got::default());
    let provider = saying(&asked, |_| {
        answering(
            200,
            &[
                ("x-user", "alice"),
                ("x-other", "not for the backend"),
                ("set-cookie", "session=1"),
                ("x-envoy-auth-headers-to-remove", "x-secret, host"),
            ],
        )
    })
    .await;
    let external = by_http(HttpCheck {
        path_prefix: "/authorize".into(),
        include_headers: vec![TextMatch::Prefix("x-ask".into())],
        additional_headers: vec![("x-from".into(), "waypoint".into())],
        upstream_on_allow: patterns(&["x-user"]),
        downstream_on_allow: patterns(&["set-cookie"]),
        ..HttpCheck::default()
    });
    let kit = asking(echo(&reached).await, provider, external);
    let request = with_headers(
        get("/a/../b?c=d"),
        &[
            ("x-user", "admin"),
            ("x_user", "admin"),
            ("x-secret", "1"),
            ("x_secret", "1"),
            ("x-ask-me", "yes"),
            ("x-asks-nobody", "no"),
            ("authorization", "Bearer t"),
            ("cookie", "a=b"),
        ],
    );
    let answer = kit.ask(request).await;
    assert_eq!(
        (answer.status(), answer.body.as_str()),
        (200, "from the backend")
    );
    assert_eq!(answer.header("set-cookie"), Some("session=1"));
    assert_eq!(answer.header("x-user"), None);

    let question = asked.only();
    // In its one spelling.
    assert_eq!(question.head.uri, "/authorize/b?c=d");
    assert_eq!(question.header("host"), Some("reviews:80"));
    assert_eq!(question.header("authorization"), Some("Bearer t"));
    assert_eq!(question.header("x-ask-me"), Some("yes"));
    assert_eq!(question.header("x-asks-nobody"), Some("no"));
    assert_eq!(question.header("x-from"), Some("waypoint"));
    assert_eq!(question.header("content-length"), Some("0"));
    for name in ["cookie", "x-user", "x-secret", "x-request-id"] {
        assert_eq!(question.header(name), None, "{name}");
    }

    let request = reached.only();
    assert_eq!(request.head.uri, "/b?c=d");
    assert_eq!(request.header("x-user"), Some("alice"));
    assert_eq!(request.head.headers.get_all("x-user").iter().count(), 1);
    assert_eq!(request.header("host"), Some("reviews:80"));
    for name in [
        "x-secret",
        "x_secret",
        "x_user",
        "x-other",
        "x-from",
        "set-cookie",
    ] {
        assert_eq!(request.header(name), None, "{name}");
    }
    let line = kit.line();
    assert_eq!(line["details"], "via_upstream");
    assert!(line["flags"].is_null() || line["flags"] == "-", "{line:?}");
}

#[tokio::test]
async fn a_request_that_may_not_pass_gets_the_authorizers_answer() {
    let (asked, reached) = (Got::default(), Got::default());
    let provider = saying(&asked, |_| {
        let mut response = answering(
            302,
            &[
                ("location", "https://login.example/?back"),
                ("set-cookie", "a=1"),
                ("set-cookie", "b=2"),
                ("content-type", "text/html"),
                ("connection", "x-hop"),
                ("x-hop", "1"),
            ],
        );
        *response.body_mut() = Body::from(Bytes::from_static(b"<a>go</a>"));
        response
    })
    .await;
    let kit = asking(
        echo(&reached).await,
        provider,
        by_http(HttpCheck::default()),
    );
    let answer = kit.ask(get("/")).await;
    assert_eq!((answer.status(), answer.body.as_str()), (302, "<a>go</a>"));
    assert_eq!(
        answer.header("location"),
        Some("https://login.example/?back")
    );
    assert_eq!(answer.header("content-type"), Some("text/html"));
    assert_eq!(answer.header("content-length"), Some("9"));
    let cookies: Vec<_> = answer.head.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(
        (answer.header("x-hop"), answer.header("connection")),
        (None, None)
    );
    assert_eq!((asked.count(), reached.count()), (1, 0));
    let line = kit.line();
    assert_eq!(line["details"], "ext_authz_denied");
    assert_eq!(line["flags"], "UAEX");
    assert_eq!(line["code"], 302);
}

#[tokio::test]
async fn a_body_of_bytes_that_are_no_text_reaches_the_client_as_it_is() {
    let asked = Got::default();
    let provider = saying(&asked, |_| {
        let mut response = answering(403, &[("content-encoding", "gzip")]);
        *response.body_mut() = Body::from(Bytes::from_static(b"\x1f\x8b\xff\x00"));
        response
    })
    .await;
    let kit = asking(nobody().await, provider, by_http(HttpCheck::default()));
    let response = kit.serve(get("/")).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, &b"\x1f\x8b\xff\x00"[..]);
}

#[tokio::test]
async fn only_the_head_of_a_refusal_goes_to_who_asks_for_a_head() {
    let asked = Got::default();
    let provider = saying(&asked, |question| {
        assert_eq!(question.head.method, "HEAD");
        answering(401, &[("www-authenticate", "Basic")])
    })
    .await;
    let kit = asking(nobody().await, provider, by_http(HttpCheck::default()));
    let mut request = get("/");
    *request.method_mut() = http::Method::HEAD;
    let answer = kit.ask(request).await;
    assert_eq!((answer.status(), answer.body.as_str()), (401, ""));
    assert_eq!(answer.header("www-authenticate"), Some("Basic"));
}

#[tokio::test]
async fn a_client_of_grpc_is_refused_in_grpc() {
    let asked = Got::default();
    let provider = saying(&asked, |_| {
        let mut response = answering(403, &[("x-why", "because"), ("content-type", "text/html")]);
        *response.body_mut() = Body::from(Bytes::from_static(b"no way"));
        response
    })
    .await;
    let kit = asking(nobody().await, provider, by_http(HttpCheck::default()));
    let request = with_headers(
        get("/pkg.Svc/Method"),
        &[("content-type", "application/grpc")],
    );
    let answer = kit.ask(request).await;
    assert_eq!((answer.status(), answer.body.as_str()), (200, ""));
    assert_eq!(answer.header("grpc-status"), Some("7"));
    assert_eq!(answer.header("grpc-message"), Some("no way"));
    assert_eq!(answer.header("content-type"), Some("application/grpc"));
    assert_eq!(answer.header("x-why"), Some("because"));
}

#[tokio::test]
async fn a_client_cannot_speak_for_the_waypoint() {
    let (asked, reached) = (Got::default(), Got::default());
    let provider = saying(&asked, |_| answering(200, &[])).await;
    let external = by_http(HttpCheck {
        include_headers: vec![TextMatch::Present],
        upstream_on_allow: vec![TextMatch::Present],
        ..HttpCheck::default()
    });
    let kit = asking(echo(&reached).await, provider, external);
    let request = with_headers(
        get("/"),
        &[
            ("x-envoy-auth-partial-body", "false"),
            ("x-envoy-auth-headers-to-remove", "authorization"),
            ("x-envoy-auth-failure-mode-allowed", "true"),
            ("authorization", "Bearer t"),
            ("connection", "authorization, x-hop"),
            ("x-hop", "1"),
        ],
    );
    assert_eq!(kit.ask(request).await.status(), 200);
    let is_envoy = |headers: &HeaderMap| {
        let names = headers.keys();
        names
            .map(|name| name.as_str().to_owned())
            .filter(|name| name.starts_with("x-envoy-auth"))
            .count()
    };
    let (question, request) = (asked.only(), reached.only());
    assert_eq!(is_envoy(&question.head.headers), 0);
    assert_eq!(is_envoy(&request.head.headers), 0);
    assert_eq!(question.header("authorization"), Some("Bearer t"));
    assert_eq!(request.header("authorization"), Some("Bearer t"));
    assert_eq!(question.header("x-hop"), None);
    // What describes the answer's own message is not the request's.
    assert_eq!(request.header("content-length"), None);
}

#[tokio::test]
async fn only_requests_that_a_rule_matches_are_asked_about() {
    let (asked, reached) = (Got::default(), Got::default());
    let provider = saying(&asked, |_| answering(403, &[])).await;
    let external = Arc::new(by_http(HttpCheck::default()));
    let mut custom = policy("ask", Action::Custom(external));
    let on_path = Match {
        fields: vec![Field {
            test: Test::Text(
                TextAttribute::Path,
                vec![TextMatch::Prefix("/admin".into())],
            ),
            negate: false,
        }],
    };
    custom.rules = vec![Rule {
        clauses: vec![Clause {
            matches: vec![on_path],
        }],
    }];
    let kit = with_policies(echo(&reached).await, provider, vec![custom], None);
    assert_eq!(kit.ask(get("/open")).await.status(), 200);
    assert_eq!((asked.count(), reached.count()), (0, 1));
    assert_eq!(kit.ask(get("/x/../admin/")).await.status(), 403);
    assert_eq!((asked.count(), reached.count()), (1, 1));
}

#[tokio::test]
async fn an_authorizer_that_allows_does_not_overrule_a_policy_that_denies() {
    let asked = Got::default();
    let provider = saying(&asked, |_| answering(200, &[("set-cookie", "a=1")])).await;
    let external = by_http(HttpCheck {
        downstream_on_allow: patterns(&["set-cookie"]),
        ..HttpCheck::default()
    });
    let policies = vec![
        policy("ask", Action::Custom(Arc::new(external))),
        policy("never", Action::Deny),
    ];
    let kit = with_policies(nobody().await, provider, policies, None);
    let answer = kit.ask(get("/")).await;
    assert_eq!(
        (answer.status(), answer.body.as_str()),
        (403, "RBAC: access denied")
    );
    assert_eq!(asked.count(), 1);
    // As Envoy: the authorizer's filter sees every response.
    assert_eq!(answer.header("set-cookie"), Some("a=1"));
}
