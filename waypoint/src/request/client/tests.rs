//! Tests of how addresses are read out of `x-forwarded-for`, and of which names are one.

use super::*;

fn forwarded(lines: &[&str]) -> HeaderMap {
    let lines = lines.iter().map(|line| line.parse().unwrap());
    lines.map(|line| (X_FORWARDED_FOR, line)).collect()
}

#[test]
fn addresses_are_counted_from_the_right_over_all_lines() {
    let headers = forwarded(&["192.0.2.1, 192.0.2.2", "192.0.2.3,\t192.0.2.4 "]);
    for (at, expected) in [(0, 4), (1, 3), (2, 2), (3, 1)] {
        assert_eq!(from_right(&headers, at), Some([192, 0, 2, expected].into()));
    }
    assert_eq!(from_right(&headers, 4), None);
    assert_eq!(from_right(&headers, usize::MAX), None);
    assert_eq!(from_right(&HeaderMap::new(), 0), None);
}

#[test]
fn an_address_is_read_as_proxies_write_it() {
    for (word, expected) in [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:40000", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:40000", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ] {
        let expected: IpAddr = expected.parse().unwrap();
        assert_eq!(from_right(&forwarded(&[word]), 0), Some(expected), "{word}");
    }
}

#[test]
fn what_is_no_address_is_not_skipped_for_one_that_the_client_wrote() {
    for last in [
        "",
        " ",
        "unknown",
        "_hidden",
        "192.0.2",
        "192.0.2.01",
        "192.0.2.1 192.0.2.2",
        "\"192.0.2.1\"",
        "for=192.0.2.1",
        "192.0.2.1;",
        "client.example",
        "fe80::1%eth0",
        "[2001:db8::1]",
        "192.0.2.1:",
        "192.0.2.1:99999",
        "3221225985",
    ] {
        let line = format!("198.51.100.7, {last}");
        assert_eq!(from_right(&forwarded(&[&line]), 0), None, "{last:?}");
    }
    let mut headers = forwarded(&["198.51.100.7"]);
    headers.append(
        X_FORWARDED_FOR,
        HeaderValue::from_bytes(b"192.0.2.\xb9").unwrap(),
    );
    assert_eq!(from_right(&headers, 0), None);
    // An empty line is a word, too.
    headers.append(X_FORWARDED_FOR, HeaderValue::from_static(""));
    assert_eq!(from_right(&headers, 0), None);
    assert_eq!(from_right(&headers, 2), Some([198, 51, 100, 7].into()));
}

#[test]
fn names_that_applications_cannot_tell_apart_go_together() {
    let mut headers = HeaderMap::new();
    for name in [
        "x-forwarded-for",
        "x_forwarded_for",
        "x-forwarded_for",
        "x-envoy-external-address",
        "X_Envoy_External_Address",
        "x-forwarded-for-original",
        "x-forwarded-fo",
        "forwarded",
    ] {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_static("1"),
        );
    }
    headers.append("x_forwarded_for", HeaderValue::from_static("2"));
    strip(&mut headers);
    let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(
        left,
        ["forwarded", "x-forwarded-fo", "x-forwarded-for-original"]
    );
}
