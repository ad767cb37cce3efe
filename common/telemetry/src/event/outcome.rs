//! How a connection ended: the closed list of reasons and what each means to the readers.

use std::fmt;

use tracing::Level;

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both ends were done.
    Complete,
    /// Something cut it short.
    Failed(Failure),
}

/// Why a connection was cut short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of reason it was.
    pub reason: Reason,
    /// The text for people, made by the stage that knows: its error with the chain of its sources.
    pub error: String,
}

impl Outcome {
    /// An outcome other than completion; `error` is the text that the access log shows.
    #[must_use]
    pub fn failed(reason: Reason, error: impl fmt::Display) -> Self {
        Self::Failed(Failure {
            reason,
            error: error.to_string(),
        })
    }

    /// The response flag under which the connection is counted as closed.
    #[must_use]
    pub const fn flag(&self) -> Flag {
        match self {
            Self::Complete => Flag::None,
            Self::Failed(failure) => failure.reason.flag(),
        }
    }

    /// The level of its access log line.
    #[must_use]
    pub const fn level(&self) -> Level {
        match self {
            Self::Complete => Level::INFO,
            Self::Failed(failure) => failure.reason.level(),
        }
    }
}

/// The kinds of reason that cut a connection short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// An authorization policy refused it.
    Denied,
    /// An authorization policy that came later refused it.
    PolicyChange,
    /// The destination, or what stands before it, could not be reached or refused the tunnel.
    ConnectFailed,
    /// The destination did not answer in time on the HBONE port: perhaps a NetworkPolicy blocks it.
    NetworkPolicy,
    /// The TLS handshake failed.
    TlsHandshake,
    /// The HTTP/2 handshake failed.
    Http2Handshake,
    /// We have no valid certificate for our own workload.
    Identity,
    /// The peer's certificate has been revoked.
    Revoked,
    /// No endpoint of the service may be given connections.
    NoHealthyUpstream,
    /// There is no way to what was asked for: unknown waypoint, gateway or hostname, or a call to ourselves.
    NoRoute,
    /// The initiator broke off before all was delivered.
    ClientDisconnected,
    /// The destination broke off before all was delivered.
    DestinationDisconnected,
    /// The initiator sent a reset.
    ClientReset,
    /// The destination sent a reset.
    DestinationReset,
    /// The initiator does not speak the protocol that it should.
    ProtocolError,
    /// The destination does not speak the protocol that it should.
    PeerProtocolError,
    /// A limit of ours is reached.
    Overloaded,
    /// We are being stopped, or the workload leaves.
    Drained,
    /// It was dropped without an outcome.
    Aborted,
    /// Any other error of reading, writing or connecting.
    Io,
}

impl Reason {
    /// The response flag by which metrics count it. Several reasons may share one.
    ///
    /// **Source:** the flags that Istio's ztunnel has keep their meaning, except that it counts every other
    /// error as `CONNECT`; where Envoy has a more precise word, that word is used.
    #[must_use]
    pub const fn flag(self) -> Flag {
        match self {
            Self::Denied | Self::PolicyChange => Flag::Deny,
            Self::ConnectFailed | Self::Io => Flag::Connect,
            Self::NetworkPolicy => Flag::NetworkPolicy,
            Self::TlsHandshake => Flag::TlsFailure,
            Self::Http2Handshake => Flag::Http2HandshakeFailure,
            Self::Identity => Flag::IdentityError,
            Self::Revoked => Flag::CertificateRevoked,
            Self::NoHealthyUpstream => Flag::NoHealthyUpstream,
            Self::NoRoute => Flag::NoRoute,
            Self::ClientDisconnected => Flag::DownstreamClosed,
            Self::DestinationDisconnected => Flag::UpstreamClosed,
            Self::ClientReset => Flag::DownstreamReset,
            Self::DestinationReset => Flag::UpstreamReset,
            Self::ProtocolError => Flag::DownstreamProtocolError,
            Self::PeerProtocolError => Flag::UpstreamProtocolError,
            Self::Overloaded => Flag::Overload,
            Self::Drained | Self::Aborted => Flag::LocalReset,
        }
    }

    /// The level of the access log line of a connection that had been opened.
    #[must_use]
    pub const fn level(self) -> Level {
        // One level for all: dashboards and alerts match on it. A match, so that a new reason is thought about.
        match self {
            Self::Denied
            | Self::PolicyChange
            | Self::ConnectFailed
            | Self::NetworkPolicy
            | Self::TlsHandshake
            | Self::Http2Handshake
            | Self::Identity
            | Self::Revoked
            | Self::NoHealthyUpstream
            | Self::NoRoute
            | Self::ClientDisconnected
            | Self::DestinationDisconnected
            | Self::ClientReset
            | Self::DestinationReset
            | Self::ProtocolError
            | Self::PeerProtocolError
            | Self::Overloaded
            | Self::Drained
            | Self::Aborted
            | Self::Io => Level::ERROR,
        }
    }
}

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// The values of the metric label `response_flags`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Flag {
            $($(#[$doc])* $name,)*
        }

        impl Flag {
            /// Every flag, in the order of [`Flag::index`].
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As metrics write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

flags! {
    /// Nothing to remark.
    None = "-";
    /// Refused by policy.
    Deny = "DENY";
    /// Any error that has no word of its own.
    Connect = "CONNECT";
    /// TLS handshake failed.
    TlsFailure = "TLS_FAILURE";
    /// HTTP/2 handshake failed.
    Http2HandshakeFailure = "H2_HANDSHAKE_FAILURE";
    /// The HBONE port did not answer.
    NetworkPolicy = "NETWORK_POLICY";
    /// No certificate of our own.
    IdentityError = "IDENTITY_ERROR";
    /// The peer's certificate is revoked.
    CertificateRevoked = "CERT_REVOKED";
    /// No healthy upstream.
    NoHealthyUpstream = "UH";
    /// No route.
    NoRoute = "NR";
    /// Downstream connection closed early.
    DownstreamClosed = "DC";
    /// Upstream connection closed early.
    UpstreamClosed = "UC";
    /// Downstream remote reset.
    DownstreamReset = "DR";
    /// Upstream remote reset.
    UpstreamReset = "UR";
    /// Downstream protocol error.
    DownstreamProtocolError = "DPE";
    /// Upstream protocol error.
    UpstreamProtocolError = "UPE";
    /// Overload.
    Overload = "OM";
    /// Local reset.
    LocalReset = "LR";
}

impl Flag {
    /// How many flags there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Its place in [`Flag::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}
