//! Who hardly gets an answer is not hidden by who gets many.

use std::time::Duration;

use super::{Asked, Samples};

fn asked(micros: &[&[u64]]) -> Asked {
    let samples = |of: &&[u64]| {
        let mut samples = Samples::of_many();
        of.iter()
            .for_each(|micros| samples.push(Duration::from_micros(*micros)));
        samples
    };
    Asked {
        by_connection: micros.iter().map(samples).collect(),
    }
}

#[test]
fn the_slowest_connection_is_found_by_its_median() {
    let mut asked = asked(&[&[1, 1, 1, 9], &[5, 6, 7], &[2]]);
    assert_eq!(asked.slowest_median(), Some(6000));
    assert_eq!(asked.into_nanos().len(), 8);
}

#[test]
fn a_connection_without_any_answer_has_no_median() {
    assert_eq!(asked(&[&[1], &[]]).slowest_median(), None);
}
