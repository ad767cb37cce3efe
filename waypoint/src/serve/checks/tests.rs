//! Heads of HTTP/2 with one meaning and without.

use http::Request;

use super::head;
use crate::http1::{MAX_FIELDS, MAX_HEAD_BYTES, Refusal};

fn judge(uri: &str, hosts: &[&str]) -> Result<(), Refusal> {
    let mut request = Request::get(uri);
    for host in hosts {
        request = request.header("host", *host);
    }
    head(&request.body(()).unwrap())
}

#[test]
fn a_request_names_one_host() {
    for (uri, hosts, expected) in [
        ("http://a/", &[][..], Ok(())),
        ("http://a:80/x?y", &["A:80"], Ok(())),
        ("/", &["a"], Ok(())),
        ("/", &[], Err(Refusal::MissingHost)),
        ("/", &[""], Err(Refusal::MissingHost)),
        ("http://a/", &["b"], Err(Refusal::HostMismatch)),
        ("http://a/", &["a:80"], Err(Refusal::HostMismatch)),
        ("http://a/", &["a", "a"], Err(Refusal::SeveralHosts)),
        ("/", &["a", "b"], Err(Refusal::SeveralHosts)),
        ("http://u@a/", &[], Err(Refusal::Host)),
        ("http://u:p@a/", &["u:p@a"], Err(Refusal::Host)),
        ("/", &["a, b"], Err(Refusal::Host)),
        ("/", &["a/b"], Err(Refusal::Host)),
    ] {
        assert_eq!(judge(uri, hosts), expected, "{uri} {hosts:?}");
    }
}

#[test]
fn heads_have_bounds() {
    let with = |count: usize, value: &str| {
        let request = (0..count).fold(Request::get("http://a/"), |request, n| {
            request.header(format!("x-{n}"), value)
        });
        head(&request.body(()).unwrap())
    };
    assert_eq!(with(MAX_FIELDS, "y"), Ok(()));
    assert_eq!(with(MAX_FIELDS + 1, "y"), Err(Refusal::TooMany));
    assert_eq!(with(1, &"y".repeat(MAX_HEAD_BYTES - 100)), Ok(()));
    assert_eq!(with(1, &"y".repeat(MAX_HEAD_BYTES)), Err(Refusal::TooLarge));
    let long = format!("http://a/{}", "x".repeat(MAX_HEAD_BYTES));
    assert_eq!(judge(&long, &[]), Err(Refusal::TooLarge));
}
