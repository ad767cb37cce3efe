//! `retries`: of a route, and of the mesh (`defaultHttpRetryPolicy`).

use std::{collections::BTreeSet, time::Duration};

/// How often a request is tried again, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retries {
    /// `attempts` beside the first; 0 is none at all, and then nothing else is set.
    pub attempts: u32,
    /// `perTryTimeout`; `None` is the route's timeout.
    pub per_try_timeout: Option<Duration>,
    /// `retryOn`; `None` is the default.
    pub retry_on: Option<RetryOn>,
    /// `backoff`: the base of the pause before a retry; `None` is 25 ms.
    pub backoff: Option<Duration>,
    /// `retryRemoteLocalities`; `None` is as without it: endpoints of any locality that balancing chooses.
    pub retry_remote_localities: Option<bool>,
    /// `retryIgnorePreviousHosts`; `None` is true.
    pub retry_ignore_previous_hosts: Option<bool>,
}

/// `retryOn`: any of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryOn {
    /// The words.
    pub conditions: BTreeSet<RetryCondition>,
    /// The numbers: status codes. Where there are any, `conditions` hold `RetriableStatusCodes`.
    pub codes: BTreeSet<u16>,
}

/// A word of `retryOn`. Source: Envoy, `x-envoy-retry-on` and `x-envoy-retry-grpc-on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of the words")]
pub enum RetryCondition {
    ServerError,
    GatewayError,
    Reset,
    ResetBeforeRequest,
    ConnectFailure,
    EnvoyRatelimited,
    Retriable4xx,
    RefusedStream,
    RetriableStatusCodes,
    RetriableHeaders,
    Http3PostConnectFailure,
    GrpcCancelled,
    GrpcDeadlineExceeded,
    GrpcInternal,
    GrpcResourceExhausted,
    GrpcUnavailable,
}

impl RetryCondition {
    /// Every word, and what it stands for.
    pub const WORDS: [(&'static str, Self); 16] = [
        ("5xx", Self::ServerError),
        ("gateway-error", Self::GatewayError),
        ("reset", Self::Reset),
        ("reset-before-request", Self::ResetBeforeRequest),
        ("connect-failure", Self::ConnectFailure),
        ("envoy-ratelimited", Self::EnvoyRatelimited),
        ("retriable-4xx", Self::Retriable4xx),
        ("refused-stream", Self::RefusedStream),
        ("retriable-status-codes", Self::RetriableStatusCodes),
        ("retriable-headers", Self::RetriableHeaders),
        ("http3-post-connect-failure", Self::Http3PostConnectFailure),
        ("cancelled", Self::GrpcCancelled),
        ("deadline-exceeded", Self::GrpcDeadlineExceeded),
        ("internal", Self::GrpcInternal),
        ("resource-exhausted", Self::GrpcResourceExhausted),
        ("unavailable", Self::GrpcUnavailable),
    ];
}
