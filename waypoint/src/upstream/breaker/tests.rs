//! Limits and their places.

use super::*;

#[test]
fn a_limit_is_kept_and_a_place_comes_back() {
    let breakers = Arc::new(Breakers::default());
    let first = breakers.take(Limit::Requests, Some(2)).unwrap();
    let _second = breakers.take(Limit::Requests, Some(2)).unwrap();
    let error = breakers.take(Limit::Requests, Some(2)).unwrap_err();
    assert_eq!(error.to_string(), "too many requests: the limit is 2");
    assert_eq!(breakers.count(Limit::Requests), 2);
    drop(first);
    assert_eq!(breakers.count(Limit::Requests), 1);
    let _third = breakers.take(Limit::Requests, Some(2)).unwrap();
    assert_eq!(breakers.count(Limit::Pending), 0);
}

#[test]
fn a_limit_of_nothing_lets_nobody_in_and_no_limit_everybody() {
    let breakers = Arc::new(Breakers::default());
    assert!(breakers.take(Limit::Retries, Some(0)).is_err());
    let many: Vec<_> = (0..10_000)
        .map(|_| breakers.take(Limit::Retries, None).unwrap())
        .collect();
    assert_eq!(breakers.count(Limit::Retries), 10_000);
    drop(many);
    assert_eq!(breakers.count(Limit::Retries), 0);
}
