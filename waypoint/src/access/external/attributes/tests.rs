//! Texts that an authorizer of gRPC is told.

use http::{HeaderMap, HeaderValue};

use super::{text, texts};

#[test]
fn bytes_that_are_no_text_are_marked() {
    assert_eq!(text(b"a\xffb\xe2\x82c\xc3\xa9\xc3"), "a!b!!c\u{e9}!");
}

#[test]
fn values_of_one_name_are_joined_and_the_host_is_told_elsewhere() {
    let mut headers = HeaderMap::new();
    headers.append("x-a", HeaderValue::from_static("1"));
    headers.append("x-a", HeaderValue::from_static("2"));
    headers.insert("host", HeaderValue::from_static("reviews"));
    let no = HeaderValue::from_static("false");
    headers.insert("x-envoy-auth-partial-body", no);
    let texts: Vec<_> = texts(&headers).into_iter().collect();
    assert_eq!(texts, [("x-a".to_owned(), "1,2".to_owned())]);
}
