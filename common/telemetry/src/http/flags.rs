//! `%RESPONSE_FLAGS%`: what befell a request, in Envoy's words.

use std::fmt;

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $short:literal;)*) => {
        /// One thing that befell a request or connection. **Shape:** in the order in which several are written.
        ///
        /// **Source:** Envoy, `%RESPONSE_FLAGS%` and `%RESPONSE_FLAGS_LONG%`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ResponseFlag {
            $($(#[$doc])* $name,)*
        }

        impl ResponseFlag {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As logs and metrics write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $short,)*
                }
            }

            /// Its long name.
            #[must_use]
            pub const fn long(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

flags! {
    /// The local service failed its health check.
    FailedLocalHealthCheck = "LH";
    /// No endpoint may be given the request.
    NoHealthyUpstream = "UH";
    /// The endpoint did not answer in time.
    UpstreamRequestTimeout = "UT";
    /// We reset the connection.
    LocalReset = "LR";
    /// The endpoint reset the stream.
    UpstreamRemoteReset = "UR";
    /// The endpoint could not be connected to.
    UpstreamConnectionFailure = "UF";
    /// The endpoint's connection ended early.
    UpstreamConnectionTermination = "UC";
    /// A limit of the connection pool is reached (circuit breaker).
    UpstreamOverflow = "UO";
    /// No route matches.
    NoRouteFound = "NR";
    /// It was delayed on purpose.
    DelayInjected = "DI";
    /// It was answered with a failure on purpose.
    FaultInjected = "FI";
    /// It was over a rate limit.
    RateLimited = "RL";
    /// The external authorization service denied it.
    UnauthorizedExternalService = "UAEX";
    /// The rate limit service failed.
    RateLimitServiceError = "RLSE";
    /// The client went away.
    DownstreamConnectionTermination = "DC";
    /// All attempts were used up.
    UpstreamRetryLimitExceeded = "URX";
    /// Nothing moved for too long.
    StreamIdleTimeout = "SI";
    /// A header that is checked strictly is not valid.
    InvalidEnvoyRequestHeaders = "IH";
    /// The client does not speak HTTP as it should.
    DownstreamProtocolError = "DPE";
    /// The stream lasted longer than it may.
    UpstreamMaxStreamDurationReached = "UMSDR";
    /// A cache answered.
    ResponseFromCacheFilter = "RFCF";
    /// The configuration of a filter did not come in time.
    NoFilterConfigFound = "NFCF";
    /// The connection lasted longer than it may.
    DurationTimeout = "DT";
    /// The endpoint does not speak HTTP as it should.
    UpstreamProtocolError = "UPE";
    /// The backend does not exist.
    NoClusterFound = "NC";
    /// We are overloaded.
    OverloadManagerTerminated = "OM";
    /// A name could not be resolved.
    DnsResolutionFailed = "DF";
    /// It was dropped for overload of the backend.
    DropOverload = "DO";
    /// The client reset the stream.
    DownstreamRemoteReset = "DR";
}

impl ResponseFlag {
    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A set of flags. It writes itself as `-`, or as the flags in order, joined by commas.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(u32);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);

    /// The set with one flag more.
    #[must_use]
    pub const fn with(self, flag: ResponseFlag) -> Self {
        Self(self.0 | flag.bit())
    }

    /// Adds a flag.
    pub const fn insert(&mut self, flag: ResponseFlag) {
        self.0 |= flag.bit();
    }

    /// Whether a flag is in it.
    #[must_use]
    pub const fn contains(self, flag: ResponseFlag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// Whether nothing befell.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The flags in it, in order.
    pub fn iter(self) -> impl Iterator<Item = ResponseFlag> {
        ResponseFlag::ALL
            .iter()
            .copied()
            .filter(move |flag| self.contains(*flag))
    }

    /// Writes long names.
    #[must_use]
    pub const fn long(self) -> LongFlags {
        LongFlags(self)
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    fn write(
        self,
        f: &mut fmt::Formatter<'_>,
        name: fn(ResponseFlag) -> &'static str,
    ) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        for (index, flag) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(name(flag))?;
        }
        Ok(())
    }
}

impl From<ResponseFlag> for Flags {
    fn from(flag: ResponseFlag) -> Self {
        Self::NONE.with(flag)
    }
}

impl FromIterator<ResponseFlag> for Flags {
    fn from_iter<I: IntoIterator<Item = ResponseFlag>>(flags: I) -> Self {
        flags.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, ResponseFlag::as_str)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({self})")
    }
}

/// A set of flags that writes itself with long names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongFlags(Flags);

impl fmt::Display for LongFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, ResponseFlag::long)
    }
}

#[cfg(test)]
mod tests;
