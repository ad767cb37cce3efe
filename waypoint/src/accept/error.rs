//! Why a tunnel or a CONNECT is refused, and what is answered and counted.

use std::io;

use decision::waypoint::{Refusal, Status};
use hbone::tls::TlsError;
use http::StatusCode;
use mesh::Name;
use telemetry::Reason;
use wire::connect;

use super::proxied;

/// Why. Texts that Istio's ztunnel has, too, are its own.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("io error: {0}")]
    Socket(#[from] io::Error),
    #[error("identity error: {0}")]
    Identity(#[from] identity::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Head(#[from] connect::Error),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the configuration is not there yet")]
    NotConfigured,
    #[error("nothing is known of gateway {gateway}, which this waypoint is of")]
    NoSettings { gateway: Name },
    #[error(transparent)]
    Proxied(#[from] proxied::Error),
}

impl Error {
    /// What a CONNECT is answered.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Refused(refusal) => match refusal.status() {
                Status::BadRequest => StatusCode::BAD_REQUEST,
                Status::Unauthorized => StatusCode::UNAUTHORIZED,
                Status::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            },
            // Of the last nobody is told by a status: the CONNECT was answered before.
            Self::Head(_) | Self::Tls(_) | Self::Proxied(_) => StatusCode::BAD_REQUEST,
            Self::Socket(_) | Self::Identity(_) | Self::NotConfigured | Self::NoSettings { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Socket(_) => Reason::Io,
            Self::Identity(_) => Reason::Identity,
            Self::Tls(_) => Reason::TlsHandshake,
            Self::Head(_) | Self::Proxied(_) => Reason::ProtocolError,
            Self::Refused(refusal) => match refusal.status() {
                Status::BadRequest => Reason::NoRoute,
                Status::Unauthorized => Reason::Denied,
                Status::ServiceUnavailable => Reason::ConnectFailed,
            },
            Self::NotConfigured | Self::NoSettings { .. } => Reason::ConnectFailed,
        }
    }
}
