//! By hand, small enough to see that they are right.

use super::percentile;

#[test]
fn a_percentile_is_one_of_the_values() {
    let values = [4.0, 1.0, 3.0, 2.0];
    assert_eq!(percentile(&values, 50), Some(2.0));
    assert_eq!(percentile(&values, 51), Some(3.0));
    assert_eq!(percentile(&values, 99), Some(4.0));
    assert_eq!(percentile(&values, 0), Some(1.0));
    assert_eq!(percentile(&[], 50), None);
}
