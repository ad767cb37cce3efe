//! Back-off and order, at chosen times.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{MAX_BACK_OFF, Plan, Priority, back_off};

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

#[test]
fn back_off_doubles_from_one_second_and_ends_at_150() {
    let seconds = |failures| back_off(failures, 0.5).as_secs_f64().round();
    let all: Vec<f64> = (1..=10).map(seconds).collect();
    assert_eq!(
        all,
        [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 150.0, 150.0]
    );
    assert_eq!(back_off(u32::MAX, 1.0), MAX_BACK_OFF);
}

#[test]
fn back_off_is_spread_by_a_fifth_both_ways() {
    assert_eq!(back_off(3, 0.0), Duration::from_millis(3200));
    assert_eq!(back_off(3, 1.0), Duration::from_millis(4800));
}

#[test]
fn whoever_waits_comes_before_renewals_that_are_older() {
    let mut waiting = Plan::new(at(9));
    waiting.priority = Priority::RealTime;
    let mut renewal = Plan::new(at(0));
    renewal.priority = Priority::Background;
    let pod = Plan::new(at(5));
    let mut order = [
        renewal.due_at(at(10)),
        pod.due_at(at(10)),
        waiting.due_at(at(10)),
    ];
    order.sort();
    assert_eq!(
        order.map(|o| o.unwrap().0),
        [Priority::RealTime, Priority::Warmup, Priority::Background]
    );
}

#[test]
fn a_plan_in_flight_is_not_due_again() {
    let mut plan = Plan::new(at(0));
    assert!(plan.due_at(at(0)).is_some());
    plan.in_flight = true;
    assert_eq!(plan.due_at(at(0)), None);
    assert_eq!(plan.wait_at(at(0)), None);
}

#[test]
fn a_clock_that_is_set_back_does_not_stretch_a_back_off() {
    let mut plan = Plan::new(at(10_000));
    plan.failures = 3;
    assert!(plan.is_backing_off(at(9_999)));
    assert!(!plan.is_backing_off(at(0)));
    assert!(plan.due_at(at(0)).is_some());
    plan.failures = 0;
    assert_eq!(
        plan.due_at(at(0)),
        None,
        "a renewal far ahead is no back-off"
    );
}
