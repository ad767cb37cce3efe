//! Which fields of `/proc/stat` count.

use super::{Passed, Ticks};

#[test]
fn idle_waiting_and_stolen_time_is_not_busy() {
    let text = "cpu  1 10 100 7777 8888 1000 10000 5 1 10\ncpu0 9 9 9 9 9 9 9 9 9 9\n";
    assert_eq!(
        Ticks::parse(text),
        Some(Ticks {
            busy: 11_111,
            stolen: 5
        })
    );
}

#[test]
fn a_line_that_is_too_short_is_refused() {
    assert_eq!(Ticks::parse("cpu  1 2 3 4\n"), None);
    assert_eq!(Ticks::parse("cpu0 1 2 3 4 5 6 7 8\n"), None);
}

#[test]
fn bytes_beside_are_counted_where_both_readings_have_them() {
    let passed = |units, beside| Passed { units, beside };
    assert_eq!(
        passed(10, Some(300)).since(passed(4, Some(100))),
        passed(6, Some(200))
    );
    assert_eq!(passed(10, None).since(passed(4, None)), passed(6, None));
}
