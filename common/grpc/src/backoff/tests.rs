//! Growth, bounds and spread.

use std::time::Duration;

use proptest::prelude::*;

use super::Backoff;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn waits_double_up_to_the_longest_and_start_anew_after_a_success() {
    let mut backoff = Backoff::new(SECOND, 2.0, 15 * SECOND, 0.0);
    let waits: Vec<u64> = (0..6).map(|_| backoff.next().as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 15, 15]);
    backoff.reset();
    assert_eq!(backoff.next(), SECOND);
}

#[test]
fn jitter_spreads_to_both_sides() {
    let mut low = Backoff::new(10 * SECOND, 2.0, 100 * SECOND, 0.2);
    let mut high = low;
    assert_eq!(low.next_with(0.0), 8 * SECOND);
    assert_eq!(high.next_with(1.0), 12 * SECOND);
}

proptest! {
    #[test]
    fn every_wait_is_within_its_bounds(
        first in 0u64..100_000,
        factor in prop_oneof![Just(f64::NAN), Just(f64::INFINITY), -1.0..10.0f64],
        max in 0u64..1_000_000,
        jitter in prop_oneof![Just(f64::NAN), -1.0..2.0f64],
        random in proptest::collection::vec(0.0..1.0f64, 1..80),
    ) {
        let (first, max) = (Duration::from_millis(first), Duration::from_millis(max));
        let mut backoff = Backoff::new(first, factor, max, jitter);
        let spread = if jitter > 0.0 { jitter.min(1.0) } else { 0.0 };
        let shortest = first.min(max).as_secs_f64() * (1.0 - spread);
        for random in random {
            let wait = backoff.next_with(random);
            prop_assert!(wait <= max);
            prop_assert!(wait.as_secs_f64() >= shortest - 1e-6, "{wait:?} < {shortest}");
        }
    }

    #[test]
    fn without_jitter_no_wait_is_shorter_than_the_one_before(
        first in 1u64..10_000, factor in 1.0..4.0f64, max in 1u64..1_000_000, count in 1usize..2_000,
    ) {
        let mut backoff = Backoff::new(Duration::from_millis(first), factor, Duration::from_millis(max), 0.0);
        let mut before = Duration::ZERO;
        for _ in 0..count {
            let wait = backoff.next();
            prop_assert!(wait >= before);
            before = wait;
        }
    }
}
