//! Schedules and draws.

use proptest::prelude::*;

use super::*;

fn turns(schedule: &Schedule, count: u64) -> Vec<usize> {
    (0..count).map(|turn| schedule.at(turn).unwrap()).collect()
}

#[test]
fn equal_weights_take_turns_in_order() {
    let schedule = Schedule::new(&[7, 7, 7]);
    assert_eq!(turns(&schedule, 6), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn unequal_weights_are_spread_evenly() {
    let schedule = Schedule::new(&[30, 10]);
    assert_eq!(turns(&schedule, 8), [0, 0, 1, 0, 0, 0, 1, 0]);
    let schedule = Schedule::new(&[1, 2, 4]);
    assert_eq!(turns(&schedule, 7), [2, 1, 2, 0, 2, 1, 2]);
}

#[test]
fn a_schedule_is_bounded_whatever_the_weights() {
    let schedule = Schedule::new(&[u64::from(u32::MAX), 1, 1_000_003]);
    let Schedule::Written(turns) = schedule else {
        panic!("the weights differ");
    };
    assert!(turns.len() <= 16_384 + 3, "{} turns", turns.len());
    for position in 0..3 {
        assert!(turns.contains(&position), "{position} has its turn");
    }
}

#[test]
fn nobody_has_a_turn_where_there_is_nobody() {
    assert_eq!(Schedule::new(&[]).at(3), None);
    assert_eq!(Draw::new(&[]).one(3), None);
    assert_eq!(Weighted::new([0, 0].into_iter()).draw(3), None);
}

#[test]
fn draws_skip_what_has_no_weight() {
    let weighted = Weighted::new([0, 3, 0, 1, 0].into_iter());
    assert_eq!(weighted.draw(0), Some(1));
    assert_eq!(weighted.draw(u64::MAX / 2), Some(1));
    assert_eq!(weighted.draw(u64::MAX), Some(3));
    let weights: Vec<u64> = (0..5).map(|position| weighted.weight(position)).collect();
    assert_eq!(weights, [0, 3, 0, 1, 0]);
}

proptest! {
    /// Everyone has all turns in the end, and on the way nobody is far from its due.
    #[test]
    fn a_schedule_is_smooth(weights in prop::collection::vec(1_u64..20, 2..8)) {
        let schedule = Schedule::new(&weights);
        let sum: u64 = weights.iter().sum();
        let mut had = vec![0_u64; weights.len()];
        for turn in 0..sum {
            had[schedule.at(turn).unwrap()] += 1;
            for (had, weight) in had.iter().zip(&weights) {
                let due = (turn + 1) * weight;
                let distance = (had * sum).abs_diff(due);
                // Everyone else may have half a turn too many before.
                let most = sum * u64::try_from(weights.len()).unwrap() / 2 + sum;
                prop_assert!(distance <= most, "{had} turns of {weight} in {sum} after {turn}");
            }
        }
        prop_assert_eq!(had, weights);
    }

    #[test]
    fn draws_are_those_of_a_naive_walk(
        weights in prop::collection::vec(0_u64..10, 1..8),
        random in any::<u64>(),
    ) {
        let drawn = Weighted::new(weights.iter().copied()).draw(random);
        let mut at = scale(random, weights.iter().sum());
        let mut expected = None;
        for (position, weight) in weights.iter().enumerate() {
            match at {
                Some(left) if left < *weight => {
                    expected = Some(position);
                    break;
                }
                Some(left) => at = Some(left - weight),
                None => {}
            }
        }
        prop_assert_eq!(drawn, expected);
    }
}
