//! Tests of answers to preflights, and of headers on others.

use mesh::route::StringMatch;

use super::*;

fn cors() -> Cors {
    Cors {
        allow_origins: vec![StringMatch::Exact("https://a.example".into())],
        allow_methods: "GET,POST".into(),
        allow_headers: "x-one,x-two".into(),
        expose_headers: "x-three".into(),
        max_age: Some(600),
        allow_credentials: true,
        forward_unmatched: false,
    }
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect()
}

#[test]
fn a_preflight_is_answered_with_all_that_is_allowed() {
    let request = headers(&[
        ("origin", "https://a.example"),
        ("access-control-request-method", "POST"),
    ]);
    assert_eq!(
        judge(&cors(), &Method::OPTIONS, &request),
        Verdict::Answer(headers(&[
            ("access-control-allow-origin", "https://a.example"),
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-methods", "GET,POST"),
            ("access-control-allow-headers", "x-one,x-two"),
            ("access-control-max-age", "600"),
        ]))
    );
}

#[test]
fn a_preflight_that_is_declined_is_answered_with_nothing() {
    let request = headers(&[
        ("origin", "https://evil.example"),
        ("access-control-request-method", "POST"),
    ]);
    assert_eq!(
        judge(&cors(), &Method::OPTIONS, &request),
        Verdict::Answer(HeaderMap::new())
    );
}

#[test]
fn the_answer_to_a_request_says_for_whom_it_is() {
    let request = headers(&[("origin", "https://a.example")]);
    assert_eq!(
        judge(&cors(), &Method::GET, &request),
        Verdict::Allow(headers(&[
            ("access-control-allow-origin", "https://a.example"),
            ("access-control-allow-credentials", "true"),
            ("access-control-expose-headers", "x-three"),
        ]))
    );
}

#[test]
fn a_request_without_an_origin_or_of_another_one_goes_on() {
    assert_eq!(
        judge(&cors(), &Method::GET, &HeaderMap::new()),
        Verdict::Pass
    );
    let request = headers(&[("origin", "null")]);
    assert_eq!(judge(&cors(), &Method::GET, &request), Verdict::Pass);
}
