//! Which endpoints count as well: by what they answer (outlier detection) and by being asked (health checks).

use std::{num::NonZeroU16, num::NonZeroU32, time::Duration};

use crate::name::Name;

/// When an endpoint is left out for what it answers. Source: DestinationRule `trafficPolicy.outlierDetection`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierDetection {
    /// After so many errors in a row; `None`: errors do not count.
    pub consecutive_5xx: Option<NonZeroU32>,
    /// After so many of 502, 503 and 504 in a row; `None`: they do not count by themselves.
    pub consecutive_gateway_errors: Option<NonZeroU32>,
    /// Whether what did not come from the endpoint (a failed connect, a timeout, a reset) counts by itself, and not as
    /// an error of 5xx.
    pub split_local_origin: bool,
    /// After so many of those in a row; only with `split_local_origin`.
    pub consecutive_local_origin: Option<NonZeroU32>,
    /// How often it is looked whose time has passed. Not zero.
    pub interval: Duration,
    /// How long the first time lasts; the n-th lasts n times as long. Not zero.
    pub base_ejection: Duration,
    /// How many endpoints may be left out. Units: per cent, 0 to 100. One may be in any case.
    pub max_ejection_percent: u8,
    /// With a smaller share of endpoints that are well, all count as well. Units: per cent, 0 to 100; 0 is never.
    pub min_health_percent: u8,
    /// Statuses that are errors in the place of 500 to 599; none: 500 to 599. **Shape:** sorted, each once.
    pub error_statuses: Vec<u16>,
}

/// Source: DestinationRule `outlierDetection.interval`.
pub const DEFAULT_OUTLIER_INTERVAL: Duration = Duration::from_secs(10);
/// Source: DestinationRule `outlierDetection.baseEjectionTime`.
pub const DEFAULT_BASE_EJECTION: Duration = Duration::from_secs(30);

impl Default for OutlierDetection {
    /// A block in which nothing is said: five errors in a row, every ten seconds, for half a minute, a tenth of all.
    fn default() -> Self {
        Self {
            consecutive_5xx: NonZeroU32::new(5),
            consecutive_gateway_errors: None,
            split_local_origin: false,
            consecutive_local_origin: NonZeroU32::new(5),
            interval: DEFAULT_OUTLIER_INTERVAL,
            base_ejection: DEFAULT_BASE_EJECTION,
            max_ejection_percent: 10,
            min_health_percent: 0,
            error_statuses: Vec::new(),
        }
    }
}

/// How endpoints are asked whether they are well. Source: `ambit.waypoint.v1.HealthCheck`; Istio has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// Where; `None`: on the port that requests go to.
    pub port: Option<NonZeroU16>,
    /// How often. Not zero.
    pub interval: Duration,
    /// How long the answer may take. Not zero.
    pub timeout: Duration,
    /// After so many failures in a row it is not well.
    pub unhealthy_threshold: NonZeroU32,
    /// After so many answers in a row it is well again.
    pub healthy_threshold: NonZeroU32,
}

/// What an endpoint is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// GET.
    Http {
        /// The path, with a query or without.
        path: Name,
        /// The host; empty: the service's hostname.
        host: Name,
        /// What is well; none: 200.
        expected: Vec<StatusRange>,
    },
    /// `grpc.health.v1.Health/Check`.
    Grpc {
        /// The service that is asked after; empty: the server as a whole.
        service: Name,
    },
    /// A connection.
    Tcp,
}

impl Probe {
    /// Whether a status is well; for [`Self::Http`] only, the others have none.
    #[must_use]
    pub fn expects(&self, status: u16) -> bool {
        match self {
            Self::Http { expected, .. } if expected.is_empty() => status == 200,
            Self::Http { expected, .. } => expected
                .iter()
                .any(|range| (range.first..=range.last).contains(&status)),
            Self::Grpc { .. } | Self::Tcp => false,
        }
    }
}

/// Statuses from one to another; both belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatusRange {
    /// The first.
    pub first: u16,
    /// The last, not before the first.
    pub last: u16,
}
