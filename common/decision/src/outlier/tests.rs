//! Which endpoints are left out: the numbers of Istio; a naive model under random histories is in `model`.

use std::num::NonZeroU32;

use super::*;

mod model;

const SECOND: Duration = Duration::from_secs(1);

/// One backend whose clock is in our hands.
struct Backend {
    policy: OutlierDetection,
    now: Instant,
    detector: Detector,
    endpoints: Vec<(Counts, History)>,
}

impl Backend {
    fn new(policy: OutlierDetection, endpoints: usize) -> Self {
        Self {
            policy,
            // The one look at the clock; everything is relative to it.
            now: start(),
            detector: Detector::default(),
            endpoints: (0..endpoints).map(|_| Default::default()).collect(),
        }
    }

    /// For how long the endpoint is left out because of it.
    fn came(&mut self, endpoint: usize, outcome: Outcome) -> Option<Duration> {
        let count = self.endpoints.len();
        let (counts, history) = &mut self.endpoints[endpoint];
        let cause = counts.record(&self.policy, outcome)?;
        self.detector
            .eject(&self.policy, count, counts, history, cause, self.now)
    }

    fn errors(&mut self, endpoint: usize, count: u32, status: u16) -> Option<Duration> {
        let error = |_, _| self.came(endpoint, Outcome::Status(status));
        (0..count).fold(None, error)
    }

    /// The endpoints that are back after so long and a look at all.
    fn after(&mut self, time: Duration) -> Vec<usize> {
        self.now += time;
        let mut back = Vec::new();
        for (index, (counts, history)) in self.endpoints.iter_mut().enumerate() {
            if self.detector.sweep(&self.policy, counts, history, self.now) {
                back.push(index);
            }
        }
        back
    }

    fn is_ejected(&self, endpoint: usize) -> bool {
        self.endpoints[endpoint].1.is_ejected()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an instant can be had from nowhere else"
)]
fn start() -> Instant {
    Instant::now()
}

fn count(count: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(count)
}

fn all() -> OutlierDetection {
    OutlierDetection {
        max_ejection_percent: 100,
        ..OutlierDetection::default()
    }
}

#[test]
fn five_errors_in_a_row_are_half_a_minute() {
    let mut backend = Backend::new(all(), 10);
    assert_eq!(backend.errors(3, 4, 500), None);
    assert_eq!(backend.errors(3, 1, 599), Some(30 * SECOND));
    assert!(backend.is_ejected(3));
    assert_eq!(backend.detector.ejected(), 1);
}

#[test]
fn a_success_begins_the_count_anew() {
    let mut backend = Backend::new(all(), 10);
    assert_eq!(backend.errors(0, 4, 503), None);
    assert_eq!(backend.came(0, Outcome::Status(404)), None);
    assert_eq!(backend.errors(0, 4, 503), None);
    assert_eq!(backend.came(0, Outcome::Success), None);
    assert_eq!(backend.errors(0, 4, 503), None);
    assert!(backend.errors(0, 1, 503).is_some());
}

#[test]
fn an_endpoint_is_back_at_the_first_look_after_its_time() {
    let mut backend = Backend::new(all(), 10);
    assert!(backend.errors(0, 5, 500).is_some());
    assert_eq!(backend.after(20 * SECOND), []);
    assert_eq!(backend.after(9 * SECOND), []);
    assert_eq!(backend.after(SECOND), [0]);
    assert!(!backend.is_ejected(0));
    assert_eq!(backend.detector.ejected(), 0);
    assert_eq!(backend.after(SECOND), []);
}

#[test]
fn every_time_is_one_base_longer_up_to_300_seconds() {
    let mut backend = Backend::new(all(), 10);
    let mut times = Vec::new();
    for _ in 0..13 {
        let time = backend.errors(0, 5, 500).unwrap();
        times.push(time.as_secs());
        assert_eq!(backend.after(time), [0]);
    }
    let expected = [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300, 300];
    assert_eq!(times, expected);
}

#[test]
fn a_base_above_300_seconds_is_the_longest_time() {
    let mut backend = Backend::new(
        OutlierDetection {
            base_ejection: 400 * SECOND,
            ..all()
        },
        10,
    );
    for _ in 0..3 {
        assert_eq!(backend.errors(0, 5, 500), Some(400 * SECOND));
        assert_eq!(backend.after(400 * SECOND), [0]);
    }
}

#[test]
fn every_interval_that_goes_well_takes_one_base_away() {
    let mut backend = Backend::new(all(), 10);
    for base in 1..=3 {
        assert_eq!(backend.errors(0, 5, 500), Some(base * 30 * SECOND));
        assert_eq!(backend.after(base * 30 * SECOND), [0]);
    }
    assert_eq!(backend.after(9 * SECOND), []);
    assert_eq!(backend.after(SECOND), []);
    assert_eq!(backend.after(10 * SECOND), []);
    // Twice well: of three bases one is left, and this is one more.
    assert_eq!(backend.errors(0, 5, 500), Some(60 * SECOND));
}

#[test]
fn a_tenth_may_be_left_out_but_one_in_any_case() {
    for (endpoints, most) in [(1, 1), (5, 1), (10, 1), (19, 1), (20, 2), (100, 10)] {
        let mut backend = Backend::new(OutlierDetection::default(), endpoints);
        for endpoint in 0..endpoints {
            backend.errors(endpoint, 5, 500);
        }
        assert_eq!(backend.detector.ejected(), most, "of {endpoints}");
    }
    let none = OutlierDetection {
        max_ejection_percent: 0,
        ..OutlierDetection::default()
    };
    let mut backend = Backend::new(none, 3);
    assert!(backend.errors(0, 5, 500).is_some());
    assert!(backend.errors(1, 5, 500).is_none());
}

#[test]
fn one_that_had_to_stay_is_judged_again_after_as_many_errors() {
    let mut backend = Backend::new(OutlierDetection::default(), 10);
    assert!(backend.errors(0, 5, 500).is_some());
    assert!(backend.errors(1, 5, 500).is_none());
    assert_eq!(backend.after(30 * SECOND), [0]);
    assert!(backend.errors(1, 4, 500).is_none());
    assert!(backend.errors(1, 1, 500).is_some());
}

#[test]
fn errors_while_it_is_left_out_do_not_make_it_longer() {
    let mut backend = Backend::new(all(), 10);
    assert!(backend.errors(0, 5, 500).is_some());
    assert_eq!(backend.errors(0, 50, 500), None);
    assert_eq!(backend.after(30 * SECOND), [0]);
    // And they are forgotten when it is back.
    assert_eq!(backend.errors(0, 4, 500), None);
    assert!(backend.errors(0, 1, 500).is_some());
}

#[test]
fn gateway_errors_count_by_themselves() {
    let policy = OutlierDetection {
        consecutive_5xx: None,
        consecutive_gateway_errors: count(3),
        ..all()
    };
    let mut backend = Backend::new(policy, 10);
    assert_eq!(backend.errors(0, 2, 502), None);
    assert_eq!(backend.came(0, Outcome::Status(500)), None);
    assert_eq!(backend.errors(0, 2, 503), None);
    assert!(backend.errors(0, 1, 504).is_some());
    assert_eq!(backend.errors(1, 20, 500), None);
}

#[test]
fn what_failed_here_is_an_error_of_both_kinds() {
    for outcome in [Outcome::Failed, Outcome::TimedOut] {
        let mut backend = Backend::new(all(), 10);
        let times: Vec<_> = (0..5).map(|_| backend.came(0, outcome)).collect();
        assert_eq!(times, [None, None, None, None, Some(30 * SECOND)]);

        let policy = OutlierDetection {
            consecutive_gateway_errors: count(2),
            // Whatever the statuses: this has none.
            error_statuses: vec![418],
            ..all()
        };
        let mut backend = Backend::new(policy, 10);
        assert_eq!(backend.came(0, outcome), None);
        assert!(backend.came(0, outcome).is_some());
    }
}

#[test]
fn what_failed_here_can_count_apart() {
    let policy = OutlierDetection {
        split_local_origin: true,
        consecutive_5xx: count(2),
        consecutive_local_origin: count(3),
        ..all()
    };
    let mut backend = Backend::new(policy, 10);
    assert_eq!(backend.came(0, Outcome::Failed), None);
    assert_eq!(backend.came(0, Outcome::TimedOut), None);
    // An answer, if only of an error, shows that it can be reached.
    assert_eq!(backend.came(0, Outcome::Status(500)), None);
    assert_eq!(backend.came(0, Outcome::Failed), None);
    assert_eq!(backend.came(0, Outcome::Failed), None);
    assert!(backend.came(0, Outcome::Failed).is_some());

    assert_eq!(backend.came(1, Outcome::Status(500)), None);
    assert_eq!(backend.came(1, Outcome::Failed), None);
    assert!(backend.came(1, Outcome::Status(500)).is_some());
}

#[test]
fn statuses_can_be_named() {
    let policy = OutlierDetection {
        consecutive_5xx: count(2),
        error_statuses: vec![429, 503],
        ..all()
    };
    let mut backend = Backend::new(policy, 10);
    assert_eq!(backend.errors(0, 10, 500), None);
    assert_eq!(backend.errors(0, 1, 429), None);
    assert!(backend.errors(0, 1, 503).is_some());
}

#[test]
fn nothing_counts_where_all_is_off() {
    let policy = OutlierDetection {
        consecutive_5xx: None,
        ..all()
    };
    let mut backend = Backend::new(policy, 10);
    assert_eq!(backend.errors(0, 100, 503), None);
}

#[test]
fn a_health_check_brings_an_endpoint_back_early() {
    let mut backend = Backend::new(all(), 10);
    assert!(backend.errors(0, 5, 500).is_some());
    let now = backend.now + SECOND;
    let (counts, history) = &mut backend.endpoints[0];
    assert!(backend.detector.recover(counts, history, now));
    assert!(!backend.detector.recover(counts, history, now));
    assert_eq!(backend.detector.ejected(), 0);
}

#[test]
fn one_that_is_gone_makes_room() {
    let mut backend = Backend::new(OutlierDetection::default(), 10);
    assert!(backend.errors(0, 5, 500).is_some());
    let (_, history) = backend.endpoints.remove(0);
    backend.detector.forget(&history);
    assert!(backend.errors(4, 5, 500).is_some());
    backend.detector.forget(&History::default());
    assert_eq!(backend.detector.ejected(), 1);
}

/// Source: Envoy, the table of `grpcToHttpStatus`.
#[test]
fn statuses_of_grpc_have_one_of_http() {
    let table = [
        200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401, 500,
    ];
    let read: Vec<u16> = (0..18).map(http_status).collect();
    assert_eq!(read, table);
}
