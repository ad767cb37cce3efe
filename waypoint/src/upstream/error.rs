//! Why a request had no answer, in the words of Envoy's access log.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use decision::retry::Failure;
use telemetry::http::ResponseFlag;

use crate::{body::BodyError, upstream::breaker::Overflow};

/// Why no endpoint could be chosen. Flag `UH`, details `no_healthy_upstream`, 503 with the body
/// `no healthy upstream`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no endpoint of {cluster} may be given a request: {known} are known")]
pub struct NoHost {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// How many endpoints it has, all of them unfit.
    pub known: usize,
}

/// Why a connection to an endpoint could not be made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    /// No TCP connection.
    #[error("{0}")]
    Tcp(#[source] Arc<io::Error>),
    /// No tunnel, or none that leads to the endpoint.
    #[error("{0}")]
    Hbone(#[source] Arc<hbone::OpenError>),
    /// The endpoint's certificate was taken back.
    #[error("{0}")]
    Revoked(#[source] Arc<identity::PeerRefusal>),
    /// We have no certificate to show.
    #[error("{0}")]
    Identity(#[source] identity::Error),
    /// What the endpoint is to be told of the client could not be sent.
    #[error("PROXY header or name of the client not sent: {0}")]
    Announce(#[source] Arc<io::Error>),
    /// No answer in time.
    #[error("no connection within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The worker that dialled has gone.
    #[error("the worker ended")]
    Ended,
    /// The endpoint speaks no HTTP/2.
    #[error("http/2 preface failed: {0}")]
    Preface(#[source] Arc<io::Error>),
}

/// What ended an exchange.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// HTTP/1.1.
    #[error(transparent)]
    Http1(hyper::Error),
    /// HTTP/2.
    #[error(transparent)]
    Http2(h2::Error),
    /// We closed the connection: its certificate was taken back, or the process is at its end.
    #[error("the connection was closed here")]
    Local,
}

/// Why a request had no answer, or an answer broke off.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// A limit of the backend's connection pool was reached.
    #[error("{0}")]
    Overflow(#[from] Overflow),
    /// No connection.
    #[error("connection to {address} failed")]
    Connect {
        /// The endpoint.
        address: SocketAddr,
        /// Why.
        source: ConnectError,
    },
    /// The endpoint says that it has not looked at the request.
    #[error("{address} refused the stream")]
    Refused {
        /// The endpoint.
        address: SocketAddr,
        /// What it said.
        source: Cause,
    },
    /// The endpoint gave the request up.
    #[error("{address} reset the stream")]
    Reset {
        /// The endpoint.
        address: SocketAddr,
        /// What it said.
        source: Cause,
    },
    /// The connection ended.
    #[error("the connection to {address} ended")]
    Closed {
        /// The endpoint.
        address: SocketAddr,
        /// Whether anything of the request was on its way.
        sent: bool,
        /// How.
        source: Cause,
    },
    /// The endpoint's answer is none that HTTP allows.
    #[error("{address} broke the protocol")]
    Protocol {
        /// The endpoint.
        address: SocketAddr,
        /// How.
        source: Cause,
    },
    /// The request could not be read to its end.
    #[error("the request broke off")]
    Request(#[source] BodyError),
    /// The request has no place on the wire: it names no authority, or a path that HTTP does not know.
    #[error("the request's {0} cannot be sent")]
    Head(&'static str),
}

/// How an exchange ended without an answer. Source: Envoy's stream reset reasons, as far as they occur here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the documentation")]
#[expect(clippy::enum_variant_names, reason = "the names are Envoy's")]
pub enum Reset {
    Overflow,
    RemoteConnectionFailure,
    ConnectionTimeout,
    RemoteRefusedStream,
    RemoteReset,
    ConnectionTermination,
    ProtocolError,
    LocalReset,
}

impl Reset {
    /// As Envoy writes it in a body: `reset reason: ...`.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Overflow => "overflow",
            Self::RemoteConnectionFailure => "remote connection failure",
            Self::ConnectionTimeout => "connection timeout",
            Self::RemoteRefusedStream => "remote refused stream reset",
            Self::RemoteReset => "remote reset",
            Self::ConnectionTermination => "connection termination",
            Self::ProtocolError => "protocol error",
            Self::LocalReset => "local reset",
        }
    }

    /// As Envoy writes it in `%RESPONSE_CODE_DETAILS%`, without what went wrong below.
    #[must_use]
    pub fn details(self) -> &'static str {
        match self {
            Self::Overflow => "upstream_reset_before_response_started{overflow}",
            Self::RemoteConnectionFailure => {
                "upstream_reset_before_response_started{remote_connection_failure}"
            }
            Self::ConnectionTimeout => "upstream_reset_before_response_started{connection_timeout}",
            Self::RemoteRefusedStream => {
                "upstream_reset_before_response_started{remote_refused_stream_reset}"
            }
            Self::RemoteReset => "upstream_reset_before_response_started{remote_reset}",
            Self::ConnectionTermination => {
                "upstream_reset_before_response_started{connection_termination}"
            }
            Self::ProtocolError => "upstream_reset_before_response_started{protocol_error}",
            Self::LocalReset => "upstream_reset_before_response_started{local_reset}",
        }
    }

    /// As Envoy writes it in `%RESPONSE_CODE_DETAILS%` where an answer had begun.
    #[must_use]
    pub fn details_after_start(self) -> &'static str {
        match self {
            Self::Overflow => "upstream_reset_after_response_started{overflow}",
            Self::RemoteConnectionFailure => {
                "upstream_reset_after_response_started{remote_connection_failure}"
            }
            Self::ConnectionTimeout => "upstream_reset_after_response_started{connection_timeout}",
            Self::RemoteRefusedStream => {
                "upstream_reset_after_response_started{remote_refused_stream_reset}"
            }
            Self::RemoteReset => "upstream_reset_after_response_started{remote_reset}",
            Self::ConnectionTermination => {
                "upstream_reset_after_response_started{connection_termination}"
            }
            Self::ProtocolError => "upstream_reset_after_response_started{protocol_error}",
            Self::LocalReset => "upstream_reset_after_response_started{local_reset}",
        }
    }

    /// The response flag. Source: Envoy's `%RESPONSE_FLAGS%`.
    #[must_use]
    pub fn flag(self) -> ResponseFlag {
        match self {
            Self::Overflow => ResponseFlag::UpstreamOverflow,
            Self::RemoteConnectionFailure | Self::ConnectionTimeout => {
                ResponseFlag::UpstreamConnectionFailure
            }
            Self::RemoteRefusedStream | Self::RemoteReset => ResponseFlag::UpstreamRemoteReset,
            Self::ConnectionTermination => ResponseFlag::UpstreamConnectionTermination,
            Self::ProtocolError => ResponseFlag::UpstreamProtocolError,
            Self::LocalReset => ResponseFlag::LocalReset,
        }
    }
}

impl SendError {
    /// What happened, as Envoy counts it.
    #[must_use]
    pub fn reset(&self) -> Reset {
        match self {
            Self::Overflow(_) => Reset::Overflow,
            Self::Connect {
                source: ConnectError::TimedOut(_),
                ..
            } => Reset::ConnectionTimeout,
            Self::Connect { .. } => Reset::RemoteConnectionFailure,
            Self::Refused { .. } => Reset::RemoteRefusedStream,
            Self::Reset { .. } => Reset::RemoteReset,
            Self::Closed { .. } => Reset::ConnectionTermination,
            Self::Protocol { .. } => Reset::ProtocolError,
            Self::Request(_) | Self::Head(_) => Reset::LocalReset,
        }
    }

    /// The response flag.
    #[must_use]
    pub fn flag(&self) -> ResponseFlag {
        self.reset().flag()
    }

    /// What the access log says of it, before an answer has begun.
    #[must_use]
    pub fn details(&self) -> &'static str {
        self.reset().details()
    }

    /// Whether nothing can have reached the endpoint (`connect-failure`).
    #[must_use]
    pub fn is_connect_failure(&self) -> bool {
        matches!(self, Self::Connect { .. })
    }

    /// Whether the endpoint says that it has not looked at the request (`refused-stream`).
    #[must_use]
    pub fn is_refused_stream(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Whether a limit of ours was reached.
    #[must_use]
    pub fn is_overflow(&self) -> bool {
        matches!(self, Self::Overflow(_))
    }

    /// Whether the endpoint or the way to it failed, as opposed to the client or ourselves (`reset`).
    #[must_use]
    pub fn is_upstream(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Refused { .. }
            | Self::Reset { .. }
            | Self::Closed { .. }
            | Self::Protocol { .. } => true,
            Self::Overflow(_) | Self::Request(_) | Self::Head(_) => false,
        }
    }

    /// What it means to whoever may try again; `None`: nothing of the endpoint's making, so there is nothing to try.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::Overflow(_) => Some(Failure::Overflow),
            Self::Connect { .. } => Some(Failure::Connect),
            Self::Refused { .. } => Some(Failure::RefusedStream),
            Self::Closed { sent, .. } => Some(Failure::Reset { sent: *sent }),
            Self::Reset { .. } | Self::Protocol { .. } => Some(Failure::Reset { sent: true }),
            Self::Request(_) | Self::Head(_) => None,
        }
    }

    /// What went wrong below HTTP, for `%UPSTREAM_TRANSPORT_FAILURE_REASON%`.
    #[must_use]
    pub fn transport_failure(&self) -> Option<String> {
        match self {
            Self::Connect { source, .. } => match source {
                ConnectError::TimedOut(_) => None,
                ConnectError::Tcp(_)
                | ConnectError::Hbone(_)
                | ConnectError::Identity(_)
                | ConnectError::Revoked(_)
                | ConnectError::Announce(_)
                | ConnectError::Ended
                | ConnectError::Preface(_) => Some(source.to_string()),
            },
            Self::Overflow(_)
            | Self::Refused { .. }
            | Self::Reset { .. }
            | Self::Closed { .. }
            | Self::Protocol { .. }
            | Self::Request(_)
            | Self::Head(_) => None,
        }
    }
}
