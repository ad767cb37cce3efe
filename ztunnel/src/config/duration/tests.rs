//! Durations as people write them.

use std::time::Duration;

use proptest::prelude::*;

use super::parse;

#[test]
fn durations_read_as_go_reads_them() {
    for (text, nanoseconds) in [
        ("0", 0),
        ("+0", 0),
        ("0s", 0),
        ("5s", 5_000_000_000),
        ("+5s", 5_000_000_000),
        ("180s", 180_000_000_000),
        ("1h30m", 5_400_000_000_000),
        ("1.5h", 5_400_000_000_000),
        ("1h15m30.918273645s", 4_530_918_273_645),
        ("100ms", 100_000_000),
        ("24h", 86_400_000_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("0.3s", 300_000_000),
        ("12us", 12_000),
        ("12\u{b5}s", 12_000),
        ("12\u{3bc}s", 12_000),
        ("7ns", 7),
        ("0.9ns", 0),
        ("9223372036854775807ns", 9_223_372_036_854_775_807),
    ] {
        assert_eq!(
            parse(text),
            Some(Duration::from_nanos(nanoseconds)),
            "{text}"
        );
    }
}

#[test]
fn anything_else_is_refused() {
    for text in [
        "",
        "+",
        "-",
        "-5s",
        "5",
        "s",
        ".",
        ".s",
        "1.5",
        "5 s",
        " 5s",
        "5s ",
        "5S",
        "1d",
        "1h30",
        "3000000h",
        "1..5s",
        "1e3s",
        "++5s",
        "9223372036854775808ns",
        "99999999999999999999s",
        "0.0000000000000000000000001s",
        "\u{661}s",
        "1\u{fffd}",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,40}") {
        prop_assert!(parse(&text).is_none_or(|it| it <= Duration::from_nanos(i64::MAX.unsigned_abs())));
    }

    #[test]
    fn no_text_of_the_right_letters_panics(text in "[0-9.+hmsnu\u{b5}]{0,40}") {
        prop_assert!(parse(&text).is_none_or(|it| it <= Duration::from_nanos(i64::MAX.unsigned_abs())));
    }

    #[test]
    fn parts_add_up(h in 0_u64..1000, m in 0_u64..1000, s in 0_u64..100_000, ms in 0_u64..100_000, ns in 0_u64..1_000_000) {
        let total = Duration::from_secs(h * 3600 + m * 60 + s) + Duration::from_millis(ms) + Duration::from_nanos(ns);
        prop_assert_eq!(parse(&format!("{h}h{m}m{s}s{ms}ms{ns}ns")), Some(total));
    }

    #[test]
    fn decimals_are_exact(whole in 0_u64..1_000_000, fraction in 0_u32..1_000_000_000) {
        let expected = Duration::new(whole, fraction);
        prop_assert_eq!(parse(&format!("{whole}.{fraction:09}s")), Some(expected));
    }
}
