//! When keys are used, when they are fetched, and who waits. Pure: time is an argument.
//!
//! In: how old keys are, how fetches ended. Out: what to do. Never: two fetches at once; a fetch before its time.

use std::time::{Duration, Instant};

use grpc::Backoff;
use jwt::Refusal;

/// After which time keys are fetched again. Source: Istio, `PILOT_JWT_PUB_KEY_REFRESH_INTERVAL`.
pub(super) const REFRESH: Duration = Duration::from_secs(20 * 60);
/// Up to this age keys are used while new ones are fetched. Older ones were asked for by nobody for a while: who asks now waits.
pub(super) const AGED: Duration = Duration::from_secs(40 * 60);
/// How long keys are used whose host does not answer. Reason: an outage of a day shall not end every session; a key that was
/// withdrawn shall not count for ever because somebody keeps its host from answering.
pub(super) const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// How soon after a fetch that went well another may begin, because a token names a key that is not there. Reason: the names
/// come from clients.
pub(super) const PAUSE: Duration = Duration::from_secs(30);

/// Waits after failures.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const WAIT_FACTOR: f64 = 2.0;
const MAX_WAIT: Duration = Duration::from_secs(60);
const JITTER: f64 = 0.2;

/// What to do for who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stance {
    /// The keys are good.
    Use,
    /// They are, and it is time to fetch new ones.
    UseAndFetch,
    /// New ones are fetched first; if that fails the old ones will do.
    FetchThenUse,
    /// There are none that will do.
    Fetch,
}

/// What to do for keys of an age; `None`: there are none. `failing`: the last fetch went wrong.
pub(super) fn stance(age: Option<Duration>, failing: bool) -> Stance {
    match age {
        None => Stance::Fetch,
        Some(age) if age < REFRESH => Stance::Use,
        Some(age) if age >= MAX_AGE => Stance::Fetch,
        // Whoever waits for a host that is known to be down waits for nothing.
        Some(age) if age < AGED || failing => Stance::UseAndFetch,
        Some(_) => Stance::FetchThenUse,
    }
}

/// The fetches of one issuer.
#[derive(Debug)]
pub(super) struct Attempts {
    is_running: bool,
    not_before: Option<Instant>,
    backoff: Backoff,
    /// How the last one ended; `None`: well.
    refusal: Option<Refusal>,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self {
            is_running: false,
            not_before: None,
            backoff: Backoff::new(FIRST_WAIT, WAIT_FACTOR, MAX_WAIT, JITTER),
            refusal: None,
        }
    }

    /// Whether the caller is to fetch, now; nobody else will until [`Self::end`].
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        if self.is_running || self.not_before.is_some_and(|time| now < time) {
            return false;
        }
        self.is_running = true;
        true
    }

    pub(super) fn is_running(&self) -> bool {
        self.is_running
    }

    pub(super) fn is_failing(&self) -> bool {
        self.refusal.is_some()
    }

    /// What is said where there are no keys.
    pub(super) fn refusal(&self) -> Refusal {
        self.refusal.unwrap_or(Refusal::Fetch)
    }

    /// A fetch has ended. `random` is from 0 to 1. Returns how long none begins.
    pub(super) fn end(
        &mut self,
        outcome: Result<(), Refusal>,
        now: Instant,
        random: f64,
    ) -> Duration {
        self.is_running = false;
        self.refusal = outcome.err();
        let pause = if self.refusal.is_none() {
            self.backoff.reset();
            PAUSE
        } else {
            self.backoff.next_with(random)
        };
        self.not_before = now.checked_add(pause);
        pause
    }

    /// A fetch was dropped before its end: nobody's fault, so another may begin.
    pub(super) fn forget(&mut self) {
        self.is_running = false;
    }
}

#[cfg(test)]
mod tests;
