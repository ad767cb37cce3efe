//! Tests of our own answers: texts, flags, and their form for gRPC.

use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::*;

async fn check(reply: &Reply, status: u16, body: &str, flag: Option<&str>, details: &str) {
    assert_eq!(reply.flag.map(ResponseFlag::as_str), flag);
    assert_eq!(&*reply.details, details);
    let response = reply.response(false);
    assert_eq!(response.status(), status);
    let length = response.headers().get(CONTENT_LENGTH).cloned();
    let found = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(found, body);
    if !body.is_empty() {
        assert_eq!(length, Some(HeaderValue::from(body.len())));
    }
}

#[tokio::test]
async fn answers_are_worded_as_envoy_words_them() {
    check(&Reply::no_route(), 404, "", Some("NR"), "route_not_found").await;
    check(
        &Reply::no_host(),
        503,
        "no healthy upstream",
        Some("UH"),
        "no_healthy_upstream",
    )
    .await;
    check(
        &Reply::timed_out(),
        504,
        "upstream request timeout",
        Some("UT"),
        "response_timeout",
    )
    .await;
    check(
        &Reply::attempt_timed_out(),
        504,
        "upstream request timeout",
        Some("UT"),
        "upstream_per_try_timeout",
    )
    .await;
    check(
        &Reply::overflow(),
        503,
        "upstream connect error or disconnect/reset before headers. reset reason: overflow",
        Some("UO"),
        "upstream_reset_before_response_started{overflow}",
    )
    .await;
    check(
        &Reply::aborted(AbortStatus::Http(418)),
        418,
        "fault filter abort",
        Some("FI"),
        "fault_filter_abort",
    )
    .await;
    check(
        &Reply::malformed_path(),
        400,
        "",
        None,
        "path_normalization_failed",
    )
    .await;
}

#[tokio::test]
async fn a_missing_backend_has_the_status_of_its_route() {
    for status in [500, 503] {
        let missing = Missing {
            status,
            name: "default/nowhere".into(),
        };
        check(
            &Reply::missing(&missing),
            status,
            "",
            Some("NC"),
            "cluster_not_found",
        )
        .await;
    }
}

#[tokio::test]
async fn only_the_log_names_a_policy() {
    let reply = Reply::unenforced(&Name::from("AuthorizationPolicy default/secret"));
    check(
        &reply,
        403,
        "RBAC: access denied",
        None,
        "unenforced_policy[AuthorizationPolicy default/secret]",
    )
    .await;
    let response = reply.response(true);
    assert_eq!(response.headers()["grpc-message"], "RBAC: access denied");
}

#[test]
fn overload_is_said_in_a_header() {
    assert_eq!(
        Reply::overflow().response(false).headers()["x-envoy-overloaded"],
        "true"
    );
    assert!(
        !Reply::no_host()
            .response(false)
            .headers()
            .contains_key("x-envoy-overloaded")
    );
}

#[test]
fn a_client_of_grpc_gets_200_and_a_status() {
    for (status, grpc) in [
        (400, "13"),
        (401, "16"),
        (403, "7"),
        (404, "12"),
        (429, "14"),
        (502, "14"),
        (503, "14"),
        (504, "14"),
        (500, "2"),
        (418, "2"),
    ] {
        let response = Reply::aborted(AbortStatus::Http(status)).response(true);
        assert_eq!(response.status(), 200, "{status}");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc");
        assert_eq!(response.headers()["grpc-status"], grpc, "{status}");
        assert_eq!(response.headers()["grpc-message"], "fault filter abort");
        assert!(response.body().is_end_stream());
    }
    let exact = Reply::aborted(AbortStatus::Grpc(5));
    assert_eq!(exact.response(true).headers()["grpc-status"], "5");
    assert_eq!(exact.response(false).status(), 404);
}

#[test]
fn a_message_of_grpc_is_percent_encoded() {
    assert_eq!(
        grpc_message("100% \u{e9}\n".as_bytes()),
        Some(HeaderValue::from_static("100%25 %C3%A9%0A"))
    );
    assert_eq!(grpc_message(b""), None);
}

#[test]
fn a_redirect_has_a_location_and_no_body() {
    let response = redirect(308, "https://a.example/b");
    assert_eq!(response.status(), 308);
    assert_eq!(response.headers()[LOCATION], "https://a.example/b");
    assert!(response.body().is_end_stream());
}

#[tokio::test]
async fn a_fixed_answer_is_text() {
    let answer = DirectResponse {
        status: 503,
        body: b"maintenance".as_slice().into(),
    };
    let in_grpc = direct(&answer, true);
    assert_eq!(in_grpc.status(), 200);
    assert_eq!(in_grpc.headers()["grpc-status"], "14");
    assert_eq!(in_grpc.headers()["grpc-message"], "maintenance");
    let response = direct(&answer, false);
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()[CONTENT_TYPE], "text/plain");
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "maintenance"
    );
}
