//! How many retries there may be at once.

use mesh::backend::ConnectionPool;
use proptest::prelude::*;

use super::*;

fn budget(share_ppm: u32, min_concurrency: u32, interval: Option<Duration>) -> Budget {
    Budget::new(&TrafficPolicy {
        retry_budget: Some(RetryBudget {
            share_ppm,
            min_concurrency,
            interval,
        }),
        ..TrafficPolicy::default()
    })
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn without_a_budget_the_pool_says_how_many() {
    let unlimited = Budget::new(&TrafficPolicy::default());
    assert!(unlimited.allows(1 << 40, 0, Duration::ZERO));
    let pool = ConnectionPool {
        max_retries: Some(3),
        ..ConnectionPool::default()
    };
    let three = Budget::new(&TrafficPolicy {
        pool,
        ..TrafficPolicy::default()
    });
    assert!(three.allows(2, 1000, Duration::ZERO));
    assert!(!three.allows(3, 1000, Duration::ZERO));
}

#[test]
fn a_share_of_the_requests_that_are_under_way_is_allowed() {
    let fifth = budget(200_000, 3, None);
    let limits: Vec<u64> = [0, 10, 15, 20, 24, 25, 1000]
        .iter()
        .map(|requests| fifth.limit(*requests, Duration::ZERO))
        .collect();
    assert_eq!(limits, [3, 3, 3, 4, 4, 5, 200]);
}

#[test]
fn the_requests_of_the_last_interval_can_count_in_their_place() {
    let half = budget(500_000, 1, Some(seconds(10)));
    for _ in 0..20 {
        half.begin(seconds(100));
    }
    half.begin(seconds(105));
    assert_eq!(half.limit(1_000_000, seconds(105)), 10);
    assert_eq!(half.limit(0, seconds(109)), 10);
    // The parts of 100 s are ten parts old.
    assert_eq!(half.limit(0, seconds(110)), 1);
    half.begin(seconds(110));
    assert_eq!(half.limit(0, seconds(114)), 1);
    assert_eq!(half.limit(0, seconds(1000)), 1);
}

#[test]
fn a_shortest_interval_is_still_one() {
    let all = budget(1_000_000, 0, Some(Duration::from_micros(1)));
    all.begin(Duration::from_micros(7));
    assert_eq!(all.limit(0, Duration::from_micros(7)), 1);
    assert_eq!(all.limit(0, Duration::from_micros(17)), 0);
}

proptest! {
    /// As a list of all beginnings.
    #[test]
    fn a_window_is_what_a_list_says(waits in prop::collection::vec(0_u64..4, 1..200)) {
        let all = budget(1_000_000, 0, Some(seconds(10)));
        let mut begun: Vec<u64> = Vec::new();
        let mut now = 0;
        for wait in waits {
            now += wait;
            begun.push(now);
            all.begin(seconds(now));
            let recent = begun.iter().filter(|at| **at + 10 > now).count();
            prop_assert_eq!(all.limit(0, seconds(now)), u64::try_from(recent).unwrap());
        }
    }
}
