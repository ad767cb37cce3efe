//! How many lines are let through.

use std::time::Duration;

use super::{MAX_LINES, Quota, WINDOW};

#[test]
fn lines_beyond_the_quota_are_counted_and_told_in_the_next_window() {
    let (quota, start) = (Quota::default(), net::clock::now());
    for _ in 0..MAX_LINES {
        assert_eq!(quota.take(start), Some(0));
    }
    assert_eq!(quota.take(start), None);
    assert_eq!(quota.take(start + WINDOW - Duration::from_millis(1)), None);
    assert_eq!(quota.take(start + WINDOW), Some(2));
    assert_eq!(quota.take(start + WINDOW), Some(0));
}
