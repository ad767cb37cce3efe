//! Layer 7: what is known of a request, its line in the access log, and its metrics.
//!
//! In: one [`Record`] per finished request or connection, from the stages of a waypoint. Out: a line exactly as Envoy
//! writes it, Istio's HTTP metrics, and the statistics of clusters under Envoy's names.
//! Never: holds a header map (it says before what is to be kept of one), hashes labels per request.
//!
//! Reading order: [`record`] (the facts), [`flags`], [`details`] and [`grpc`] (their words), [`capture`] (headers that
//! outlive their map), [`access`] (the log), [`series`] and [`handles`] (who counts where), [`outcomes`] (what is
//! counted), [`clusters`] (statistics of backends), [`authorization`] (of policies), [`external`] (of authorizers), [`tokens`].

pub(crate) mod access;
pub(crate) mod authorization;
pub(crate) mod capture;
pub(crate) mod clusters;
pub(crate) mod collector;
pub(crate) mod details;
pub(crate) mod external;
pub(crate) mod flags;
pub(crate) mod grpc;
pub(crate) mod handles;
pub(crate) mod histogram;
pub(crate) mod labels;
pub(crate) mod outcomes;
pub(crate) mod record;
pub(crate) mod series;
pub(crate) mod tokens;

pub use crate::metrics::facts::{Parties, RequestProtocol};
pub use access::{AccessLog, DEFAULT_FIELDS, DEFAULT_TEXT, InvalidAccessLog, MAX_FIELDS};
pub use authorization::{Authorization, DryRun, Verdicts};
pub use capture::{Capture, Captured, Captures, Headers};
pub use clusters::{ClusterStats, Count, Level};
pub use details::Details;
pub use external::{AnswerCounts, Answers, External, MAX_PROVIDERS};
pub use flags::{Flags, ResponseFlag};
pub use grpc::GrpcStatus;
pub use handles::{MAX_KEPT, SeriesCache};
pub use record::{Record, Times};
pub use series::{Http, RequestSeries};
pub use tokens::Tokens;

#[cfg(test)]
pub(crate) mod testkit;
