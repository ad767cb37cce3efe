//! By hand, small enough to see that they are right.

use super::{Spread, percentile};

#[test]
fn the_median_of_an_odd_number_is_the_middle() {
    let spread = Spread::of([3.0, 1.0, 2.0]).unwrap();
    assert_eq!(
        spread,
        Spread {
            median: 2.0,
            min: 1.0,
            max: 3.0
        }
    );
}

#[test]
fn the_median_of_an_even_number_is_the_mean_of_the_middle_two() {
    let spread = Spread::of([10.0, 1.0, 4.0, 2.0]).unwrap();
    assert_eq!(
        spread,
        Spread {
            median: 3.0,
            min: 1.0,
            max: 10.0
        }
    );
}

#[test]
fn one_value_is_all_three() {
    assert_eq!(
        Spread::of([7.0]),
        Some(Spread {
            median: 7.0,
            min: 7.0,
            max: 7.0
        })
    );
}

#[test]
fn nothing_and_what_is_no_number_have_no_spread() {
    assert_eq!(Spread::of([]), None);
    assert_eq!(Spread::of([1.0, f64::NAN]), None);
    assert_eq!(Spread::of([1.0, f64::INFINITY]), None);
}

#[test]
fn a_ratio_is_that_of_the_medians_within_the_ends_of_the_pairs() {
    // Pairs: 0.5, 0.5, 0.25. Medians: 2 / 8.
    let ratio = Spread::of_ratios(&[1.0, 5.0, 2.0], &[2.0, 10.0, 8.0]).unwrap();
    assert_eq!(
        ratio,
        Spread {
            median: 0.25,
            min: 0.25,
            max: 0.5
        }
    );
}

#[test]
fn a_ratio_over_nothing_is_none() {
    assert_eq!(Spread::of_ratios(&[1.0], &[0.0]), None);
    assert_eq!(Spread::of_ratios(&[0.0], &[0.0]), None);
    assert_eq!(Spread::of_ratios(&[], &[]), None);
}

#[test]
fn what_is_added_is_compared_above_the_base() {
    // Added: 1, 1, 4 over 2, 2, 2. Medians: 11 - 10 over 12 - 10.
    let (base, over, under) = ([10.0, 10.0, 20.0], [11.0, 11.0, 24.0], [12.0, 12.0, 22.0]);
    let added = Spread::of_added(&over, &under, &base).unwrap();
    assert_eq!(
        added,
        Spread {
            median: 0.5,
            min: 0.5,
            max: 2.0
        }
    );
}

#[test]
fn a_share_of_nothing_added_is_none() {
    assert_eq!(Spread::of_added(&[3.0], &[1.0], &[1.0]), None);
    assert_eq!(Spread::of_added(&[3.0], &[1.0], &[2.0]), None);
    assert_eq!(Spread::of_added(&[3.0], &[], &[2.0]), None);
}

#[test]
fn percentiles_are_nearest_ranks() {
    let samples = || (1..=1000u32).rev().collect::<Vec<_>>();
    assert_eq!(percentile(&mut samples(), 500), Some(500));
    assert_eq!(percentile(&mut samples(), 990), Some(990));
    assert_eq!(percentile(&mut samples(), 1000), Some(1000));
    assert_eq!(percentile(&mut samples(), 0), Some(1));
    assert_eq!(percentile(&mut [5, 9], 500), Some(5));
    assert_eq!(percentile(&mut [5, 9], 501), Some(9));
    assert_eq!(percentile(&mut [5], 990), Some(5));
    assert_eq!(percentile(&mut [], 990), None);
}
