//! The same as a diary of everything that happened, read anew for every question.

use proptest::prelude::*;

use super::*;

/// What happened to one endpoint, in order.
#[derive(Clone, Copy, Debug)]
enum Event {
    Came(Outcome),
    Ejected(Instant, Duration),
    Stayed,
    Back(Instant),
    WellForAnInterval,
}

/// One backend, by its diaries.
struct Model {
    policy: OutlierDetection,
    diaries: Vec<Vec<Event>>,
}

impl Model {
    fn is_out(&self, endpoint: usize) -> Option<(Instant, Duration)> {
        let mut out = None;
        for event in &self.diaries[endpoint] {
            match event {
                Event::Ejected(at, time) => out = Some((*at, *time)),
                Event::Back(_) => out = None,
                Event::Came(_) | Event::Stayed | Event::WellForAnInterval => {}
            }
        }
        out
    }

    fn longest(&self) -> Duration {
        self.policy.base_ejection.max(300 * SECOND)
    }

    /// How many ejections count for the time of the last one.
    fn ejections(&self, endpoint: usize) -> u32 {
        let (mut ejections, base) = (0_u32, self.policy.base_ejection);
        for event in &self.diaries[endpoint] {
            match event {
                // It stops growing once it is well beyond the longest.
                Event::Ejected(..) if base * ejections < self.longest() + base => ejections += 1,
                Event::WellForAnInterval => ejections = ejections.saturating_sub(1),
                Event::Ejected(..) | Event::Came(_) | Event::Stayed | Event::Back(_) => {}
            }
        }
        ejections
    }

    /// How many errors stand at the end of the diary.
    fn row(&self, endpoint: usize) -> u32 {
        let mut row = 0;
        for event in self.diaries[endpoint].iter().rev() {
            match event {
                Event::Came(Outcome::Failed | Outcome::TimedOut | Outcome::Status(500..)) => {
                    row += 1;
                }
                Event::WellForAnInterval => {}
                Event::Came(Outcome::Success | Outcome::Status(_))
                | Event::Ejected(..)
                | Event::Stayed
                | Event::Back(_) => break,
            }
        }
        row
    }

    fn came(&mut self, endpoint: usize, outcome: Outcome, now: Instant) -> Option<Duration> {
        self.diaries[endpoint].push(Event::Came(outcome));
        let full = self.policy.consecutive_5xx.map(u32::from);
        if self.is_out(endpoint).is_some() || Some(self.row(endpoint)) != full {
            return None;
        }
        let all = self.diaries.len();
        let out = (0..all).filter(|other| self.is_out(*other).is_some());
        let out = out.count();
        let percent = usize::from(self.policy.max_ejection_percent);
        if out > 0 && (out + 1) * 100 > percent * all {
            self.diaries[endpoint].push(Event::Stayed);
            return None;
        }
        self.diaries[endpoint].push(Event::Ejected(now, Duration::ZERO));
        let time = self.policy.base_ejection * self.ejections(endpoint);
        let time = time.min(self.longest());
        self.diaries[endpoint].pop();
        self.diaries[endpoint].push(Event::Ejected(now, time));
        Some(time)
    }

    /// The endpoints that are back after a look at all.
    fn look(&mut self, now: Instant) -> Vec<usize> {
        let mut back = Vec::new();
        for endpoint in 0..self.diaries.len() {
            let out = self.is_out(endpoint);
            let diary = &mut self.diaries[endpoint];
            let returned = diary.iter().rev().find_map(|event| match event {
                Event::Back(at) => Some(*at),
                Event::Came(_) | Event::Ejected(..) | Event::Stayed | Event::WellForAnInterval => {
                    None
                }
            });
            match (out, returned) {
                (Some((since, time)), _) if since + time <= now => {
                    diary.push(Event::Back(now));
                    back.push(endpoint);
                }
                (None, Some(at)) if at + self.policy.interval <= now => {
                    diary.push(Event::WellForAnInterval);
                }
                (Some(_) | None, _) => {}
            }
        }
        back
    }
}

#[derive(Clone, Debug)]
enum Step {
    Came(usize, Outcome),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        4 => prop::sample::select(vec![500_u16, 502, 503, 504]).prop_map(Outcome::Status),
        1 => Just(Outcome::Status(200)),
        1 => Just(Outcome::Success),
        1 => Just(Outcome::Failed),
        1 => Just(Outcome::TimedOut),
    ];
    let step = prop_oneof![
        6 => (0..4_usize, outcome).prop_map(|(endpoint, outcome)| Step::Came(endpoint, outcome)),
        1 => (1..100_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..400)
}

proptest! {
    #[test]
    fn detection_is_what_a_diary_says(
        steps in steps(),
        full in 1_u32..4,
        percent in prop::sample::select(vec![0_u8, 10, 50, 75, 100]),
        base in 1_u64..200,
    ) {
        let policy = OutlierDetection {
            consecutive_5xx: count(full),
            max_ejection_percent: percent,
            base_ejection: Duration::from_secs(base),
            ..OutlierDetection::default()
        };
        let mut backend = Backend::new(policy.clone(), 4);
        let mut model = Model { policy, diaries: vec![Vec::new(); 4] };
        for step in steps {
            match step {
                Step::Came(endpoint, outcome) => {
                    let expected = model.came(endpoint, outcome, backend.now);
                    prop_assert_eq!(backend.came(endpoint, outcome), expected);
                }
                Step::Wait(seconds) => {
                    let back = backend.after(Duration::from_secs(seconds));
                    prop_assert_eq!(back, model.look(backend.now));
                }
            }
            for endpoint in 0..4 {
                let is_out = model.is_out(endpoint).is_some();
                prop_assert_eq!(backend.is_ejected(endpoint), is_out);
            }
        }
    }
}
