//! The closed vocabulary in which stages report connections.
//!
//! In: values that stages fill in. Out: nothing; the readers are [`crate::metrics`] and the access log.
//! Never: formats anything, holds live counters.

use std::{fmt, net::SocketAddr, sync::Arc};

use mesh::{Service, SpiffeId, Workload};

mod outcome;

pub use outcome::{Failure, Flag, Outcome, Reason};

/// Which way a connection goes, relative to the workload of the reporting proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Towards our workload; we report as `destination`.
    Inbound,
    /// From our workload; we report as `source`.
    Outbound,
    /// Through us, between two workloads that are not ours; we report as `waypoint`.
    Through,
}

impl Direction {
    /// The value of the metric label `reporter`.
    #[must_use]
    pub const fn reporter(self) -> &'static str {
        match self {
            Self::Inbound => "destination",
            Self::Outbound => "source",
            Self::Through => "waypoint",
        }
    }

    /// The value of the access log key `direction`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Through => "through",
        }
    }
}

/// What protects the connection on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Security {
    /// Nothing that we know of.
    Unknown,
    /// Mutual TLS that we ended ourselves.
    MutualTls,
    /// Nothing, and no wire: both pods are of this node, and their certificates were checked as in a handshake.
    SameNode,
}

impl Security {
    /// The value of the metric label `connection_security_policy`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::MutualTls => "mutual_tls",
            Self::SameNode => "same_node",
        }
    }
}

/// Where an HBONE CONNECT asks to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HboneAddress {
    /// An address.
    Address(SocketAddr),
    /// A hostname and a port.
    Hostname(Box<str>, u16),
}

impl From<SocketAddr> for HboneAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}

impl fmt::Display for HboneAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => fmt::Display::fmt(address, f),
            Self::Hostname(hostname, port) => write!(f, "{hostname}:{port}"),
        }
    }
}

/// What is known about one connection when it is reported. **Shape:** what is unknown is `None`.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Which way it goes.
    pub direction: Direction,
    /// The address of its initiator.
    pub source_addr: SocketAddr,
    /// The peer of the socket towards the destination, for example `10.0.1.7:15008`.
    pub destination_addr: SocketAddr,
    /// What the CONNECT names, where the connection runs through HBONE.
    pub hbone_addr: Option<HboneAddress>,
    /// Who initiated it.
    pub source: Option<Arc<Workload>>,
    /// Who it is taken to; a waypoint, where it goes through one.
    pub destination: Option<Arc<Workload>>,
    /// The service that was dialled.
    pub service: Option<Arc<Service>>,
    /// The certified identity of the source: from a TLS handshake, or from a certificate that was checked as in one; never looked up by address.
    pub source_identity: Option<SpiffeId>,
    /// For whom the source, a waypoint, says that it comes: its word, where that counts, and no proof.
    pub client_identity: Option<Box<SpiffeId>>,
    /// The certified identity of the destination: in the same way.
    pub destination_identity: Option<SpiffeId>,
    /// What protects it.
    pub security: Security,
    /// Whether nobody of the mesh was dialled, so that it is passed on as it came (ALLOW_ANY).
    pub passthrough: bool,
}

impl Connection {
    /// A connection of which nothing but its addresses is known.
    #[must_use]
    pub fn between(
        direction: Direction,
        source_addr: SocketAddr,
        destination_addr: SocketAddr,
    ) -> Self {
        Self {
            direction,
            source_addr,
            destination_addr,
            hbone_addr: None,
            source: None,
            destination: None,
            service: None,
            source_identity: None,
            client_identity: None,
            destination_identity: None,
            security: Security::Unknown,
            passthrough: false,
        }
    }
}

#[cfg(test)]
mod tests;
