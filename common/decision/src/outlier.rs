//! Which endpoints are left out for what they answer.
//!
//! In: what came of every try, and the time. Out: that an endpoint is left out, for how long, and that it is back.
//! Never: an active check, a clock, a choice of endpoints.
//!
//! As Envoy's outlier detection by consecutive errors, with the numbers of Istio (RS-04): an endpoint is left out after so
//! many errors in a row, for the base time multiplied by how often that happened (300 s at most); one success begins
//! the count anew; a part of endpoints may be left out, one in any case. The multiplier goes down by one for every
//! interval that the endpoint stays in. Endpoints come back at an interval's end only.
//!
//! [`Counts`] is shared by threads and costs a success no more than a look. The rest belongs to whoever decides.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use mesh::backend::OutlierDetection;

/// The longest time that an endpoint is left out, unless the base time is longer. Source: Envoy's default `max_ejection_time`.
const MAX_EJECTION: Duration = Duration::from_secs(300);

/// What came of one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// An answer with this status. That of gRPC counts by [`http_status`].
    Status(u16),
    /// A connection without HTTP that went well.
    Success,
    /// No connection could be made, or it was reset.
    Failed,
    /// It took too long.
    TimedOut,
}

/// Which count is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// `consecutive5xxErrors`.
    ServerErrors,
    /// `consecutiveGatewayErrors`.
    GatewayErrors,
    /// `consecutiveLocalOriginFailures`.
    LocalOrigin,
}

/// The errors of one endpoint that came in a row.
#[derive(Debug, Default)]
pub struct Counts {
    server: AtomicU32,
    gateway: AtomicU32,
    local: AtomicU32,
}

impl Counts {
    /// Counts what came of a try. A cause is yielded once for every time that its count becomes full.
    pub fn record(&self, policy: &OutlierDetection, outcome: Outcome) -> Option<Cause> {
        let local_apart = policy.split_local_origin;
        match outcome {
            Outcome::Failed | Outcome::TimedOut if local_apart => {
                let full = policy.consecutive_local_origin.map(u32::from);
                reaches(&self.local, full).then_some(Cause::LocalOrigin)
            }
            // 503 and 504, which are errors of both kinds.
            Outcome::Failed | Outcome::TimedOut => self.error(policy, true),
            Outcome::Success => {
                self.clear();
                None
            }
            Outcome::Status(status) => {
                // An answer shows that the endpoint can be reached.
                clear(&self.local);
                if is_error(policy, status) {
                    self.error(policy, matches!(status, 502..=504))
                } else {
                    clear(&self.server);
                    clear(&self.gateway);
                    None
                }
            }
        }
    }

    fn error(&self, policy: &OutlierDetection, gateway: bool) -> Option<Cause> {
        let gateway = if gateway {
            let full = policy.consecutive_gateway_errors.map(u32::from);
            reaches(&self.gateway, full)
        } else {
            clear(&self.gateway);
            false
        };
        let server = reaches(&self.server, policy.consecutive_5xx.map(u32::from));
        match (server, gateway) {
            (true, _) => Some(Cause::ServerErrors),
            (false, true) => Some(Cause::GatewayErrors),
            (false, false) => None,
        }
    }

    fn clear(&self) {
        for count in [&self.server, &self.gateway, &self.local] {
            clear(count);
        }
    }

    fn of(&self, cause: Cause) -> &AtomicU32 {
        match cause {
            Cause::ServerErrors => &self.server,
            Cause::GatewayErrors => &self.gateway,
            Cause::LocalOrigin => &self.local,
        }
    }
}

/// What one endpoint has been through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Since when it is left out; `None`: it is not.
    ejected_at: Option<Instant>,
    returned_at: Option<Instant>,
    /// How many times the base time it is left out.
    multiplier: u32,
}

impl History {
    /// Whether it is left out.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        self.ejected_at.is_some()
    }

    /// How long it is left out, as its ejections so far have made it.
    #[must_use]
    pub fn ejection(&self, policy: &OutlierDetection) -> Duration {
        let longest = MAX_EJECTION.max(policy.base_ejection);
        policy
            .base_ejection
            .saturating_mul(self.multiplier)
            .min(longest)
    }
}

/// The endpoints of one backend together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detector {
    ejected: usize,
}

impl Detector {
    /// How many endpoints are left out.
    #[must_use]
    pub fn ejected(&self) -> usize {
        self.ejected
    }

    /// Decides on an endpoint whose count is full: for how long it is left out, or `None` where it is not.
    ///
    /// `endpoints` is how many the backend has, this one and those that are left out among them.
    pub fn eject(
        &mut self,
        policy: &OutlierDetection,
        endpoints: usize,
        counts: &Counts,
        history: &mut History,
        cause: Cause,
        now: Instant,
    ) -> Option<Duration> {
        if history.is_ejected() {
            return None;
        }
        // If it stays in, it is judged again after as many errors, not after one more.
        clear(counts.of(cause));
        let within =
            (self.ejected + 1) * 100 <= usize::from(policy.max_ejection_percent) * endpoints;
        if self.ejected > 0 && !within {
            return None;
        }
        self.ejected += 1;
        history.ejected_at = Some(now);
        // Far beyond the longest time, a greater multiplier would only take longer to go down.
        let longest = MAX_EJECTION.max(policy.base_ejection);
        let so_far = policy.base_ejection.saturating_mul(history.multiplier);
        if so_far < longest.saturating_add(policy.base_ejection) {
            history.multiplier = history.multiplier.saturating_add(1);
        }
        Some(history.ejection(policy))
    }

    /// Looks at an endpoint at the end of an interval; whether it is back now.
    pub fn sweep(
        &mut self,
        policy: &OutlierDetection,
        counts: &Counts,
        history: &mut History,
        now: Instant,
    ) -> bool {
        if let Some(since) = history.ejected_at {
            let is_over = now.saturating_duration_since(since) >= history.ejection(policy);
            return is_over && self.recover(counts, history, now);
        }
        if let Some(since) = history.returned_at
            && now.saturating_duration_since(since) >= policy.interval
        {
            history.multiplier = history.multiplier.saturating_sub(1);
        }
        false
    }

    /// Takes an endpoint back before its time, because a health check has found it well; whether it was left out.
    pub fn recover(&mut self, counts: &Counts, history: &mut History, now: Instant) -> bool {
        if history.ejected_at.take().is_none() {
            return false;
        }
        self.ejected = self.ejected.saturating_sub(1);
        history.returned_at = Some(now);
        counts.clear();
        true
    }

    /// Forgets an endpoint that is one no more.
    pub fn forget(&mut self, history: &History) {
        if history.is_ejected() {
            self.ejected = self.ejected.saturating_sub(1);
        }
    }
}

/// The status of HTTP that one of gRPC counts as. Source: Envoy, `Grpc::Utility::grpcToHttpStatus`.
#[must_use]
pub fn http_status(grpc: u32) -> u16 {
    match grpc {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        // UNKNOWN, INTERNAL, DATA_LOSS, and what gRPC does not know.
        _ => 500,
    }
}

fn is_error(policy: &OutlierDetection, status: u16) -> bool {
    if policy.error_statuses.is_empty() {
        (500..=599).contains(&status)
    } else {
        policy.error_statuses.binary_search(&status).is_ok()
    }
}

/// Whether one more makes it full.
fn reaches(count: &AtomicU32, full: Option<u32>) -> bool {
    let before = count.fetch_add(1, Ordering::Relaxed);
    full.is_some_and(|full| before.wrapping_add(1) == full)
}

/// Writes only if there is something to clear: threads must not take each other's cache for every success.
fn clear(count: &AtomicU32) {
    if count.load(Ordering::Relaxed) != 0 {
        count.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
