//! When a request is tried again (RS-01, RS-02).

use wire::proto::waypoint::Retry;

use super::convert::micros_or_none;
use crate::objects::{
    route,
    virtual_service::{Retries, RetryCondition},
};

/// Tries beside the first where nothing is said. Source: RS-01.
const ATTEMPTS: u32 = 2;

/// What is tried again where nothing is said. Source: RS-01.
const DEFAULT: [RetryCondition; 5] = [
    RetryCondition::ConnectFailure,
    RetryCondition::RefusedStream,
    RetryCondition::GrpcUnavailable,
    RetryCondition::GrpcCancelled,
    RetryCondition::RetriableStatusCodes,
];

/// What is tried again under an HTTPRoute. Source: HTTPRoute `retry`: failures of the connection, and `codes`.
const OF_ROUTE: [RetryCondition; 4] = [
    RetryCondition::ConnectFailure,
    RetryCondition::RefusedStream,
    RetryCondition::Reset,
    RetryCondition::RetriableStatusCodes,
];

/// `retry.codes` where there are none. Source: RS-01, GEP-1731.
const CODES_OF_ROUTE: [u32; 4] = [500, 502, 503, 504];

fn words(conditions: impl IntoIterator<Item = RetryCondition>) -> Vec<String> {
    conditions
        .into_iter()
        .filter_map(|it| RetryCondition::WORDS.iter().find(|(_, is)| *is == it))
        .map(|(word, _)| (*word).to_owned())
        .collect()
}

/// Where the mesh says nothing of it, and a rule neither.
///
/// Beside RS-01: what broke before a byte of the request was sent, which Istio's waypoints try again for services
/// without a VirtualService. It is never wrong to.
pub(super) fn default() -> Retry {
    Retry {
        attempts: ATTEMPTS,
        on: words(
            DEFAULT
                .into_iter()
                .chain([RetryCondition::ResetBeforeRequest]),
        ),
        other_hosts: true,
        ..Retry::default()
    }
}

/// `retries` of VirtualService, `defaultHttpRetryPolicy` of the mesh.
pub(super) fn of_istio(retries: &Retries) -> Retry {
    if retries.attempts == 0 {
        return Retry::default();
    }
    let (on, statuses) = match &retries.retry_on {
        Some(on) => (
            words(on.conditions.iter().copied()),
            on.codes.iter().copied().map(u32::from).collect(),
        ),
        None => (words(DEFAULT), Vec::new()),
    };
    Retry {
        attempts: retries.attempts,
        per_try_timeout_us: micros_or_none(retries.per_try_timeout),
        on,
        statuses,
        backoff_us: micros_or_none(retries.backoff),
        other_hosts: retries.retry_ignore_previous_hosts.unwrap_or(true),
        remote_localities: retries.retry_remote_localities.unwrap_or(false),
        ..Retry::default()
    }
}

/// `retry` of HTTPRoute. The time of one try is the backend's.
pub(super) fn of_route(retry: &route::Retry) -> Retry {
    let attempts = retry.attempts.unwrap_or(ATTEMPTS);
    if attempts == 0 {
        return Retry::default();
    }
    let mut statuses: Vec<u32> = retry.codes.iter().copied().map(u32::from).collect();
    if statuses.is_empty() {
        statuses.extend(CODES_OF_ROUTE);
    }
    Retry {
        attempts,
        on: words(OF_ROUTE),
        statuses,
        backoff_us: micros_or_none(retry.backoff),
        other_hosts: true,
        ..Retry::default()
    }
}
