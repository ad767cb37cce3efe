//! A connection that may go on to its application.
//!
//! In: made by [`admit`](super::admit) alone. Out: where to connect to and what to log.
//! Never: built elsewhere; its fields are private to the decision.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use mesh::{Service, Snapshot, SpiffeId, Workload};

use super::{Claim, Refusal, behind, owns};
use crate::authorize::{Connection, Denial, Outcome, Verdict, authorize};

/// The proof that a connection was admitted, and what it was admitted for. It lives as long as the connection does: what few of them have is
/// boxed.
#[derive(Debug)]
pub struct Admitted {
    pub(super) workload: Arc<Workload>,
    pub(super) identity: Option<SpiffeId>,
    /// For whom the peer says that it comes, whether or not that counts.
    pub(super) claimed: Claimed,
    /// The same, if it counted.
    pub(super) behind: Option<Box<SpiffeId>>,
    pub(super) peer: SocketAddr,
    pub(super) policy_address: SocketAddr,
    pub(super) destination: SocketAddr,
    pub(super) proxy: Option<Box<ProxyHeader>>,
    pub(super) service: Option<Arc<Service>>,
    pub(super) source: Option<Arc<Workload>>,
    pub(super) verdict: Verdict,
}

/// A [`Claim`] that is kept: what names nobody must be refused once the peer's word counts.
#[derive(Debug)]
pub(super) enum Claimed {
    None,
    Named(Box<SpiffeId>),
    Unreadable,
}

impl From<Claim<'_>> for Claimed {
    fn from(claim: Claim<'_>) -> Self {
        match claim {
            Claim::None => Self::None,
            Claim::Named(client) => Self::Named(Box::new(client.clone())),
            Claim::Unreadable => Self::Unreadable,
        }
    }
}

impl Claimed {
    fn as_claim(&self) -> Claim<'_> {
        match self {
            Self::None => Claim::None,
            Self::Named(client) => Claim::Named(client),
            Self::Unreadable => Claim::Unreadable,
        }
    }
}

/// What a PROXY protocol header says before the bytes. Source: PROXY protocol version 2, STREAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The client, as the TCP connection shows it.
    pub source: SocketAddr,
    /// What the client asked for: the authority's address, or the service's address and port for a hostname.
    pub destination: SocketAddr,
    /// The client's certified identity (TLV 0xD0).
    pub identity: Option<SpiffeId>,
}

impl Admitted {
    /// The application's address of its pod, which is in the pod's network namespace.
    #[must_use]
    pub fn destination(&self) -> SocketAddr {
        self.destination
    }

    /// Where to connect to: over loopback, if `tunnels_on_loopback` and the application is to get a PROXY header, since
    /// an application that believes such headers must listen where nobody but its ztunnel can send one. Source: Istio ztunnel,
    /// `LOCALHOST_APP_TUNNEL`.
    #[must_use]
    pub fn reached_at(&self, tunnels_on_loopback: bool) -> SocketAddr {
        if !tunnels_on_loopback || self.proxy.is_none() {
            return self.destination;
        }
        let loopback: IpAddr = match self.destination {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        SocketAddr::new(loopback, self.destination.port())
    }

    /// The client's address, which the application is to see where [`Self::reached_at`] is not a loopback one.
    #[must_use]
    pub fn client(&self) -> SocketAddr {
        self.peer
    }

    /// The pod's workload.
    #[must_use]
    pub fn workload(&self) -> &Arc<Workload> {
        &self.workload
    }

    /// The service that was asked for by name or virtual address; `None` where the pod itself was.
    #[must_use]
    pub fn service(&self) -> Option<&Arc<Service>> {
        self.service.as_ref()
    }

    /// The peer's certified identity; `None` for plaintext.
    #[must_use]
    pub fn identity(&self) -> Option<&SpiffeId> {
        self.identity.as_ref()
    }

    /// For whom the peer, a waypoint of this workload, said that it comes: its word, on which the admission rests beside the certificate.
    #[must_use]
    pub fn behind(&self) -> Option<&SpiffeId> {
        self.behind.as_deref()
    }

    /// The client's workload by its address, for telemetry alone; its identity agrees with the certified one.
    #[must_use]
    pub fn source(&self) -> Option<&Arc<Workload>> {
        self.source.as_ref()
    }

    /// What must be sent to the application before the bytes, if anything.
    #[must_use]
    pub fn proxy_header(&self) -> Option<&ProxyHeader> {
        self.proxy.as_deref()
    }

    /// What the policies said, dry-run ones included.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Asks again whether the connection may be, now that the mesh has changed.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if it must be cut: the pod is gone or is another, or a policy denies it now.
    pub fn readmit(&self, snapshot: &Snapshot) -> Result<(), Refusal> {
        let Some(workload) = snapshot.workload(&self.workload.uid) else {
            return Err(Refusal::Gone {
                uid: self.workload.uid.clone(),
            });
        };
        if !owns(workload, self.policy_address.ip())
            || workload.identity() != self.workload.identity()
        {
            return Err(Refusal::Replaced {
                uid: self.workload.uid.clone(),
            });
        }
        let (port, identity) = (self.policy_address.port(), self.identity.as_ref());
        let connection = Connection {
            destination: workload,
            identity,
            behind: behind(snapshot, workload, port, identity, self.claimed.as_claim())?,
            source_ip: self.peer.ip(),
            destination_addr: self.policy_address,
        };
        match authorize(snapshot, &connection).enforced {
            Outcome::Allow { .. } => Ok(()),
            Outcome::Deny(denial @ (Denial::Explicit(_) | Denial::NotAllowed)) => {
                Err(Refusal::PolicyChange { denial })
            }
        }
    }
}
