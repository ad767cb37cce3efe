//! Answers as servers send them.

use super::parse;

fn body(answer: &str) -> Option<String> {
    parse(answer.as_bytes())
        .ok()
        .map(|response| response.text())
}

#[test]
fn a_body_of_given_length_ends_there() {
    assert_eq!(
        body("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokay").as_deref(),
        Some("ok")
    );
}

#[test]
fn chunks_are_joined() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n";
    assert_eq!(body(answer).as_deref(), Some("abc0123456789"));
}

#[test]
fn a_body_that_is_cut_short_is_an_error() {
    assert_eq!(
        body("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nokay"),
        None
    );
    assert_eq!(
        body("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabc"),
        None
    );
    assert_eq!(body("HTTP/1.1 200 OK\r\n"), None);
}

#[test]
fn status_and_headers_are_read() {
    let response =
        parse(b"HTTP/1.1 503 Not Ready\r\nX-Reason: no: pods\r\n\r\n").expect("an answer");
    assert_eq!(
        (response.status, response.header("x-reason")),
        (503, Some("no: pods"))
    );
}
