//! Whether a request is tried again, and when.
//!
//! In: what a route says of retries, what came of a try, random numbers. Out: yes or no, and a wait.
//! Never: counts tries or retries under way: the caller has the first, [`crate::budget`] the second.
//!
//! As Envoy's `RetryStateImpl` (RS-02), with the words of HTTP/3 left without meaning.

use std::time::Duration;

use mesh::route::HeaderMatch;
use mesh::route::retry::{Retry, RetryOn};

/// The base of the waits where a policy has none. Source: Envoy, `upstream.base_retry_backoff_ms`.
const DEFAULT_BACKOFF: Duration = Duration::from_millis(25);
/// The longest wait where a policy has none, in bases.
const DEFAULT_MAX_BACKOFF_BASES: u32 = 10;

/// What came of a try.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// The head of an answer.
    Answer(Answer<'a>),
    /// There is no answer.
    Failure(Failure),
}

/// The head of an answer.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// `grpc-status`, where the head already has it.
    pub grpc_status: Option<u32>,
    /// Whether it has `x-envoy-ratelimited`.
    pub rate_limited: bool,
    /// Whether one of [`Retry::headers`] matches its headers.
    pub header: &'a dyn Fn(&HeaderMatch) -> bool,
}

impl std::fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("grpc_status", &self.grpc_status)
            .field("rate_limited", &self.rate_limited)
            .finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No connection could be made, or none in time.
    Connect,
    /// The stream was refused before it was looked at (HTTP/2 `REFUSED_STREAM`).
    RefusedStream,
    /// The connection or the stream was reset.
    Reset {
        /// Whether the head of the request was on its way.
        sent: bool,
    },
    /// The time of one try was over.
    TimedOut,
    /// A limit of the pool is reached: another try would only add to what there is too much of.
    Overflow,
}

/// Whether a policy asks for another try, as long as it has tries left.
#[must_use]
pub fn is_wanted(retry: &Retry, outcome: &Outcome<'_>) -> bool {
    retry.attempts > 0
        && match outcome {
            Outcome::Answer(answer) => after_answer(retry, answer),
            Outcome::Failure(failure) => after_failure(retry.on, *failure),
        }
}

fn after_answer(retry: &Retry, answer: &Answer<'_>) -> bool {
    let on = |word| retry.on.contains(word);
    // It comes from a proxy further on, which has judged already; other words do not count.
    if answer.rate_limited {
        return on(RetryOn::RATE_LIMITED);
    }
    let status = answer.status;
    (on(RetryOn::SERVER_ERROR) && (500..=599).contains(&status))
        || (on(RetryOn::GATEWAY_ERROR) && (502..=504).contains(&status))
        || (on(RetryOn::RETRIABLE_4XX) && status == 409)
        || (on(RetryOn::RETRIABLE_STATUS_CODES) && retry.statuses.contains(&status))
        || (on(RetryOn::RETRIABLE_HEADERS) && retry.headers.iter().any(answer.header))
        || answer.grpc_status.and_then(grpc_word).is_some_and(on)
}

fn after_failure(on: RetryOn, failure: Failure) -> bool {
    // A reset makes a 502, 503 or 504 of the request, so those words mean it, too.
    let always = RetryOn::SERVER_ERROR
        .with(RetryOn::GATEWAY_ERROR)
        .with(RetryOn::RESET);
    match failure {
        Failure::Overflow => false,
        Failure::Connect => {
            let words = always.with(RetryOn::CONNECT_FAILURE);
            on.intersects(words.with(RetryOn::RESET_BEFORE_REQUEST))
        }
        Failure::Reset { sent: false } => on.intersects(always.with(RetryOn::RESET_BEFORE_REQUEST)),
        Failure::RefusedStream => on.intersects(always.with(RetryOn::REFUSED_STREAM)),
        Failure::Reset { sent: true } | Failure::TimedOut => on.intersects(always),
    }
}

/// The word of a status of gRPC.
fn grpc_word(status: u32) -> Option<RetryOn> {
    match status {
        1 => Some(RetryOn::CANCELLED),
        4 => Some(RetryOn::DEADLINE_EXCEEDED),
        8 => Some(RetryOn::RESOURCE_EXHAUSTED),
        13 => Some(RetryOn::INTERNAL),
        14 => Some(RetryOn::UNAVAILABLE),
        _ => None,
    }
}

/// How long to wait before a retry, of which `number` were before: any time up to the base, twice the base, four times
/// it and so on up to the longest.
///
/// `random` is uniform over all of `u64`.
#[must_use]
pub fn backoff(retry: &Retry, number: u32, random: u64) -> Duration {
    let base = retry.backoff.unwrap_or(DEFAULT_BACKOFF);
    let longest = retry
        .max_backoff
        .unwrap_or_else(|| base.saturating_mul(DEFAULT_MAX_BACKOFF_BASES));
    let doubled = 1_u32.checked_shl(number).unwrap_or(u32::MAX);
    let interval = base.saturating_mul(doubled).min(longest);
    let micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(mesh::endpoints::scale(random, micros).unwrap_or(0))
}

#[cfg(test)]
mod tests;
