//! How requests spread over priorities.

use super::*;

fn load(counts: &[(usize, usize)], panic_percent: u8) -> Load {
    let count = |(available, all): &(usize, usize)| Count {
        all: *all,
        available: *available,
    };
    Load::new(counts.iter().map(count).collect(), panic_percent)
}

/// Source: Envoy's documentation, "Priority levels": a table of two priorities, of which the second is well.
#[test]
fn the_next_priority_takes_over_what_the_first_cannot_bear() {
    let table = [
        (100, [100, 0]),
        (72, [100, 0]),
        (71, [99, 1]),
        (50, [70, 30]),
        (25, [35, 65]),
        (0, [0, 100]),
    ];
    for (available, expected) in table {
        let load = load(&[(available, 100), (100, 100)], 0);
        assert_eq!(load.percent(), expected, "{available} of 100 are well");
    }
}

/// Source: Envoy's documentation, three priorities at 20, 20 and 10 per cent.
#[test]
fn priorities_that_cannot_bear_all_together_share_in_proportion() {
    // 28 + 28 + 14 = 70 per cent can be borne.
    let load = load(&[(20, 100), (20, 100), (10, 100)], 0);
    assert_eq!(load.percent(), [40, 40, 20]);
}

#[test]
fn what_rounding_leaves_over_goes_to_the_first_that_can_bear_something() {
    let load = load(&[(0, 10), (1, 7), (1, 7), (1, 7)], 0);
    assert_eq!(load.percent(), [0, 34, 33, 33]);
}

#[test]
fn hashes_fall_into_priorities_by_their_remainder() {
    let load = load(&[(50, 100), (100, 100)], 0);
    let first = (0..100).filter(|hash| load.priority(*hash) == 0).count();
    assert_eq!(first, 70);
    assert_eq!(load.priority(69), 0);
    assert_eq!(load.priority(70), 1);
    assert_eq!(load.priority(170), 1);
}

#[test]
fn without_a_threshold_there_is_no_panic() {
    let load = load(&[(0, 10), (0, 10)], 0);
    assert!(!load.has_panic());
    assert_eq!(load.percent(), [100, 0]);
}

#[test]
fn a_priority_below_the_threshold_is_in_panic_unless_others_bear_everything() {
    let borne = load(&[(1, 10), (10, 10)], 50);
    assert!(!borne.has_panic());
    assert_eq!(borne.percent(), [14, 86]);

    let not_borne = load(&[(1, 10), (5, 10)], 50);
    assert!(not_borne.is_panic(0));
    assert!(!not_borne.is_panic(1));
    // 14 and 70 of 84.
    assert_eq!(not_borne.percent(), [17, 83]);
}

#[test]
fn where_all_are_in_panic_requests_spread_by_number() {
    let load = load(&[(0, 10), (0, 20), (0, 3)], 50);
    assert!((0..3).all(|priority| load.is_panic(priority)));
    assert_eq!(load.percent(), [31, 60, 9]);
}

#[test]
fn exactly_the_threshold_is_no_panic() {
    assert!(!load(&[(5, 10)], 50).has_panic());
    assert!(load(&[(4, 10)], 50).has_panic());
    // 72 per cent bear everything.
    assert!(!load(&[(72, 100)], 100).has_panic());
}

#[test]
fn priorities_are_left_out_as_long_as_others_can_bear_something() {
    let both = load(&[(10, 10), (10, 10)], 0);
    assert_eq!(both.without(|priority| priority == 0).priority(0), 1);
    assert_eq!(both.without(|_| true).priority(0), 0);

    let first_only = load(&[(10, 10), (0, 10)], 0);
    assert_eq!(first_only.without(|priority| priority == 0).priority(0), 0);
}

#[test]
fn without_priorities_there_is_nothing_to_choose() {
    let none = load(&[], 50);
    assert_eq!(none.priority(5), 0);
    assert!(none.percent().is_empty());
}

#[test]
fn a_locality_weighs_what_its_endpoints_can_bear() {
    assert_eq!(locality_weight(3, 10, 10), 3_000_000);
    assert_eq!(locality_weight(3, 8, 10), 3_000_000);
    assert_eq!(locality_weight(3, 5, 10), 2_100_000);
    assert_eq!(locality_weight(3, 0, 10), 0);
    assert_eq!(locality_weight(3, 0, 0), 0);
}
