//! Tests of headers that end at this hop.

use super::*;

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

fn check(before: &[(&'static str, &'static str)], after: &[(&'static str, &'static str)]) {
    let mut found = headers(before);
    strip_request(&mut found, Version::HTTP_11);
    assert_eq!(found, headers(after), "{before:?}");
}

#[test]
fn headers_of_one_connection_do_not_go_on() {
    check(
        &[
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("accept", "*/*"),
        ],
        &[("accept", "*/*")],
    );
}

#[test]
fn headers_that_connection_names_do_not_go_on() {
    check(
        &[
            ("connection", "X-Hop , close"),
            ("x-hop", "1"),
            ("x-end", "2"),
        ],
        &[("x-end", "2")],
    );
}

#[test]
fn connection_cannot_take_away_what_is_meant_for_the_backend() {
    check(
        &[
            (
                "connection",
                "host, content-length, authorization, x-forwarded-for, x-request-id",
            ),
            ("host", "a"),
            ("content-length", "1"),
            ("authorization", "b"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-request-id", "c"),
        ],
        &[
            ("host", "a"),
            ("content-length", "1"),
            ("authorization", "b"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-request-id", "c"),
        ],
    );
}

#[test]
fn te_keeps_trailers_only() {
    check(&[("te", "trailers")], &[("te", "trailers")]);
    check(
        &[("te", "gzip;q=0.5, Trailers"), ("connection", "TE")],
        &[("te", "trailers")],
    );
    check(&[("te", "gzip")], &[]);
}

#[test]
fn expect_continue_ends_here_and_other_expectations_go_on() {
    check(&[("expect", "100-Continue")], &[]);
    check(&[("expect", "moon")], &[("expect", "moon")]);
}

#[test]
fn a_backend_is_asked_for_100_where_the_engine_cannot_say_it() {
    let mut found = headers(&[("expect", "100-continue")]);
    strip_request(&mut found, Version::HTTP_2);
    assert_eq!(found, headers(&[("expect", "100-continue")]));
}

#[test]
fn chunks_override_the_length_of_a_response() {
    let mut found = headers(&[("transfer-encoding", "chunked"), ("content-length", "5")]);
    strip_response(&mut found);
    assert_eq!(found, headers(&[]));
    let mut found = headers(&[("content-length", "5")]);
    strip_response(&mut found);
    assert_eq!(found, headers(&[("content-length", "5")]));
}

#[test]
fn cookies_that_came_apart_are_one_header() {
    check(
        &[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")],
        &[("cookie", "a=1; b=2; c=3")],
    );
    check(&[("cookie", "a=1; b=2")], &[("cookie", "a=1; b=2")]);
}

#[test]
fn only_a_websocket_is_an_upgrade() {
    let of = |pairs: &[(&str, &str)], version| {
        let mut request = Request::builder().version(version);
        for (name, value) in pairs {
            request = request.header(*name, *value);
        }
        switch(&request.body(()).unwrap())
    };
    let websocket = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
    ];
    assert_eq!(of(&websocket, Version::HTTP_11), Switch::WebSocket);
    assert_eq!(of(&websocket, Version::HTTP_2), Switch::No);
    assert_eq!(of(&websocket, Version::HTTP_10), Switch::No);
    let h2c = [
        ("connection", "Upgrade, HTTP2-Settings"),
        ("upgrade", "h2c"),
    ];
    assert_eq!(of(&h2c, Version::HTTP_11), Switch::No);
    assert_eq!(
        of(&[("upgrade", "websocket")], Version::HTTP_11),
        Switch::No,
        "without `connection: upgrade` it is not asked for"
    );
}

#[test]
fn connect_is_told_from_an_extended_connect() {
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .version(Version::HTTP_2)
        .body(())
        .unwrap();
    assert_eq!(switch(&request), Switch::Connect);
    request
        .extensions_mut()
        .insert(hyper::ext::Protocol::from_static("websocket"));
    assert_eq!(switch(&request), Switch::WebSocketStream);
    request
        .extensions_mut()
        .insert(hyper::ext::Protocol::from_static("connect-udp"));
    assert_eq!(switch(&request), Switch::Connect);
}
