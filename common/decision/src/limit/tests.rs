//! Buckets against arithmetic, and against threads.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use mesh::access::limit::TokenBucket;
use proptest::prelude::*;

use super::Bucket;

const SECOND: Duration = Duration::from_secs(1);

fn spec(max_tokens: u32, tokens_per_fill: u32, fill_interval: Duration) -> TokenBucket {
    TokenBucket {
        max_tokens,
        tokens_per_fill,
        fill_interval,
    }
}

fn burst(bucket: &Bucket, spec: &TokenBucket, requests: u32, now: Duration) -> u32 {
    let admitted = (0..requests).filter(|_| bucket.take(spec, now)).count();
    u32::try_from(admitted).expect("no more than requests")
}

#[test]
fn a_burst_gets_what_is_there_and_then_what_comes() {
    let spec = spec(100, 100, SECOND * 60);
    let bucket = Bucket::full(&spec, Duration::ZERO);
    assert_eq!(burst(&bucket, &spec, 1000, Duration::ZERO), 100);
    assert_eq!(burst(&bucket, &spec, 1000, SECOND * 59), 0);
    assert_eq!(burst(&bucket, &spec, 1000, SECOND * 60), 100);
    // Two fills, of which one finds no room.
    assert_eq!(burst(&bucket, &spec, 1000, SECOND * 180), 100);
}

#[test]
fn a_constant_stream_gets_exactly_the_first_tokens_and_all_fills() {
    let spec = spec(10, 3, SECOND);
    let bucket = Bucket::full(&spec, Duration::ZERO);
    let step = Duration::from_millis(10);
    let admitted: u32 = (0..10_000)
        .map(|tick| burst(&bucket, &spec, 1, step * tick))
        .sum();
    // 100 s, of which the last fill is that of second 99.
    assert_eq!(admitted, 10 + 99 * 3);
}

#[test]
fn what_does_not_fit_is_lost() {
    let spec = spec(5, 2, SECOND);
    let bucket = Bucket::full(&spec, Duration::ZERO);
    assert!(bucket.take(&spec, Duration::ZERO));
    assert!(!bucket.is_full(&spec, Duration::ZERO));
    assert!(bucket.is_full(&spec, SECOND));
    assert_eq!(bucket.left(&spec, SECOND * 1000), 5);
}

#[test]
fn one_that_begins_between_fills_is_not_filled_twice() {
    let spec = spec(1, 1, SECOND);
    let bucket = Bucket::full(&spec, SECOND / 2);
    assert_eq!(burst(&bucket, &spec, 9, SECOND / 2), 1);
    assert_eq!(burst(&bucket, &spec, 9, SECOND), 1);
    assert_eq!(burst(&bucket, &spec, 9, SECOND * 3 / 2), 0);
}

#[test]
fn a_clock_that_lies_behind_brings_no_token() {
    let spec = spec(1, 1, SECOND);
    let bucket = Bucket::full(&spec, Duration::ZERO);
    assert!(bucket.take(&spec, SECOND * 5));
    for late in 0..5 {
        assert!(!bucket.take(&spec, SECOND * late), "{late}");
    }
    // To and fro does not bring one either.
    assert!(!bucket.take(&spec, SECOND * 5));
    assert!(bucket.take(&spec, SECOND * 6));
}

#[test]
fn numbers_at_their_ends_are_no_problem() {
    let spec = spec(u32::MAX, u32::MAX, Duration::from_millis(50));
    let bucket = Bucket::full(&spec, Duration::ZERO);
    assert!(bucket.take(&spec, Duration::ZERO));
    assert!(bucket.is_full(&spec, Duration::from_millis(50)));
    // Where the number of fills comes around, the bucket goes on.
    let around = Duration::from_millis(50) * u32::MAX;
    let bucket = Bucket::full(&spec, around);
    assert!(bucket.take(&spec, around));
    assert!(bucket.is_full(&spec, around + Duration::from_millis(50)));
}

#[test]
fn threads_together_get_no_more_than_one_alone() {
    const THREADS: u64 = 8;
    const STEPS: u64 = 20_000;
    let spec = spec(1000, 7, Duration::from_millis(50));
    let bucket = Bucket::full(&spec, Duration::ZERO);
    // The time is shared, and goes on while all of them take.
    let (clock, admitted) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..STEPS {
                    let now = clock.fetch_add(11, Ordering::Relaxed);
                    if bucket.take(&spec, Duration::from_micros(now)) {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let end = (THREADS * STEPS - 1) * 11;
    let fills = end / 50_000;
    // The first thousand is gone before a fill could find no room: 11 microseconds a request, 50 milliseconds a fill.
    assert_eq!(admitted.into_inner(), 1000 + fills * 7);
}

proptest! {
    /// The same as an account kept by hand, for requests at any times.
    #[test]
    fn it_is_as_an_account_kept_by_hand(
        max in 1_u32..50,
        per_fill in 1_u32..60,
        interval in 1_u64..1000,
        gaps in prop::collection::vec(0_u64..3000, 1..200),
    ) {
        let spec = spec(max, per_fill, Duration::from_millis(interval));
        let bucket = Bucket::full(&spec, Duration::ZERO);
        let (mut now, mut fills, mut tokens) = (0_u64, 0_u64, u64::from(max));
        for gap in gaps {
            now += gap;
            while fills < now / interval {
                fills += 1;
                tokens = (tokens + u64::from(per_fill)).min(u64::from(max));
            }
            let at = Duration::from_millis(now);
            prop_assert_eq!(u64::from(bucket.left(&spec, at)), tokens);
            prop_assert_eq!(bucket.take(&spec, at), tokens > 0);
            tokens = tokens.saturating_sub(1);
        }
    }
}
