//! When a host of keys is asked.

use std::time::{Duration, Instant};

use jwt::Refusal;

use super::{AGED, Attempts, MAX_AGE, PAUSE, REFRESH, Stance, stance};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn keys_are_used_by_their_age() {
    let cases = [
        (None, Stance::Fetch, Stance::Fetch),
        (Some(Duration::ZERO), Stance::Use, Stance::Use),
        (Some(REFRESH - SECOND), Stance::Use, Stance::Use),
        (Some(REFRESH), Stance::UseAndFetch, Stance::UseAndFetch),
        (
            Some(AGED - SECOND),
            Stance::UseAndFetch,
            Stance::UseAndFetch,
        ),
        (Some(AGED), Stance::FetchThenUse, Stance::UseAndFetch),
        (
            Some(MAX_AGE - SECOND),
            Stance::FetchThenUse,
            Stance::UseAndFetch,
        ),
        (Some(MAX_AGE), Stance::Fetch, Stance::Fetch),
    ];
    for (age, well, failing) in cases {
        assert_eq!(stance(age, false), well, "{age:?}");
        assert_eq!(stance(age, true), failing, "{age:?}");
    }
}

#[test]
fn one_fetch_runs_at_a_time_and_another_waits_for_its_pause() {
    let start = net::clock::now();
    let mut attempts = Attempts::new();
    assert!(attempts.begin(start));
    assert!(!attempts.begin(start));
    assert!(attempts.is_running());
    assert_eq!(attempts.end(Ok(()), start, 0.5), PAUSE);
    assert!(!attempts.begin(start + PAUSE - SECOND));
    assert!(attempts.begin(start + PAUSE));
}

#[test]
fn waits_grow_while_a_host_fails_and_begin_anew_when_it_answers() {
    let mut now = net::clock::now();
    let mut attempts = Attempts::new();
    let mut fail = |now: &mut Instant| {
        assert!(attempts.begin(*now));
        let wait = attempts.end(Err(Refusal::Fetch), *now, 0.5);
        assert!(attempts.is_failing());
        assert!(!attempts.begin(*now + wait - Duration::from_millis(1)));
        *now += wait;
        wait.as_secs()
    };
    let waits: Vec<u64> = (0..8).map(|_| fail(&mut now)).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert!(attempts.begin(now));
    attempts.end(Ok(()), now, 0.5);
    assert!(!attempts.is_failing());
    now += PAUSE;
    assert!(attempts.begin(now));
    assert_eq!(attempts.end(Err(Refusal::KeysJson), now, 0.5), SECOND);
    assert_eq!(attempts.refusal(), Refusal::KeysJson);
}

#[test]
fn a_fetch_that_was_dropped_stands_in_nobodys_way() {
    let now = net::clock::now();
    let mut attempts = Attempts::new();
    assert!(attempts.begin(now));
    attempts.forget();
    assert!(attempts.begin(now));
    assert_eq!(attempts.refusal(), Refusal::Fetch);
}
