//! Durations as gRPC says them.

use std::time::Duration;

use super::in_words;

#[test]
fn a_timeout_is_said_in_at_most_eight_digits_and_never_longer_than_it_is() {
    for (timeout, words) in [
        (Duration::from_millis(250), "250000u"),
        (Duration::from_nanos(1_999), "1u"),
        (Duration::from_secs(99), "99000000u"),
        (Duration::from_secs(600), "600000m"),
        (Duration::from_secs(200_000), "200000S"),
        (Duration::from_secs(100_000_000), "1666666M"),
        (Duration::from_secs(u64::MAX), "99999999H"),
    ] {
        assert_eq!(in_words(timeout), words, "{timeout:?}");
    }
}
