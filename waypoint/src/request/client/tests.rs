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
    for (name, is_one) in [
        ("x-forwarded-for", true),
        ("x_forwarded_for", true),
        ("x-forwarded_for", true),
        ("X_Forwarded-Proto", true),
        ("x-forwarded-host", true),
        ("x-forwarded-port", true),
        ("x-forwarded-prefix", true),
        ("x-forwarded-for-original", true),
        ("x-envoy-external-address", true),
        ("X_Envoy_External_Address", true),
        ("forwarded", true),
        ("x-real-ip", true),
        ("x_real_ip", true),
        ("x-forwarded", false),
        ("xx-forwarded-for", false),
        ("forwarded-for", false),
        ("x-real-ips", false),
        ("x-request-id", false),
    ] {
        let found = HeaderName::from_bytes(name.as_bytes()).unwrap();
        assert_eq!(is_of_clients(&found), is_one, "{name}");
    }
}
