//! Why a connection may not go on, and how that is answered.

use std::net::IpAddr;

use mesh::{ServiceKey, SpiffeId, TrustDomain, Uid};

use crate::authorize::{Denial, DryRun};

/// Why a connection may not go on. The wording is that of Istio's ztunnel, which tools search for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request names an address that is not the one it was sent to.
    #[error("ip mismatch: {expected} != {asked}")]
    IpMismatch {
        /// The address that the connection was made to.
        expected: IpAddr,
        /// The address that the request names.
        asked: IpAddr,
    },
    /// The request names a service that does not exist or that the pod is no endpoint of.
    #[error("no service or workload for hostname: {hostname}")]
    UnknownHostname {
        /// The hostname, as it was asked for.
        hostname: String,
    },
    /// The request leads to one of our own ports.
    #[error("attempted recursive call to ourselves")]
    SelfCall,
    /// The service has no such port.
    #[error("no port mapping for port {port} of service {service}")]
    NoPort {
        /// The service.
        service: ServiceKey,
        /// Its port, as it was asked for.
        port: u16,
    },
    /// The pod's workload is not known.
    #[error("workload not found: {uid}")]
    WorkloadNotFound {
        /// The pod's workload.
        uid: Uid,
    },
    /// The pod's workload has another identity now, or the destination is no address of it.
    #[error("workload mismatch: {uid}")]
    WorkloadMismatch {
        /// The pod's workload.
        uid: Uid,
    },
    /// The peer's identity is vouched for by somebody else.
    #[error("identity error: trust domain {peer} is not {expected}")]
    TrustDomain {
        /// The peer's trust domain.
        peer: TrustDomain,
        /// The workload's.
        expected: TrustDomain,
    },
    /// A waypoint of the workload says for whom it comes, and names nobody. Not to know for whom it speaks is no reason to let it in as
    /// itself.
    #[error("x-ambit-client-principal names nobody: expected one SPIFFE ID")]
    Claim,
    /// The policies deny it.
    #[error("connection closed due to policy rejection: {denial}")]
    Rejected {
        /// Which, or how.
        denial: Denial,
        /// For whom the peer, a waypoint of the workload, said that it comes.
        behind: Option<Box<SpiffeId>>,
        /// What dry-run policies said besides.
        dry_run: Option<Box<DryRun>>,
    },
    /// The policies have come to deny a connection that is open.
    #[error("connection closed due to policy change")]
    PolicyChange {
        /// Which, or how.
        denial: Denial,
    },
    /// The workload of an open connection is not known any more.
    #[error("connection closed due to policy rejection: workload not found")]
    Gone {
        /// The pod's workload.
        uid: Uid,
    },
    /// The workload of an open connection has another identity or other addresses now.
    #[error("connection closed due to policy rejection: workload mismatch")]
    Replaced {
        /// The pod's workload.
        uid: Uid,
    },
}

/// How a refused CONNECT is answered. Source: RFC 9110 §15.5 and §15.6; Istio HBONE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// 400: the request itself is wrong.
    BadRequest,
    /// 401: the peer may not.
    Unauthorized,
    /// 503: we cannot.
    ServiceUnavailable,
}

impl Status {
    /// The status code.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::ServiceUnavailable => 503,
        }
    }
}

/// How a refusal is counted. Source: the label `response_flags` of Istio's TCP metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flag {
    /// `DENY`
    Deny,
    /// `CONNECT`
    Connect,
}

impl Refusal {
    /// How a CONNECT is answered. Plaintext has no answer but the end of the connection.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::IpMismatch { .. }
            | Self::UnknownHostname { .. }
            | Self::SelfCall
            | Self::Claim => Status::BadRequest,
            Self::NoPort { .. } | Self::WorkloadNotFound { .. } | Self::WorkloadMismatch { .. } => {
                Status::ServiceUnavailable
            }
            Self::TrustDomain { .. }
            | Self::Rejected { .. }
            | Self::PolicyChange { .. }
            | Self::Gone { .. }
            | Self::Replaced { .. } => Status::Unauthorized,
        }
    }

    /// How it is counted; `None` for a request that was wrong from the start, which is no connection to count.
    #[must_use]
    pub fn flag(&self) -> Option<Flag> {
        match self.status() {
            Status::BadRequest => None,
            Status::Unauthorized => Some(Flag::Deny),
            Status::ServiceUnavailable => Some(Flag::Connect),
        }
    }
}
