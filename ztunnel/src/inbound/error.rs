//! Why an inbound connection failed before it was relayed, and what is answered and counted.

use std::io;

use decision::inbound::{Flag, Refusal};
use hbone::tls::TlsError;
use http::StatusCode;
use net::socket::ConnectError;
use telemetry::Reason;
use wire::connect;

use crate::proxy::UnknownPod;

/// Why. Texts: Istio's ztunnel.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("io error: {0}")]
    Socket(#[from] io::Error),
    #[error(transparent)]
    UnknownPod(#[from] UnknownPod),
    #[error("identity error: {0}")]
    Identity(#[from] identity::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Head(#[from] connect::Error),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("connection failed: {0}")]
    Connect(#[from] ConnectError),
}

impl Error {
    /// What a CONNECT is answered.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Head(_) | Self::Tls(_) => StatusCode::BAD_REQUEST,
            Self::Refused(refusal) => StatusCode::from_u16(refusal.status().code())
                .unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
            Self::Socket(_) | Self::UnknownPod(_) | Self::Identity(_) | Self::Connect(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Socket(_) => Reason::Io,
            Self::UnknownPod(_) => Reason::ConnectFailed,
            Self::Identity(_) => Reason::Identity,
            Self::Tls(_) => Reason::TlsHandshake,
            Self::Head(_) => Reason::ProtocolError,
            Self::Refused(refusal) => match refusal.flag() {
                Some(Flag::Deny) => Reason::Denied,
                Some(Flag::Connect) => Reason::ConnectFailed,
                None => Reason::NoRoute,
            },
            Self::Connect(_) => Reason::ConnectFailed,
        }
    }

    /// Whether it is told as an early refusal, of which only addresses are logged.
    pub(super) fn is_early(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.flag().is_none(),
            Self::Connect(_) => false,
            Self::Socket(_)
            | Self::UnknownPod(_)
            | Self::Identity(_)
            | Self::Tls(_)
            | Self::Head(_) => true,
        }
    }
}
