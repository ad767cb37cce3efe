//! Why a connection ended otherwise than by both of its ends, and how that is told.

use std::io;

use net::relay::RelayError;
use telemetry::{
    Reason,
    http::{Details, ResponseFlag},
};

use super::SendError;
use crate::{
    access::{connection::Refused, flip::Lost},
    upstream::NoHost,
};

/// Why.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("connection closed due to policy change: {0}")]
    Lost(Lost),
    #[error("nothing was told of the routes of the service's port")]
    NoTable,
    #[error("no route matches")]
    NoRoute,
    #[error("the backend does not exist")]
    NoCluster,
    #[error("no healthy upstream: {0}")]
    NoHost(NoHost),
    #[error("{0}")]
    Connect(SendError),
    #[error(transparent)]
    Relay(RelayError),
    #[error("connection closed due to policy change")]
    Unserved,
    #[error("connection closed due to connection drain")]
    Drained,
    #[error("nothing moved for too long")]
    Idle,
    #[error("the connection is as old as its backend lets it become")]
    Duration,
}

impl Failure {
    /// Its flag in the access log. Source: Envoy's `%RESPONSE_FLAGS%` of TCP.
    pub(super) fn flag(&self) -> Option<ResponseFlag> {
        match self {
            Self::NoTable | Self::NoRoute => Some(ResponseFlag::NoRouteFound),
            Self::NoCluster => Some(ResponseFlag::NoClusterFound),
            Self::NoHost(_) => Some(ResponseFlag::NoHealthyUpstream),
            Self::Connect(error) => Some(error.flag()),
            Self::Relay(RelayError::Downstream(error)) => Some(match is_reset(error) {
                true => ResponseFlag::DownstreamRemoteReset,
                false => ResponseFlag::DownstreamConnectionTermination,
            }),
            Self::Relay(RelayError::Upstream(error)) => Some(match is_reset(error) {
                true => ResponseFlag::UpstreamRemoteReset,
                false => ResponseFlag::UpstreamConnectionTermination,
            }),
            Self::Idle => Some(ResponseFlag::StreamIdleTimeout),
            Self::Duration => Some(ResponseFlag::DurationTimeout),
            Self::Drained => Some(ResponseFlag::LocalReset),
            Self::Refused(Refused::External(_)) => Some(ResponseFlag::UnauthorizedExternalService),
            Self::Refused(Refused::Unknown) => Some(ResponseFlag::NoRouteFound),
            Self::Refused(Refused::Unenforced(_) | Refused::Denied(_))
            | Self::Lost(_)
            | Self::Unserved => None,
        }
    }

    /// Why we ended it. Source: Envoy's `%CONNECTION_TERMINATION_DETAILS%`.
    pub(super) fn details(&self) -> Option<Details> {
        match self {
            Self::Refused(Refused::Denied(details)) => Some(details.clone()),
            Self::Refused(Refused::External(refused)) => Some(refused.details()),
            Self::Refused(Refused::Unenforced(_)) | Self::Lost(Lost::Unenforced(_)) => {
                Some("unenforced_policy".into())
            }
            Self::Lost(lost) => Some(lost.details()),
            Self::Unserved => Some("target_not_served".into()),
            Self::NoTable | Self::Refused(Refused::Unknown) => Some("route_table_missing".into()),
            Self::Drained => Some("drained".into()),
            Self::Idle => Some("idle_timeout".into()),
            Self::Duration => Some("max_connection_duration_reached".into()),
            Self::NoRoute
            | Self::NoCluster
            | Self::NoHost(_)
            | Self::Connect(_)
            | Self::Relay(_) => None,
        }
    }

    /// What went wrong on the way to the endpoint.
    pub(super) fn transport(&self) -> Option<String> {
        match self {
            Self::Connect(error) => error.transport_failure(),
            Self::Refused(_)
            | Self::Lost(_)
            | Self::NoTable
            | Self::NoRoute
            | Self::NoCluster
            | Self::NoHost(_)
            | Self::Relay(_)
            | Self::Unserved
            | Self::Drained
            | Self::Idle
            | Self::Duration => None,
        }
    }

    /// What metrics count it as.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Refused(Refused::Unknown) => Reason::NoRoute,
            Self::Refused(_) => Reason::Denied,
            Self::Unserved | Self::Lost(_) => Reason::PolicyChange,
            Self::NoTable | Self::NoRoute | Self::NoCluster => Reason::NoRoute,
            Self::NoHost(_) => Reason::NoHealthyUpstream,
            Self::Connect(error) if error.is_overflow() => Reason::Overloaded,
            Self::Connect(_) => Reason::ConnectFailed,
            Self::Relay(RelayError::Downstream(error)) => match is_reset(error) {
                true => Reason::ClientReset,
                false => Reason::ClientDisconnected,
            },
            Self::Relay(RelayError::Upstream(error)) => match is_reset(error) {
                true => Reason::DestinationReset,
                false => Reason::DestinationDisconnected,
            },
            Self::Drained | Self::Idle | Self::Duration => Reason::Drained,
        }
    }
}

fn is_reset(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionReset
}
