//! When a request is tried again: every word against everything that may come of a try.

use mesh::route::StringMatch;

use super::*;

fn on(words: &[&str]) -> Retry {
    let word = |word: &&str| RetryOn::word(word).expect("a word");
    Retry {
        attempts: 2,
        on: words.iter().map(word).collect(),
        ..Retry::default()
    }
}

fn never(_: &HeaderMatch) -> bool {
    false
}

fn answer(status: u16, grpc_status: Option<u32>) -> Outcome<'static> {
    Outcome::Answer(Answer {
        status,
        grpc_status,
        rate_limited: false,
        header: &never,
    })
}

const FAILURES: [(&str, Failure); 6] = [
    ("connect", Failure::Connect),
    ("refused", Failure::RefusedStream),
    ("reset before", Failure::Reset { sent: false }),
    ("reset after", Failure::Reset { sent: true }),
    ("timeout", Failure::TimedOut),
    ("overflow", Failure::Overflow),
];

/// Source: Envoy, `RetryStateImpl::wouldRetryFromReset`.
#[test]
fn words_say_which_failures_are_mended() {
    let reset = &FAILURES.map(|(name, _)| name)[..5];
    let table: [(&str, &[&str]); 16] = [
        ("5xx", reset),
        ("gateway-error", reset),
        ("reset", reset),
        ("reset-before-request", &["connect", "reset before"]),
        ("connect-failure", &["connect"]),
        ("envoy-ratelimited", &[]),
        ("retriable-4xx", &[]),
        ("refused-stream", &["refused"]),
        ("retriable-status-codes", &[]),
        ("retriable-headers", &[]),
        ("http3-post-connect-failure", &[]),
        ("cancelled", &[]),
        ("deadline-exceeded", &[]),
        ("internal", &[]),
        ("resource-exhausted", &[]),
        ("unavailable", &[]),
    ];
    for (word, expected) in table {
        let wanted = |failure| is_wanted(&on(&[word]), &Outcome::Failure(failure));
        let mended = FAILURES.iter().filter(|(_, failure)| wanted(*failure));
        let mended: Vec<_> = mended.map(|(name, _)| *name).collect();
        assert_eq!(mended, expected, "{word}");
    }
}

/// Source: Envoy, `RetryStateImpl::wouldRetryFromHeaders`.
#[test]
fn words_say_which_answers_are_mended() {
    let statuses: [(&str, &[u16]); 7] = [
        ("5xx", &[500, 501, 502, 503, 504, 599]),
        ("gateway-error", &[502, 503, 504]),
        ("retriable-4xx", &[409]),
        ("retriable-status-codes", &[404, 503]),
        ("reset", &[]),
        ("connect-failure", &[]),
        ("unavailable", &[]),
    ];
    let asked = [200, 404, 409, 429, 499, 500, 501, 502, 503, 504, 599, 600];
    for (word, expected) in statuses {
        let retry = Retry {
            statuses: vec![404, 503],
            ..on(&[word])
        };
        let mended = asked.iter().copied();
        let mended: Vec<u16> = mended
            .filter(|status| is_wanted(&retry, &answer(*status, None)))
            .collect();
        assert_eq!(mended, expected, "{word}");
    }
    let grpc = [
        ("cancelled", 1),
        ("deadline-exceeded", 4),
        ("resource-exhausted", 8),
        ("internal", 13),
        ("unavailable", 14),
    ];
    for (word, expected) in grpc {
        let retry = on(&[word]);
        let mended = (0..20).filter(|status| is_wanted(&retry, &answer(200, Some(*status))));
        assert_eq!(mended.collect::<Vec<_>>(), [expected], "{word}");
    }
}

#[test]
fn one_of_several_words_is_enough() {
    let retry = on(&["connect-failure", "refused-stream", "unavailable"]);
    assert!(is_wanted(&retry, &Outcome::Failure(Failure::Connect)));
    assert!(is_wanted(&retry, &answer(200, Some(14))));
    assert!(!is_wanted(&retry, &answer(503, None)));
}

#[test]
fn without_attempts_nothing_is_tried_again() {
    let retry = Retry {
        attempts: 0,
        ..on(&["5xx"])
    };
    assert!(!is_wanted(&retry, &answer(503, None)));
    assert!(!is_wanted(&retry, &Outcome::Failure(Failure::Connect)));
}

#[test]
fn a_rate_limited_answer_is_tried_again_only_where_that_is_said() {
    let limited = Outcome::Answer(Answer {
        status: 503,
        grpc_status: Some(14),
        rate_limited: true,
        header: &never,
    });
    assert!(!is_wanted(&on(&["5xx", "unavailable"]), &limited));
    assert!(is_wanted(&on(&["envoy-ratelimited"]), &limited));
}

#[test]
fn one_of_the_named_headers_is_enough() {
    let named = |name: &str| HeaderMatch {
        name: name.into(),
        value: Some(StringMatch::Exact("yes".into())),
        invert: false,
    };
    let retry = Retry {
        headers: vec![named("x-one"), named("x-again")],
        ..on(&["retriable-headers"])
    };
    let has = |present: &'static str| {
        let header = move |header: &HeaderMatch| &*header.name == present;
        is_wanted(
            &retry,
            &Outcome::Answer(Answer {
                status: 200,
                grpc_status: None,
                rate_limited: false,
                header: &header,
            }),
        )
    };
    assert!(has("x-again"));
    assert!(!has("x-other"));
}

#[test]
fn waits_double_up_to_ten_times_the_base() {
    let longest = |retry: &Retry, number| backoff(retry, number, u64::MAX).as_micros() + 1;
    let default = Retry::default();
    let waits: Vec<u128> = (0..6).map(|number| longest(&default, number)).collect();
    assert_eq!(waits, [25_000, 50_000, 100_000, 200_000, 250_000, 250_000]);
    assert_eq!(longest(&default, u32::MAX), 250_000);

    let own = Retry {
        backoff: Some(Duration::from_millis(10)),
        max_backoff: Some(Duration::from_millis(15)),
        ..Retry::default()
    };
    let waits: Vec<u128> = (0..3).map(|number| longest(&own, number)).collect();
    assert_eq!(waits, [10_000, 15_000, 15_000]);
}

#[test]
fn a_wait_is_anything_below_its_interval() {
    let retry = Retry::default();
    assert_eq!(backoff(&retry, 0, 0), Duration::ZERO);
    assert_eq!(backoff(&retry, 0, u64::MAX / 2 + 1).as_micros(), 12_500);
}
