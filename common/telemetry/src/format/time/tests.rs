//! A second that is remembered is never shown for another.

use std::time::{Duration, UNIX_EPOCH};

use super::*;

#[test]
fn moments_of_one_second_and_of_others_are_written_alike() {
    let day = 24 * 60 * 60;
    let seconds = [0, 1, 59, 60, day - 1, day, 1_795_345_891, 1_795_345_892];
    // Beyond what four digits of a year can say, the printer decides.
    let seconds = seconds
        .into_iter()
        .chain([253_402_207_200, 253_402_300_800]);
    let mut moments = Vec::new();
    for second in seconds {
        for nanos in [0, 999_999, 1_000_000, 364_999_999, 999_999_999] {
            let after = Duration::new(second, nanos);
            moments.extend(UNIX_EPOCH.checked_add(after));
            moments.extend(UNIX_EPOCH.checked_sub(after));
        }
    }
    // Each after each other.
    for first in &moments {
        for second in &moments {
            for moment in [first, second] {
                let moment = TimeFormat::Milliseconds.at(*moment);
                let mut out = String::from("=");
                moment.write(&mut out);
                assert_eq!(out, format!("={moment}"));
            }
        }
    }
}
