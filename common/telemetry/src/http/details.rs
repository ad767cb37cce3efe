//! `%RESPONSE_CODE_DETAILS%`: who gave the answer, and why.

use std::{fmt, ops::Deref, sync::Arc};

/// One detail. Cheap to clone: a word of this list, or one that was made once.
///
/// **Source:** Envoy, `ResponseCodeDetails`; white space is written as `_`.
#[derive(Clone, Debug)]
pub enum Details {
    /// A known word.
    Word(&'static str),
    /// One with a part of its own, for example `upstream_reset_before_response_started{connection_timeout}`.
    Made(Arc<str>),
}

macro_rules! details {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl Details {
            $($(#[$doc])* pub const $name: Self = Self::Word($text);)*
        }
    };
}

details! {
    /// The endpoint answered.
    VIA_UPSTREAM = "via_upstream";
    /// The route answered.
    DIRECT_RESPONSE = "direct_response";
    /// No route matches.
    ROUTE_NOT_FOUND = "route_not_found";
    /// The backend does not exist.
    CLUSTER_NOT_FOUND = "cluster_not_found";
    /// No endpoint may be given the request.
    NO_HEALTHY_UPSTREAM = "no_healthy_upstream";
    /// The request as a whole took too long.
    RESPONSE_TIMEOUT = "response_timeout";
    /// One attempt took too long.
    UPSTREAM_PER_TRY_TIMEOUT = "upstream_per_try_timeout";
    /// Its headers or its body did not come in time.
    REQUEST_OVERALL_TIMEOUT = "request_overall_timeout";
    /// The request's headers did not come in time.
    REQUEST_HEADER_TIMEOUT = "request_header_timeout";
    /// Nothing moved for too long.
    STREAM_IDLE_TIMEOUT = "stream_idle_timeout";
    /// The stream lasted longer than it may.
    UPSTREAM_MAX_STREAM_DURATION_REACHED = "upstream_max_stream_duration_reached";
    /// A limit of the connection pool is reached.
    OVERFLOW = "upstream_reset_before_response_started{overflow}";
    /// The endpoint could not be connected to.
    REMOTE_CONNECTION_FAILURE = "upstream_reset_before_response_started{remote_connection_failure}";
    /// The endpoint could not be connected to in time.
    CONNECTION_TIMEOUT = "upstream_reset_before_response_started{connection_timeout}";
    /// The endpoint's connection ended before it answered.
    CONNECTION_TERMINATION = "upstream_reset_before_response_started{connection_termination}";
    /// The endpoint reset the stream before it answered.
    REMOTE_RESET = "upstream_reset_before_response_started{remote_reset}";
    /// The endpoint answered with what is no HTTP.
    PROTOCOL_ERROR = "upstream_reset_before_response_started{protocol_error}";
    /// The endpoint reset the stream, or its connection ended, after it had begun to answer.
    LATE_RESET = "upstream_reset_after_response_started{remote_reset}";
    /// The client went away.
    DOWNSTREAM_REMOTE_DISCONNECT = "downstream_remote_disconnect";
    /// A failure on purpose.
    FAULT_FILTER_ABORT = "fault_filter_abort";
    /// A CORS preflight was answered.
    CORS_RESPONSE = "cors_response";
    /// There is no authority.
    MISSING_HOST_HEADER = "missing_host_header";
    /// There is no path.
    MISSING_PATH_REJECTED = "missing_path_rejected";
    /// The path cannot be normalised.
    PATH_NORMALIZATION_FAILED = "path_normalization_failed";
    /// The headers are too large.
    REQUEST_HEADERS_TOO_LARGE = "request_headers_too_large";
    /// The body is too large to be kept.
    REQUEST_PAYLOAD_TOO_LARGE = "request_payload_too_large";
    /// HTTP/1.0 is not spoken.
    LOW_VERSION = "low_version";
    /// The endpoint did not go on to another protocol.
    UPGRADE_FAILED = "upgrade_failed";
    /// The external authorizer denied it.
    EXT_AUTHZ_DENIED = "ext_authz_denied";
    /// The external authorizer did not answer, or not as it should.
    EXT_AUTHZ_ERROR = "ext_authz_error";
    /// Policies have changed while it was open, and it cannot be told whether it may go on.
    POLICY_CHANGED = "policy_changed";
    /// We are overloaded.
    OVERLOAD = "overload";
}

impl Details {
    /// The detail as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Word(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl Deref for Details {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<&'static str> for Details {
    fn from(text: &'static str) -> Self {
        Self::Word(text)
    }
}

impl From<String> for Details {
    fn from(text: String) -> Self {
        Self::Made(text.into())
    }
}

impl From<Arc<str>> for Details {
    fn from(text: Arc<str>) -> Self {
        Self::Made(text)
    }
}

impl PartialEq for Details {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Details {}

impl fmt::Display for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
