//! Tests of `grpc-timeout`: what it may look like and what it bounds.

use http::HeaderValue;

use super::*;

fn read(value: &'static str) -> Option<Duration> {
    of(&HeaderMap::from_iter([(
        GRPC_TIMEOUT,
        HeaderValue::from_static(value),
    )]))
}

#[test]
fn every_unit_is_read() {
    for (value, time) in [
        ("2H", Duration::from_secs(7200)),
        ("3M", Duration::from_secs(180)),
        ("10S", Duration::from_secs(10)),
        ("250m", Duration::from_millis(250)),
        ("7u", Duration::from_micros(7)),
        ("99999999n", Duration::from_nanos(99_999_999)),
    ] {
        assert_eq!(read(value), Some(time), "{value}");
    }
}

#[test]
fn what_says_no_time_says_nothing() {
    for value in [
        "",
        "S",
        "10",
        "0S",
        "-1S",
        "1.5S",
        "1s",
        "1 S",
        "100000000n",
        "+1S",
    ] {
        assert_eq!(read(value), None, "{value}");
    }
    assert_eq!(of(&HeaderMap::new()), None);
}
