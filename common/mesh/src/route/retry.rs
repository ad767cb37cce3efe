//! When and how often a request is tried again.

use std::{fmt, time::Duration};

use super::rule::HeaderMatch;

/// When and how often a request is tried again. The default: never.
/// Source: VirtualService `retries`, HTTPRoute `retry`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    /// Beside the first.
    pub attempts: u32,
    /// `None`: what is left of the request's timeout.
    pub per_try_timeout: Option<Duration>,
    /// What counts as a failure that another try may mend.
    pub on: RetryOn,
    /// What [`RetryOn::RETRIABLE_STATUS_CODES`] means.
    pub statuses: Vec<u16>,
    /// What [`RetryOn::RETRIABLE_HEADERS`] means: any of them, on the response.
    pub headers: Vec<HeaderMatch>,
    /// The base of the waits between tries. `None`: 25 ms.
    pub backoff: Option<Duration>,
    /// The longest wait. `None`: ten times the base.
    pub max_backoff: Option<Duration>,
    /// Whether an endpoint is preferred that was not tried. Source: `retryIgnorePreviousHosts`.
    pub other_hosts: bool,
    /// Whether further tries go down in locality. Source: `retryRemoteLocalities`.
    pub remote_localities: bool,
}

/// A set of the words of Envoy's `x-envoy-retry-on` and `x-envoy-retry-grpc-on`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RetryOn(u16);

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $word:literal;)*) => {
        impl RetryOn {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*

            /// All words, in the order of Envoy's documentation.
            const WORDS: &[(&'static str, Self)] = &[$(($word, Self::$name)),*];
        }
    };
}

words! {
    /// The answer is a 5xx, or there is none.
    SERVER_ERROR = 0, "5xx";
    /// The answer is 502, 503 or 504.
    GATEWAY_ERROR = 1, "gateway-error";
    /// There is no answer: the connection broke, or a try took too long.
    RESET = 2, "reset";
    /// The connection broke before the head of the request was sent.
    RESET_BEFORE_REQUEST = 3, "reset-before-request";
    /// No connection could be made.
    CONNECT_FAILURE = 4, "connect-failure";
    /// The answer has `x-envoy-ratelimited`.
    RATE_LIMITED = 5, "envoy-ratelimited";
    /// The answer is 409.
    RETRIABLE_4XX = 6, "retriable-4xx";
    /// The stream was refused before it was looked at (HTTP/2 `REFUSED_STREAM`).
    REFUSED_STREAM = 7, "refused-stream";
    /// The answer's status is one of [`Retry::statuses`].
    RETRIABLE_STATUS_CODES = 8, "retriable-status-codes";
    /// The answer has one of [`Retry::headers`].
    RETRIABLE_HEADERS = 9, "retriable-headers";
    /// Said of HTTP/3, which is not spoken: it never holds.
    HTTP3_POST_CONNECT_FAILURE = 10, "http3-post-connect-failure";
    /// gRPC status 1.
    CANCELLED = 11, "cancelled";
    /// gRPC status 4.
    DEADLINE_EXCEEDED = 12, "deadline-exceeded";
    /// gRPC status 13.
    INTERNAL = 13, "internal";
    /// gRPC status 8.
    RESOURCE_EXHAUSTED = 14, "resource-exhausted";
    /// gRPC status 14.
    UNAVAILABLE = 15, "unavailable";
}

impl RetryOn {
    /// The set of one word; `None` if it is none.
    #[must_use]
    pub fn word(word: &str) -> Option<Self> {
        let known = |(text, _): &&(&str, Self)| *text == word;
        Self::WORDS.iter().find(known).map(|(_, set)| *set)
    }

    /// What is in either.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is in it.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its words.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let held = Self::WORDS
            .iter()
            .filter(move |(_, set)| self.contains(*set));
        held.map(|(word, _)| *word)
    }
}

impl FromIterator<Self> for RetryOn {
    fn from_iter<I: IntoIterator<Item = Self>>(sets: I) -> Self {
        sets.into_iter().fold(Self::default(), Self::with)
    }
}

impl fmt::Debug for RetryOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.words()).finish()
    }
}
