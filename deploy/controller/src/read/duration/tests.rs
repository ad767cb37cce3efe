//! Durations of both grammars.

use yaml::{Document, Node, cursor::Unknown};

use super::*;

fn read<T>(text: &str, read: impl Fn(&Cursor<'_>) -> Result<T, Error>) -> Result<T, String> {
    let node = Node::parse(&format!("'{text}'")).unwrap();
    let document = Document::new("m.yaml", Unknown::Warn);
    read(&document.top(&node)).map_err(|error| error.to_string())
}

#[test]
fn durations_of_istio_are_those_of_go() {
    for (text, nanos) in [
        ("0", 0),
        ("0s", 0),
        ("10ms", 10_000_000),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("1h30m", 5_400_000_000_000),
        ("1h0.5s1ms", 3_600_501_000_000),
        ("1us", 1_000),
        ("1\u{b5}s", 1_000),
        ("1\u{3bc}s", 1_000),
        ("7ns", 7),
        ("0.3333333333333333333333333333s", 333_333_333),
        ("000000000000000000000000001s", 1_000_000_000),
        ("876000h", 876_000 * 3_600_000_000_000),
    ] {
        assert_eq!(read(text, any), Ok(Duration::from_nanos(nanos)), "{text}");
    }
    for text in [
        "",
        " ",
        "1",
        "s",
        ".s",
        "-1s",
        "+1s",
        "1 s",
        "1s ",
        "1d",
        "1S",
        "1m1",
        "1e3s",
        "1h 1m",
        "PT1S",
        "876000h1ns",
        "99999999999999999999999h",
        "1..5s",
        "1,5s",
        "\u{661}s",
    ] {
        assert!(read(text, any).is_err(), "{text}");
    }
}

#[test]
fn most_durations_of_istio_are_whole_milliseconds() {
    assert_eq!(read("1ms", positive), Ok(Duration::from_millis(1)));
    assert_eq!(
        read("0s", positive),
        Err("m.yaml:1:1: top level: found \"0s\", expected a duration of whole milliseconds, at least 1ms, such as 1.5s, 10ms or 1h30m".to_owned())
    );
    for text in ["0", "999us", "1.0001ms", "1s1ns"] {
        assert!(read(text, positive).is_err(), "{text}");
    }
    assert_eq!(read("0s", or_none), Ok(None));
    assert_eq!(read("2s", or_none), Ok(Some(Duration::from_secs(2))));
    assert!(read("1us", or_none).is_err());
}

#[test]
fn durations_of_gateway_api_are_fewer() {
    for (text, millis) in [
        ("0s", 0),
        ("10s", 10_000),
        ("1h30m", 5_400_000),
        ("99999ms", 99_999),
        ("1h1m1s1ms", 3_661_001),
        ("1s1s", 2_000),
    ] {
        assert_eq!(
            read(text, gateway),
            Ok(Duration::from_millis(millis)),
            "{text}"
        );
    }
    for text in [
        "",
        "0",
        "1.5s",
        "100000s",
        "1h1h1h1h1h",
        "1us",
        "1",
        "ms",
        "1S",
        "-1s",
    ] {
        assert!(read(text, gateway).is_err(), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_is_too_strange(text in "[0-9.hmsun\u{b5}x -]{0,40}") {
        if let Some(duration) = parse(&text) {
            proptest::prop_assert!(duration <= MAX);
        }
        if let Some(duration) = parse_gateway(&text) {
            proptest::prop_assert_eq!(parse(&text), Some(duration));
        }
    }

    #[test]
    fn milliseconds_stay_what_they_are(millis in 0_u64..1_000_000_000_000) {
        let text = format!("{}h{}m{}.{:03}s", millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60, millis % 1000);
        proptest::prop_assert_eq!(parse(&text), Some(Duration::from_millis(millis)));
    }
}
