//! gRPC statuses.

use http::{HeaderValue, StatusCode};

/// A gRPC status, also one that nobody has named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GrpcStatus(u32);

/// The names of the statuses, in order: as Envoy writes them, and as gRPC does.
const NAMES: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("Canceled", "CANCELLED"),
    ("Unknown", "UNKNOWN"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("NotFound", "NOT_FOUND"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Aborted", "ABORTED"),
    ("OutOfRange", "OUT_OF_RANGE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Internal", "INTERNAL"),
    ("Unavailable", "UNAVAILABLE"),
    ("DataLoss", "DATA_LOSS"),
    ("Unauthenticated", "UNAUTHENTICATED"),
];

impl GrpcStatus {
    /// Success.
    pub const OK: Self = Self(0);
    /// The caller gave it up.
    pub const CANCELLED: Self = Self(1);
    /// An error of which nothing is known.
    pub const UNKNOWN: Self = Self(2);
    /// It took too long.
    pub const DEADLINE_EXCEEDED: Self = Self(4);
    /// The caller may not.
    pub const PERMISSION_DENIED: Self = Self(7);
    /// Something is used up.
    pub const RESOURCE_EXHAUSTED: Self = Self(8);
    /// There is no such method.
    pub const UNIMPLEMENTED: Self = Self(12);
    /// Something is broken.
    pub const INTERNAL: Self = Self(13);
    /// The service is not there at the moment.
    pub const UNAVAILABLE: Self = Self(14);
    /// The caller did not say who it is.
    pub const UNAUTHENTICATED: Self = Self(16);

    /// The status of that number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Reads `grpc-status`; nothing, if it holds no number.
    #[must_use]
    pub fn read(value: &HeaderValue) -> Option<Self> {
        value.to_str().ok()?.trim().parse().ok().map(Self)
    }

    /// The status with which a proxy answers for an HTTP status.
    ///
    /// **Source:** gRPC, "HTTP to gRPC Status Code Mapping".
    #[must_use]
    pub fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            200 => Self::OK,
            400 => Self::INTERNAL,
            401 => Self::UNAUTHENTICATED,
            403 => Self::PERMISSION_DENIED,
            404 => Self::UNIMPLEMENTED,
            429 | 502 | 503 | 504 => Self::UNAVAILABLE,
            _ => Self::UNKNOWN,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Its name as Envoy writes it, for example `DeadlineExceeded`.
    #[must_use]
    pub fn camel(self) -> Option<&'static str> {
        self.names().map(|(camel, _)| *camel)
    }

    /// Its name as gRPC writes it, for example `DEADLINE_EXCEEDED`.
    #[must_use]
    pub fn snake(self) -> Option<&'static str> {
        self.names().map(|(_, snake)| *snake)
    }

    /// Its place among the statuses that metrics tell apart: all that nobody has named share one.
    pub(crate) fn index(self) -> u8 {
        u8::try_from(self.0.min(MAX_NAMED + 1)).unwrap_or(u8::MAX)
    }

    /// The opposite of [`index`](Self::index); `None` stands for all that nobody has named.
    pub(crate) fn at(index: u8) -> Option<Self> {
        let status = Self(index.into());
        status.names().map(|_| status)
    }

    fn names(self) -> Option<&'static (&'static str, &'static str)> {
        NAMES.get(usize::try_from(self.0).ok()?)
    }
}

/// The greatest status that has a name.
const MAX_NAMED: u32 = 16;
