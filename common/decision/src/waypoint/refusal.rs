//! Why a waypoint does not take a connection, and how that is answered.

use std::net::IpAddr;

use mesh::{ServiceKey, TrustDomain, Uid};

pub use crate::inbound::Status;

/// Why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request leads to the waypoint.
    #[error("attempted recursive call to ourselves")]
    Itself,
    /// Nothing is known at the address that the client may see.
    #[error("no service or workload for address: {ip}")]
    UnknownAddress {
        /// The address, as it was asked for.
        ip: IpAddr,
    },
    /// There is no service of the hostname that the client may see.
    #[error("no service or workload for hostname: {hostname}")]
    UnknownHostname {
        /// The hostname, as it was asked for.
        hostname: String,
    },
    /// The service has another waypoint or none, or this waypoint stands before no services.
    #[error("this is not the waypoint of service {service}")]
    UnservedService {
        /// The service.
        service: ServiceKey,
    },
    /// The workload has another waypoint or none, or this waypoint stands before no workloads.
    #[error("this is not the waypoint of workload {uid}")]
    UnservedWorkload {
        /// The workload.
        uid: Uid,
    },
    /// The service has no such port.
    #[error("no port mapping for port {port} of service {service}")]
    NoPort {
        /// The service.
        service: ServiceKey,
        /// Its port, as it was asked for.
        port: u16,
    },
    /// The port belongs to the workload's ztunnel.
    #[error("port {port} is ztunnel's own")]
    OwnPort {
        /// The port.
        port: u16,
    },
    /// The client's identity is vouched for by somebody else.
    #[error("identity error: trust domain {peer} is not {expected}")]
    TrustDomain {
        /// The client's trust domain.
        peer: TrustDomain,
        /// The waypoint's.
        expected: TrustDomain,
    },
}

impl Refusal {
    /// How a CONNECT is answered. Source: Istio HBONE, as ztunnel answers what is not its own.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Itself
            | Self::UnknownAddress { .. }
            | Self::UnknownHostname { .. }
            | Self::UnservedService { .. }
            | Self::UnservedWorkload { .. }
            | Self::OwnPort { .. } => Status::BadRequest,
            Self::NoPort { .. } => Status::ServiceUnavailable,
            Self::TrustDomain { .. } => Status::Unauthorized,
        }
    }

    /// Whether news that the client's ztunnel has and this waypoint does not could change it: both are told of a change
    /// by streams of their own, and neither waits for the other.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::UnknownAddress { .. }
            | Self::UnknownHostname { .. }
            | Self::UnservedService { .. }
            | Self::UnservedWorkload { .. }
            | Self::NoPort { .. } => true,
            Self::Itself | Self::OwnPort { .. } | Self::TrustDomain { .. } => false,
        }
    }
}
