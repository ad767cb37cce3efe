//! Questions by HTTP, and what answers to them mean.

use bytes::Bytes;
use http::{Request, Response};
use mesh::access::{authorization::TextMatch, external::HttpCheck};

use super::{question, read};
use crate::{
    access::external::{Failed, body::Sample, verdict::Verdict},
    body::Body,
    request::call::Place,
};

fn request(headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder()
        .method("PUT")
        .uri("/a/b?c=d")
        .header("host", "reviews:80");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::Empty).unwrap()
}

fn header<'h, B>(question: &'h Request<B>, name: &str) -> Option<&'h str> {
    question
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap())
}

fn exact(name: &str) -> TextMatch {
    TextMatch::Exact(name.into())
}

#[test]
fn the_head_alone_is_sent_and_no_header_that_nobody_asked_for() {
    let request = request(&[
        ("authorization", "Bearer x"),
        ("cookie", "a=b"),
        ("x-other", "1"),
        ("content-length", "9"),
    ]);
    let question = question(&HttpCheck::default(), &request, None).unwrap();
    assert_eq!(question.method(), "PUT");
    assert_eq!(question.uri(), "/a/b?c=d");
    assert!(question.body().is_empty());
    let mut names: Vec<_> = question
        .headers()
        .keys()
        .map(|name| name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["authorization", "content-length", "host"]);
    assert_eq!(header(&question, "host"), Some("reviews:80"));
    assert_eq!(header(&question, "content-length"), Some("0"));
}

#[test]
fn the_authority_of_http2_becomes_the_host() {
    let request = Request::builder()
        .uri("http://reviews.example:81/x")
        .body(Body::Empty)
        .unwrap();
    let question = question(&HttpCheck::default(), &request, None).unwrap();
    assert_eq!(header(&question, "host"), Some("reviews.example:81"));
    assert_eq!(question.uri(), "/x");
}

#[test]
fn patterns_choose_headers_and_additional_ones_win() {
    let how = HttpCheck {
        path_prefix: "/check".into(),
        include_headers: vec![
            exact("cookie"),
            TextMatch::Prefix("x-a-".into()),
            TextMatch::Suffix("-id".into()),
        ],
        additional_headers: vec![
            ("x-a-fixed".into(), "ours".into()),
            ("content-length".into(), "5".into()),
        ],
        ..HttpCheck::default()
    };
    let request = request(&[
        ("cookie", "a=b"),
        ("x-a-one", "1"),
        ("x-a-one", "2"),
        ("x-a-fixed", "client's"),
        ("trace-id", "3"),
        ("x-b", "4"),
    ]);
    let question = question(&how, &request, None).unwrap();
    assert_eq!(question.uri(), "/check/a/b?c=d");
    assert_eq!(header(&question, "cookie"), Some("a=b"));
    assert_eq!(header(&question, "x-a-one"), Some("1,2"));
    assert_eq!(header(&question, "x-a-fixed"), Some("ours"));
    assert_eq!(header(&question, "trace-id"), Some("3"));
    assert_eq!(header(&question, "x-b"), None);
    assert_eq!(header(&question, "content-length"), Some("0"));
    assert_eq!(question.headers().len(), 6);
}

#[test]
fn headers_of_the_connection_are_not_sent_even_if_all_are_asked_for() {
    let how = HttpCheck {
        include_headers: vec![TextMatch::Present],
        ..HttpCheck::default()
    };
    let request = request(&[
        ("connection", "close, x-secret"),
        ("keep-alive", "1"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("expect", "100-continue"),
        ("trailer", "x"),
        ("proxy-connection", "close"),
        ("content-length", "77"),
        ("x-kept", "1"),
    ]);
    let question = question(&how, &request, None).unwrap();
    let mut names: Vec<_> = question
        .headers()
        .keys()
        .map(|name| name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "host", "x-kept"]);
    assert_eq!(header(&question, "content-length"), Some("0"));
}

#[test]
fn whether_a_body_is_whole_is_ours_to_say() {
    let how = HttpCheck {
        include_headers: vec![TextMatch::Present],
        ..HttpCheck::default()
    };
    let request = request(&[("x-envoy-auth-partial-body", "false")]);
    let none = question(&how, &request, None).unwrap();
    assert_eq!(header(&none, "x-envoy-auth-partial-body"), None);
    for (is_partial, text) in [(true, "true"), (false, "false")] {
        let sample = Sample::made(Bytes::from_static(b"\xff\x00body"), is_partial);
        let question = question(&how, &request, Some(&sample)).unwrap();
        assert_eq!(header(&question, "x-envoy-auth-partial-body"), Some(text));
        assert_eq!(header(&question, "content-length"), Some("6"));
        assert_eq!(question.body(), &sample.bytes);
    }
}

#[test]
fn a_prefix_that_makes_no_path_asks_nothing() {
    let how = HttpCheck {
        path_prefix: "/a b".into(),
        ..HttpCheck::default()
    };
    let failed = question(&how, &request(&[]), None).unwrap_err();
    assert!(matches!(failed, Failed::Path), "{failed}");
    // A client has its part in the path's length, and must not choose so whether anybody is asked.
    assert!(!failed.is_its_own());
}

fn answer(status: u16, headers: &[(&str, &str)], body: &'static str) -> Response<Bytes> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Bytes::from_static(body.as_bytes())).unwrap()
}

#[test]
fn only_200_lets_pass_and_what_begins_with_5_is_no_answer() {
    let how = HttpCheck::default();
    for status in [200, 201, 204, 301, 302, 401, 403, 404, 407, 429, 499] {
        let verdict = read(&how, answer(status, &[], "")).unwrap();
        match verdict {
            Verdict::Allow(_) => assert_eq!(status, 200),
            Verdict::Deny(denial) => {
                assert_eq!(denial.status, status);
                assert_ne!(status, 200);
            }
        }
    }
    for status in [500, 502, 503, 504, 599, 101, 700] {
        let failed = read(&how, answer(status, &[], "")).unwrap_err();
        assert!(matches!(failed, Failed::Status(_)), "{status}");
    }
}

#[test]
fn headers_of_a_yes_go_where_lists_say() {
    let how = HttpCheck {
        upstream_on_allow: vec![TextMatch::Prefix("x-user".into()), TextMatch::Present],
        downstream_on_allow: vec![TextMatch::Suffix("-cookie".into())],
        ..HttpCheck::default()
    };
    let answer = answer(
        200,
        &[
            ("x-user-id", "7"),
            ("x-user-id", "8"),
            ("set-cookie", "a=b"),
            ("connection", "x-hidden"),
            ("x-hidden", "1"),
            ("content-length", "3"),
            ("transfer-encoding", "chunked"),
            ("host", "elsewhere"),
            (
                "x-envoy-auth-headers-to-remove",
                "Cookie, host,,content-length,:path, x y, x-gone",
            ),
        ],
        "yes",
    );
    let Verdict::Allow(changes) = read(&how, answer).unwrap() else {
        panic!("it says yes");
    };
    let upstream: Vec<_> = changes
        .request
        .iter()
        .map(|header| {
            (
                header.name.as_str(),
                header.value.to_str().unwrap(),
                header.place,
            )
        })
        .collect();
    assert_eq!(
        upstream,
        [
            ("x-user-id", "7", Place::Instead),
            ("x-user-id", "8", Place::Instead),
            ("set-cookie", "a=b", Place::Instead),
        ]
    );
    assert_eq!(changes.response.len(), 1);
    assert_eq!(changes.response[0].name, "set-cookie");
    assert_eq!(changes.response[0].place, Place::Beside);
    assert_eq!(changes.remove, ["cookie", "x-gone"]);
}

#[test]
fn without_lists_a_yes_changes_nothing_and_a_no_tells_everything() {
    let headers = [
        ("x-one", "1"),
        ("set-cookie", "a"),
        ("set-cookie", "b"),
        ("location", "https://login"),
        ("host", "x"),
        ("keep-alive", "1"),
        ("content-length", "2"),
        ("x-envoy-auth-headers-to-remove", "y"),
    ];
    let how = HttpCheck::default();
    let Verdict::Allow(changes) = read(&how, answer(200, &headers, "ok")).unwrap() else {
        panic!("it says yes");
    };
    assert!(changes.request.is_empty() && changes.response.is_empty());
    let Verdict::Deny(denial) = read(&how, answer(302, &headers, "go")).unwrap() else {
        panic!("it says no");
    };
    let told: Vec<_> = denial
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("x-one", "1"),
            ("set-cookie", "a"),
            ("set-cookie", "b"),
            ("location", "https://login"),
        ]
    );
    assert_eq!(denial.body, "go");
}

#[test]
fn a_list_for_a_no_leaves_what_every_client_needs() {
    let how = HttpCheck {
        downstream_on_deny: vec![exact("x-why")],
        ..HttpCheck::default()
    };
    let headers = [
        ("x-why", "1"),
        ("x-other", "2"),
        ("www-authenticate", "Basic"),
        ("location", "/login"),
    ];
    let Verdict::Deny(denial) = read(&how, answer(401, &headers, "")).unwrap() else {
        panic!("it says no");
    };
    let names: Vec<_> = denial
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["x-why", "www-authenticate", "location"]);
}
