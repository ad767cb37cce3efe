//! Buckets by value: apart, bounded, and nobody's to reset.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use mesh::access::limit::TokenBucket;

use super::{Keyed, MAX_KEYS, MAX_SHARD, SHARDS};

const SECOND: Duration = Duration::from_secs(1);
const START: Duration = Duration::ZERO;

fn spec(max_tokens: u32) -> TokenBucket {
    TokenBucket {
        max_tokens,
        tokens_per_fill: max_tokens,
        fill_interval: SECOND,
    }
}

fn take(keyed: &Keyed, spec: &TokenBucket, value: &str, now: Duration) -> bool {
    keyed.take(spec, &[Cow::Borrowed(value)], now)
}

fn kept(keyed: &Keyed) -> usize {
    let of = |shard: &parking_lot::Mutex<super::Shard>| shard.lock().buckets.len();
    keyed.shards.iter().map(of).sum()
}

#[test]
fn each_combination_of_values_has_tokens_of_its_own() {
    let spec = spec(2);
    let keyed = Keyed::new(&spec, START);
    let pairs = [
        ["a", "bc"],
        ["ab", "c"],
        ["", "abc"],
        ["abc", ""],
        ["bc", "a"],
    ];
    for pair in pairs {
        let values = pair.map(Cow::Borrowed);
        let took: Vec<_> = (0..3).map(|_| keyed.take(&spec, &values, START)).collect();
        assert_eq!(took, [true, true, false], "{pair:?}");
    }
    assert_eq!(kept(&keyed), pairs.len());
}

#[test]
fn there_is_a_bound_and_behind_it_one_bucket_for_all() {
    let spec = spec(3);
    let keyed = Keyed::new(&spec, START);
    let requests = 4 * MAX_KEYS;
    let admitted = (0..requests)
        .filter(|value| take(&keyed, &spec, &value.to_string(), START))
        .count();
    assert_eq!(kept(&keyed), MAX_KEYS, "all shards are full by now");
    // One each for those that have a bucket, and all tokens of the one that the others share.
    assert_eq!(admitted, MAX_KEYS + 3);
}

#[test]
fn nobody_gets_new_tokens_by_making_up_values() {
    let spec = spec(1);
    let keyed = Keyed::new(&spec, START);
    assert!(take(&keyed, &spec, "victim", START));
    for value in 0..4 * MAX_KEYS {
        take(&keyed, &spec, &value.to_string(), START);
        if value % 1024 == 0 {
            assert!(!take(&keyed, &spec, "victim", START), "after {value}");
        }
    }
    assert!(take(&keyed, &spec, "victim", SECOND));
}

#[test]
fn what_is_full_again_makes_room() {
    // One token comes with a fill, so that who took two is not full yet.
    let spec = TokenBucket {
        tokens_per_fill: 1,
        ..spec(2)
    };
    let keyed = Keyed::new(&spec, START);
    for value in 0..4 * MAX_KEYS {
        take(&keyed, &spec, &value.to_string(), START);
    }
    assert!(!keyed.is_unused(&spec, START));
    // All of them took one token only: their shards are empty at the first new value.
    for value in 0..MAX_SHARD * SHARDS / 2 {
        let value = format!("new {value}");
        assert!(take(&keyed, &spec, &value, SECOND), "{value}");
        assert!(take(&keyed, &spec, &value, SECOND), "{value}");
        assert!(!take(&keyed, &spec, &value, SECOND), "{value}");
    }
    assert!(kept(&keyed) <= MAX_KEYS);
    assert!(!keyed.is_unused(&spec, SECOND * 2));
    assert!(keyed.is_unused(&spec, SECOND * 3));
}

#[test]
fn threads_get_no_more_of_a_value_than_there_is() {
    let spec = spec(500);
    let keyed = Keyed::new(&spec, START);
    let admitted: [AtomicU32; 3] = Default::default();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for request in 0..3000_usize {
                    let value = request % 3;
                    if take(&keyed, &spec, &value.to_string(), START) {
                        admitted[value].fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(admitted.map(AtomicU32::into_inner), [500, 500, 500]);
}
