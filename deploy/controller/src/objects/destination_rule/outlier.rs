//! `outlierDetection` and `retryBudget`. Defaults are filled in: they are part of what the block says.

use std::{collections::BTreeSet, time::Duration};

use super::super::Share;

/// When an endpoint that fails is left out for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierDetection {
    /// `consecutive5xxErrors`: 5; 0 is never.
    pub consecutive_5xx: u32,
    /// `consecutiveGatewayErrors` (and `consecutiveErrors`, its older name): 0, which is never.
    pub consecutive_gateway: u32,
    /// `splitExternalLocalOriginErrors`: false.
    pub split_local_origin: bool,
    /// `consecutiveLocalOriginFailures`: 5; 0 is never. Of effect only with `split_local_origin`.
    pub consecutive_local_origin: u32,
    /// `interval`: 10 s.
    pub interval: Duration,
    /// `baseEjectionTime`: 30 s.
    pub base_ejection_time: Duration,
    /// `maxEjectionPercent`: 10; at most 100.
    pub max_ejection_percent: u32,
    /// `minHealthPercent`: 0; at most 100. With fewer healthy ones, all are used.
    pub min_health_percent: u32,
    /// `outlierDetectionHttpErrorCodes`: which status codes count as errors; empty is 500 to 599.
    pub error_codes: BTreeSet<u16>,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            consecutive_gateway: 0,
            split_local_origin: false,
            consecutive_local_origin: 5,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_percent: 10,
            min_health_percent: 0,
            error_codes: BTreeSet::new(),
        }
    }
}

/// How many retries there may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// `percent` of the requests that are under way: 20 %.
    pub share: Share,
    /// `minRetryConcurrency`: 3; so many are always allowed.
    pub min_concurrency: u32,
    /// `budgetInterval`: how long a request counts; `None` is while it is under way.
    pub interval: Option<Duration>,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            share: Share::of_million(200_000),
            min_concurrency: 3,
            interval: None,
        }
    }
}
