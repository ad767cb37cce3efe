//! Answers of our own, and what every answer says.

use http::Version;
use http_body_util::BodyExt as _;
use mesh::route::{
    Abort, AbortStatus, Cors, Delay, DirectResponse, Fault, HeaderEdits, HeaderText, Missing,
    Redirect, RedirectPort, RouteTable, Share, StringMatch,
};

use super::super::*;
use super::kit::*;

#[tokio::test]
async fn a_service_without_routes_is_asked_itself() {
    let address = backend(Version::HTTP_11, |request| async move {
        let seen = request.headers();
        assert_eq!(seen["host"], "reviews:80");
        assert_eq!(seen["x-envoy-attempt-count"], "1");
        assert_eq!(seen["x-forwarded-proto"], "http");
        assert_eq!(seen["x-request-id"].len(), 36);
        assert!(!seen.contains_key("x-envoy-max-retries"));
        Ok(text("hello"))
    })
    .await;
    let kit = Kit::new(&[address], Plan::default());
    let mut request = get("/a/../b?q=1");
    request
        .headers_mut()
        .insert("x-envoy-max-retries", "5".parse().unwrap());
    let answered = kit.ask(request).await;
    assert_eq!((answered.status(), &*answered.body), (200, "hello"));
    assert_eq!(answered.header("server"), Some("istio-envoy"));
    assert!(answered.header("x-envoy-upstream-service-time").is_some());
    let line = kit.line();
    assert_eq!(line["path"], "/b?q=1");
    assert_eq!(line["code"], 200);
    assert_eq!(line["flags"], "-");
    assert_eq!(line["details"], "via_upstream");
    assert_eq!(line["sent"], 5);
    assert_eq!(line["route"], "default");
    assert_eq!(line["host"], address.to_string());
    assert_eq!(line["cluster"], format!("inbound-vip|80|http|{HOSTNAME}"));
    assert!(kit.requests_total().contains("response_code=\"200\""));
}

async fn check(kit: &Kit, status: u16, body: &str, flags: &str, details: &str) {
    let answered = kit.ask(get("/")).await;
    assert_eq!((answered.status(), &*answered.body), (status, body));
    let line = kit.line();
    assert_eq!(line["code"], status);
    assert_eq!(line["flags"], flags);
    assert_eq!(line["details"], details);
    assert_eq!(line["sent"], body.len());
    assert_eq!(line["id"].as_str().map(str::len), Some(36));
}

#[tokio::test]
async fn without_a_rule_that_matches_there_is_no_route() {
    let kit = Kit::new(
        &[],
        Plan {
            table: Some(table(Vec::new())),
            ..Plan::default()
        },
    );
    check(&kit, 404, "", "NR", "route_not_found").await;
}

#[tokio::test]
async fn without_an_endpoint_nobody_is_healthy() {
    let kit = Kit::new(&[], Plan::default());
    check(
        &kit,
        503,
        "no healthy upstream",
        "UH",
        "no_healthy_upstream",
    )
    .await;
}

#[tokio::test]
async fn a_missing_backend_has_the_status_of_its_route() {
    for status in [500, 503] {
        let mut rule = forward();
        if let mesh::route::Action::Forward(forward) = &mut rule.action {
            forward.backends[0].target = mesh::route::Target::Missing(Missing {
                status,
                name: "default/gone".into(),
            });
        }
        let kit = Kit::new(
            &[],
            Plan {
                table: Some(table(vec![rule])),
                ..Plan::default()
            },
        );
        check(&kit, status, "", "NC", "cluster_not_found").await;
    }
}

#[tokio::test]
async fn a_policy_that_cannot_be_enforced_lets_nobody_in_and_only_the_log_names_it() {
    let kit = Kit::new(
        &[],
        Plan {
            unenforced: vec!["AuthorizationPolicy default/secret".into()],
            ..Plan::default()
        },
    );
    let details = "unenforced_policy[AuthorizationPolicy_default/secret]";
    check(&kit, 403, "RBAC: access denied", "-", details).await;

    let of_port = RouteTable {
        unenforced: vec!["RequestAuthentication default/jwt".into()],
        ..table(vec![forward()])
    };
    let kit = Kit::new(
        &[],
        Plan {
            table: Some(of_port),
            ..Plan::default()
        },
    );
    let details = "unenforced_policy[RequestAuthentication_default/jwt]";
    check(&kit, 403, "RBAC: access denied", "-", details).await;
}

#[tokio::test]
async fn a_port_of_which_nothing_was_told_is_passed_to_nobody() {
    let calls = Calls::default();
    let counted = calls.clone();
    let address = backend(Version::HTTP_11, move |_| {
        counted.next();
        async { Ok(text("ok")) }
    })
    .await;
    let kit = Kit::new(&[address], Plan::default());
    kit.forget_table();
    check(&kit, 503, "", "NR", "route_table_missing").await;
    assert_eq!(calls.count(), 0);
    // One that says nothing of HTTP leads to the service itself.
    let told = Kit::new(&[address], Plan::default());
    assert_eq!(told.ask(get("/")).await.body, "ok");
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_is_an_upstream_failure() {
    let kit = Kit::new(&[nobody().await], Plan::default());
    let answered = kit.ask(get("/")).await;
    assert_eq!(answered.status(), 503);
    assert!(
        answered.body.starts_with(
            "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
        ),
        "{}",
        answered.body
    );
    let line = kit.line();
    assert_eq!(line["flags"], "UF");
    assert_eq!(
        line["details"],
        "upstream_reset_before_response_started{remote_connection_failure}"
    );
}

#[tokio::test]
async fn a_backend_over_its_limit_says_so() {
    let mut plan = Plan::default();
    plan.policy.pool.max_requests = Some(0);
    let kit = Kit::new(&[nobody().await], plan);
    let answered = kit.ask(get("/")).await;
    assert_eq!(answered.status(), 503);
    assert_eq!(
        answered.body,
        "upstream connect error or disconnect/reset before headers. reset reason: overflow"
    );
    assert_eq!(answered.header("x-envoy-overloaded"), Some("true"));
    assert_eq!(kit.line()["flags"], "UO");
}

#[tokio::test]
async fn a_client_of_grpc_gets_a_status_of_grpc() {
    let kit = Kit::new(&[], Plan::default());
    let mut request = get("/reviews.Reviews/List");
    request
        .headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    let answered = kit.ask(request).await;
    assert_eq!(answered.status(), 200);
    assert_eq!(answered.header("grpc-status"), Some("14"));
    assert_eq!(answered.header("grpc-message"), Some("no healthy upstream"));
    let line = kit.line();
    assert_eq!(line["code"], 200);
    assert_eq!(line["grpc"], 14);
    assert_eq!(line["flags"], "UH");
    assert!(kit.requests_total().contains("request_protocol=\"grpc\""));
}

fn with_rule(rule: mesh::route::HttpRule) -> Kit {
    Kit::new(
        &[],
        Plan {
            table: Some(table(vec![rule])),
            ..Plan::default()
        },
    )
}

#[tokio::test]
async fn a_rule_may_answer_and_its_headers_are_edited() {
    let mut rule = mesh::route::HttpRule::new(mesh::route::Action::Respond(DirectResponse {
        status: 503,
        body: b"maintenance".as_slice().into(),
    }));
    rule.name = "closed".into();
    rule.response_headers.set.push(HeaderText {
        name: "x-path".into(),
        value: "%REQ(:PATH)% %REQ(x-user)%".into(),
    });
    let kit = with_rule(rule);
    let mut request = get("/x");
    request
        .headers_mut()
        .insert("x-user", "ann".parse().unwrap());
    let answered = kit.ask(request).await;
    assert_eq!((answered.status(), &*answered.body), (503, "maintenance"));
    assert_eq!(answered.header("x-path"), Some("/x ann"));
    let line = kit.line();
    assert_eq!(line["details"], "direct_response");
    assert_eq!(line["route"], "closed");
    assert_eq!(line["flags"], "-");
}

#[tokio::test]
async fn a_client_of_grpc_gets_the_answer_of_a_rule_as_a_status() {
    let rule = mesh::route::HttpRule::new(mesh::route::Action::Respond(DirectResponse {
        status: 404,
        body: b"no such thing".as_slice().into(),
    }));
    let kit = with_rule(rule);
    let mut request = get("/a.B/C");
    request
        .headers_mut()
        .insert("content-type", "application/grpc+proto".parse().unwrap());
    let answered = kit.ask(request).await;
    assert_eq!(answered.status(), 200);
    assert_eq!(answered.header("grpc-status"), Some("12"));
    let line = kit.line();
    assert_eq!(
        (&line["grpc"], &line["details"]),
        (&12.into(), &"direct_response".into())
    );
}

#[tokio::test]
async fn clients_of_a_namespace_may_have_rules_of_their_own() {
    let answer = |text: &'static str| {
        let rule = mesh::route::HttpRule::new(mesh::route::Action::Respond(DirectResponse {
            status: 200,
            body: text.as_bytes().into(),
        }));
        mesh::route::HttpRules::new(vec![rule])
    };
    for (namespace, expected) in [("default", "theirs"), ("other", "everybody's")] {
        let routes = RouteTable {
            http: Some(answer("everybody's")),
            consumers: [(namespace.into(), answer("theirs"))].into(),
            ..table(Vec::new())
        };
        let kit = Kit::new(
            &[],
            Plan {
                table: Some(routes),
                ..Plan::default()
            },
        );
        assert_eq!(kit.ask(get("/")).await.body, expected);
    }
}

#[tokio::test]
async fn a_rule_may_redirect() {
    let rule = mesh::route::HttpRule::new(mesh::route::Action::Redirect(Redirect {
        scheme: Some("https".into()),
        authority: None,
        port: RedirectPort::Scheme,
        path: None,
        status: 308,
    }));
    let kit = with_rule(rule);
    let answered = kit.ask(get("/x?y=1")).await;
    assert_eq!(answered.status(), 308);
    assert_eq!(answered.header("location"), Some("https://reviews/x?y=1"));
    assert_eq!(kit.line()["details"], "direct_response");
}

#[tokio::test]
async fn failures_on_purpose_are_told() {
    let fault = Fault {
        delay: Some(Delay {
            duration: std::time::Duration::from_millis(1),
            share: Share::ALL,
        }),
        abort: Some(Abort {
            status: AbortStatus::Http(418),
            share: Share::ALL,
        }),
    };
    let kit = with_rule(mesh::route::HttpRule {
        fault: Some(fault),
        ..forward()
    });
    check(
        &kit,
        418,
        "fault filter abort",
        "DI,FI",
        "fault_filter_abort",
    )
    .await;
}

#[tokio::test]
async fn a_preflight_is_answered_and_a_failure_still_says_for_whom_it_is() {
    let cors = Cors {
        allow_origins: vec![StringMatch::Exact("https://a.example".into())],
        allow_methods: "GET".into(),
        ..Cors::default()
    };
    let kit = with_rule(mesh::route::HttpRule {
        cors: Some(cors),
        ..forward()
    });
    let mut preflight = get("/");
    *preflight.method_mut() = Method::OPTIONS;
    let headers = preflight.headers_mut();
    headers.insert("origin", "https://a.example".parse().unwrap());
    headers.insert("access-control-request-method", "GET".parse().unwrap());
    let answered = kit.ask(preflight).await;
    assert_eq!(answered.status(), 200);
    assert_eq!(answered.header("access-control-allow-methods"), Some("GET"));
    assert_eq!(kit.line()["details"], "cors_response");

    let mut request = get("/");
    request
        .headers_mut()
        .insert("origin", "https://a.example".parse().unwrap());
    let answered = kit.ask(request).await;
    assert_eq!(answered.status(), 503);
    assert_eq!(
        answered.header("access-control-allow-origin"),
        Some("https://a.example")
    );
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let kit = Kit::new(&[], Plan::default());
    let mut nameless = get("/");
    nameless.headers_mut().remove("host");
    assert_eq!(kit.ask(nameless).await.status(), 400);
    assert_eq!(kit.line()["details"], "missing_host_header");
    assert_eq!(kit.ask(get("/a/..%2fb")).await.status(), 400);
    assert_eq!(kit.line()["details"], "path_normalization_failed");
    let mut connect = get("/");
    *connect.method_mut() = Method::CONNECT;
    assert_eq!(kit.ask(connect).await.status(), 403);
    assert_eq!(kit.line()["details"], "upgrade_failed");
    let served = serve(&kit.session, get("/"), Some(Refusal::Fold)).await;
    assert_eq!(served.status(), 400);
    served.into_body().collect().await.unwrap();
    let line = kit.line();
    assert_eq!(line["flags"], "DPE");
    assert_eq!(line["details"], "http1.codec_error");
}

#[tokio::test]
async fn a_head_request_has_no_body() {
    let kit = Kit::new(&[], Plan::default());
    let mut head = get("/");
    *head.method_mut() = Method::HEAD;
    let answered = kit.ask(head).await;
    assert_eq!((answered.status(), &*answered.body), (503, ""));
    assert_eq!(answered.header("content-length"), Some("19"));
}

#[tokio::test]
async fn what_is_set_for_the_response_is_in_the_place_of_the_backend_s() {
    let address = backend(Version::HTTP_11, |_| async {
        let mut response = text("x");
        response
            .headers_mut()
            .insert("x-a", "theirs".parse().unwrap());
        response
            .headers_mut()
            .insert("x-b", "theirs".parse().unwrap());
        response
            .headers_mut()
            .insert("keep-alive", "timeout=5".parse().unwrap());
        Ok(response)
    })
    .await;
    let mut rule = forward();
    rule.response_headers = HeaderEdits {
        set: vec![HeaderText {
            name: "x-a".into(),
            value: "%UPSTREAM_HOST% %RESPONSE_CODE%".into(),
        }],
        add: Vec::new(),
        remove: vec!["x-b".into()],
    };
    let kit = Kit::new(
        &[address],
        Plan {
            table: Some(table(vec![rule])),
            ..Plan::default()
        },
    );
    let answered = kit.ask(get("/")).await;
    assert_eq!(answered.header("x-a"), Some(&*format!("{address} 200")));
    assert_eq!(answered.header("x-b"), None);
    assert_eq!(answered.header("keep-alive"), None);
}
