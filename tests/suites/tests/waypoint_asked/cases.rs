//! Requests about which an authorizer is asked, and an authorizer that answers alike by both protocols.
//!
//! In: a path, and how a request differs from a plain GET. Out: requests; answers, by the path that is asked about.

use http::Response;
use suites::asked::{Answer, Question, authorizer};
use suites::waypoint::Curl;
use wire::proto::external_auth::{HeaderAppendAction as Action, OkHttpResponse, QueryParameter};

use crate::login::say;

/// How a request differs from a plain GET.
pub(crate) type Change = for<'g> fn(Curl<'g>) -> Curl<'g>;

fn plain(curl: Curl<'_>) -> Curl<'_> {
    curl
}

fn http2(curl: Curl<'_>) -> Curl<'_> {
    curl.http2()
}

fn chunked(curl: Curl<'_>) -> Curl<'_> {
    curl.header("transfer-encoding: chunked")
}

/// Path, name of what is special, and how.
pub(crate) const REQUESTS: &[(&str, &str, Change)] = &[
    ("/plain", "", plain),
    ("/plain", "HTTP/2", http2),
    ("/plain", "HEAD", |curl| curl.method("HEAD")),
    ("/plain", "POST", |curl| curl.method("POST")),
    ("/plain", "PUT", |curl| curl.method("PUT")),
    ("/plain", "DELETE", |curl| curl.method("DELETE")),
    ("/plain", "PATCH", |curl| curl.method("PATCH")),
    ("/plain", "OPTIONS", |curl| curl.method("OPTIONS")),
    ("/plain", "PURGE", |curl| curl.method("PURGE")),
    ("/a/../b", "", plain),
    ("/a/./b/", "", plain),
    ("/a%2fb", "", plain),
    ("/%61%2E%2e/b", "", plain),
    ("/a//b", "", plain),
    ("/a%20b;c=d", "", plain),
    ("/a%C3%A4b", "", plain),
    ("/a?b=c&d=%20&e", "", plain),
    ("/a?", "", plain),
    ("/a?x=/../y", "", plain),
    ("/headers", "asked", |curl| {
        curl.header("x-ask-one: 1")
            .header("X-Ask-Two: 2")
            .header("x-other: 3")
    }),
    ("/headers", "twice", |curl| {
        curl.header("x-ask-one: 1")
            .header("x-ask-one: 2")
            .header("x-two: 1")
            .header("x-two: 2")
    }),
    ("/headers", "empty", |curl| {
        curl.header("x-ask-empty;").header("x-empty;")
    }),
    ("/headers", "authorization", |curl| {
        curl.header("authorization: Basic abc")
    }),
    ("/headers", "cookies", |curl| {
        curl.header("cookie: a=1; b=2")
    }),
    ("/headers", "text", |curl| curl.header("x-ask-text: \u{e4}")),
    ("/headers", "partial", |curl| {
        curl.header("x-envoy-auth-partial-body: true")
    }),
    ("/headers", "own", |curl| curl.header("x-from: client")),
    ("/headers", "authority", |curl| {
        curl.authority("other.example:8080")
    }),
    ("/body", "short", |curl| curl.body(vec![b'x'; 10])),
    ("/body", "at the limit", |curl| curl.body(vec![b'x'; 100])),
    ("/body", "over the limit", |curl| curl.body(vec![b'x'; 101])),
    ("/body", "far over the limit", |curl| {
        curl.body(vec![b'x'; 100_000])
    }),
    ("/body", "bytes", |curl| curl.body(vec![0, 255, 128, 10])),
    ("/body", "chunked", |curl| {
        chunked(curl.body(vec![b'x'; 10]))
    }),
    ("/body", "chunked at the limit", |curl| {
        chunked(curl.body(vec![b'x'; 100]))
    }),
    ("/body", "chunked over the limit", |curl| {
        chunked(curl.body(vec![b'x'; 101]))
    }),
    ("/body", "HTTP/2 at the limit", |curl| {
        curl.body(vec![b'x'; 100]).http2()
    }),
    ("/body", "HTTP/2 over the limit", |curl| {
        curl.body(vec![b'x'; 101]).http2()
    }),
    ("/mutate", "", plain),
    ("/mutate", "spoofed", |curl| {
        curl.header("x-user: admin")
            .header("x-more: 1")
            .header("x-secret: s")
            .header("x-absent: old")
    }),
    ("/mutate?user=admin&token=t&x=%20", "query", plain),
    ("/deny/401", "", plain),
    ("/deny/401", "HTTP/2", http2),
    ("/deny/401", "HEAD", |curl| curl.method("HEAD")),
    ("/deny/302", "", plain),
    ("/deny/403", "body", |curl| curl.body(vec![b'x'; 10])),
    ("/deny/404", "", plain),
    ("/deny/429", "", plain),
    ("/deny/201", "", plain),
    ("/error", "", plain),
];

/// The status that a path asks the authorizer to refuse with.
fn denied(path: &str) -> Option<u16> {
    path.strip_prefix("/deny/")?.get(..3)?.parse().ok()
}

const DENIAL: &[(&str, &str)] = &[
    ("x-why", "because"),
    ("set-cookie", "a=1"),
    ("set-cookie", "b=2"),
    ("location", "/login"),
    ("www-authenticate", "Basic"),
    ("content-type", "text/html"),
    ("x-inner", "not listed"),
];

/// Answers by HTTP.
pub(crate) fn by_http_says(question: &Question) -> Response<Answer> {
    let path = question.request.uri().path();
    if let Some(status) = denied(path) {
        return say(status, DENIAL, "no");
    }
    match path {
        "/error" => say(500, &[], "oops"),
        "/mutate" => {
            let headers = [
                ("x-user", "alice"),
                ("x-down", "seen"),
                ("x-inner", "i"),
                ("x-envoy-auth-headers-to-remove", "x-secret"),
            ];
            say(200, &headers, "")
        }
        _ => say(200, &[], ""),
    }
}

/// Answers by gRPC.
pub(crate) fn by_grpc_says(question: &Question) -> Response<Answer> {
    let asked = authorizer::question(question).unwrap_or_default();
    let path = authorizer::request(&asked)
        .map(|it| it.path.as_str())
        .unwrap_or_default();
    if let Some(status) = denied(path) {
        return authorizer::deny(i32::from(status), DENIAL, "no");
    }
    if path == "/error" {
        return authorizer::fail(14);
    }
    if !path.starts_with("/mutate") {
        return authorizer::allow(&[]);
    }
    let mut added = authorizer::option("x-more", "2", Action::default());
    added.append = Some(true);
    authorizer::answer(&authorizer::allowed(OkHttpResponse {
        headers: vec![
            authorizer::option("x-user", "alice", Action::default()),
            authorizer::option("x-absent", "new", Action::AddIfAbsent),
            authorizer::option("x-over", "new", Action::OverwriteIfExistsOrAdd),
            added,
        ],
        headers_to_remove: vec!["x-secret".to_owned()],
        response_headers_to_add: vec![authorizer::option("x-down", "seen", Action::default())],
        query_parameters_to_set: vec![QueryParameter {
            key: "user".to_owned(),
            value: "alice".to_owned(),
        }],
        query_parameters_to_remove: vec!["token".to_owned()],
        ..OkHttpResponse::default()
    }))
}
