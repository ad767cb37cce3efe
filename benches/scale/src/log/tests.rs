//! Lines as the controller writes them.

use std::time::{Duration, UNIX_EPOCH};

use super::{Entry, What, duration, entries};

#[test]
fn the_lines_of_a_change_are_read_and_others_left_out() {
    let text = r#"{"level":"info","time":"1970-01-01T00:00:01.000002Z","scope":"x","message":"manifests read","changes":1,"objects":7}
{"level":"info","time":"1970-01-01T00:00:01.5Z","scope":"x","message":"xDS client gone"}
not JSON
{"level":"info","time":"1970-01-01T00:00:02Z","scope":"x","message":"configuration published","generation":2,"puts":1,"took":"39.5µs"}
{"level":"warn","time":"1970-01-01T00:00:03Z","scope":"x","message":"something"}
"#;
    let at = |micros| UNIX_EPOCH + Duration::from_micros(micros);
    let expected = [
        (1_000_002, What::Read),
        (2_000_000, What::Published(Duration::from_nanos(39_500))),
        (3_000_000, What::Trouble),
    ];
    let expected = expected.map(|(micros, what)| Entry {
        at: at(micros),
        what,
    });
    assert_eq!(entries(text), expected);
}

#[test]
fn durations_are_read_in_every_unit() {
    for (text, nanos) in [
        ("12ns", 12),
        ("1.5µs", 1_500),
        ("2.25ms", 2_250_000),
        ("1.5s", 1_500_000_000),
    ] {
        assert_eq!(duration(text), Some(Duration::from_nanos(nanos)), "{text}");
    }
    assert_eq!(duration("1 hour"), None);
}
