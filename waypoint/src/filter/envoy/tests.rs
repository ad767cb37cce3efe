//! Tests of which of Envoy's headers a client may send.

use std::time::Duration;

use super::*;

#[test]
fn no_client_speaks_for_a_proxy() {
    let mut headers = HeaderMap::new();
    for name in [
        "x-envoy-retry-on",
        "x-envoy-max-retries",
        "x-envoy-upstream-rq-timeout-ms",
        "x-envoy-original-path",
        "x-envoy-external-address",
        "x-envoy-force-trace",
        "x-envoy-hedge-on-per-try-timeout",
        "x-envoy-attempt-count",
        "x-envoy-decorator-operation",
        "x-forwarded-client-cert",
        "x-forwarded-for",
        "x-envoyer",
        "x_envoy_retry_on",
        "x_envoy_external_address",
        "x_forwarded-client_cert",
        "x-forwarded-client-certs",
    ] {
        headers.append(name, HeaderValue::from_static("1"));
    }
    headers.append("x-envoy-retry-on", HeaderValue::from_static("2"));
    sanitize(&mut headers);
    let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(
        left,
        [
            "x-envoy-external-address",
            "x-envoyer",
            "x-forwarded-client-certs",
            "x-forwarded-for"
        ]
    );
}

#[test]
fn a_request_without_an_id_gets_a_random_one() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut ids = std::collections::HashSet::new();
    for _ in 0..100 {
        let mut headers = HeaderMap::new();
        identify(&mut headers, &mut random);
        let id = headers[X_REQUEST_ID].to_str().unwrap().to_owned();
        assert_eq!(id.len(), 36);
        let bytes = id.as_bytes();
        assert_eq!(
            (bytes[8], bytes[13], bytes[18], bytes[23]),
            (b'-', b'-', b'-', b'-'),
            "{id}"
        );
        assert_eq!(bytes[14], b'4', "{id}: version");
        assert!(
            matches!(bytes[19], b'8' | b'9' | b'a' | b'b'),
            "{id}: variant"
        );
        assert!(
            bytes
                .iter()
                .all(|b| *b == b'-' || b.is_ascii_digit() || (b'a'..=b'f').contains(b)),
            "{id}"
        );
        assert_eq!(headers[X_FORWARDED_PROTO], "http");
        ids.insert(id);
    }
    assert_eq!(ids.len(), 100);
}

#[test]
fn an_id_and_a_scheme_that_are_there_stay() {
    let mut headers = HeaderMap::new();
    headers.insert(X_REQUEST_ID, HeaderValue::from_static("mine"));
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
    identify(&mut headers, &mut fastrand::Rng::with_seed(1));
    assert_eq!(headers[X_REQUEST_ID], "mine");
    assert_eq!(headers[X_FORWARDED_PROTO], "https");
}

#[test]
fn numbers_are_written_as_numbers() {
    for attempt in [1_u32, 2, 3, 4, 12] {
        assert_eq!(attempt_count(attempt), attempt.to_string().as_str());
    }
    for (elapsed, text) in [(0, "0"), (1_999, "1"), (255_000, "255"), (256_000, "256")] {
        assert_eq!(service_time(Duration::from_micros(elapsed)), text);
    }
}
