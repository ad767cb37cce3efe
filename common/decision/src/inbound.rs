//! Whether a connection that has arrived at a pod may go on to its application, and where exactly that is.
//!
//! In: a snapshot and [`Facts`]: who connects, to which of the pod's addresses, what it asks for, and for whom it says that it comes.
//! Out: [`Admitted`], which nothing else can make, or a [`Refusal`].
//! Never: awaits, resolves a name, takes the peer's identity from an address or a header; the word of a peer for whom it comes, unless it is
//! a waypoint of this workload ([`may_speak`]).
//!
//! Order: the pod's workload as it is now; the peer's trust domain; where the request leads; self calls; for whom the peer comes; policy.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use mesh::{Network, Snapshot, SpiffeId, Workload};

mod admitted;
mod refusal;
mod speakers;
mod target;

pub use admitted::{Admitted, ProxyHeader};
pub use refusal::{Flag, Refusal, Status};
pub use speakers::{Speakers, may_speak};
use target::Target;

use crate::authorize::{Connection, Outcome, authorize};

/// The ports that ztunnel itself listens on in a pod: outbound, inbound plaintext, HBONE, DNS and SOCKS.
/// Source: Istio ambient, ports used by ztunnel.
pub const OWN_PORTS: [u16; 5] = [15001, 15006, 15008, 15053, 15080];

/// What is known of a connection that has arrived at a pod.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The pod's workload; looked up again by its uid, so it may be from an older snapshot.
    pub workload: &'a Workload,
    /// The other end of the TCP connection. Never what a header says.
    pub peer: SocketAddr,
    /// This end: the pod's address and port 15008 for a tunnel, the original destination for plaintext.
    pub destination: SocketAddr,
    /// How the connection arrived.
    pub arrival: Arrival<'a>,
}

/// How a connection arrived.
#[derive(Clone, Copy, Debug)]
pub enum Arrival<'a> {
    /// Through HBONE.
    Tunnel {
        /// Who the peer is by its certificate.
        identity: &'a SpiffeId,
        /// What the CONNECT request asks for.
        authority: Authority<'a>,
        /// For whom the peer says that it comes.
        claim: Claim<'a>,
        /// The network that the peer says it is in, if it came through a gateway.
        network: Option<&'a str>,
    },
    /// As it is, redirected to port 15006.
    Plaintext,
}

/// For whom a peer says that it comes. Source: the header `x-ambit-client-principal`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Claim<'a> {
    /// It says nothing: for itself.
    #[default]
    None,
    /// For this one.
    Named(&'a SpiffeId),
    /// It says something that names nobody.
    Unreadable,
}

/// What a CONNECT request asks for.
#[derive(Clone, Copy, Debug)]
pub enum Authority<'a> {
    /// An address and port.
    Address(SocketAddr),
    /// A service by its hostname, in any case, and its port.
    Hostname {
        /// The hostname.
        hostname: &'a str,
        /// The service's port.
        port: u16,
    },
}

/// Decides whether a connection may go on, and where to.
///
/// # Errors
///
/// [`Refusal`] says why not, and how that is answered.
pub fn admit(snapshot: &Snapshot, facts: &Facts<'_>) -> Result<Admitted, Refusal> {
    let local = canonical(facts.destination);
    let peer = canonical(facts.peer);
    let Some(workload) = snapshot.workload(&facts.workload.uid) else {
        return Err(Refusal::WorkloadNotFound {
            uid: facts.workload.uid.clone(),
        });
    };
    // Over loopback too, of which the workload knows nothing: whoever dials our listener means nobody else.
    if matches!(facts.arrival, Arrival::Plaintext) && OWN_PORTS.contains(&local.port()) {
        return Err(Refusal::SelfCall);
    }
    if !owns(workload, local.ip()) || workload.identity() != facts.workload.identity() {
        return Err(Refusal::WorkloadMismatch {
            uid: workload.uid.clone(),
        });
    }
    let (identity, claim, target) = match facts.arrival {
        Arrival::Plaintext => (None, Claim::None, Target::plain(local)),
        Arrival::Tunnel {
            identity,
            authority,
            claim,
            network,
        } => {
            // The handshake has checked it already; a mistake there must not be enough.
            if identity.trust_domain != workload.trust_domain {
                return Err(Refusal::TrustDomain {
                    peer: identity.trust_domain.clone(),
                    expected: workload.trust_domain.clone(),
                });
            }
            // Where it leads through another network's gateway, it does not come from a waypoint before this workload.
            let is_from_here =
                network.is_none_or(|network| network.eq_ignore_ascii_case(&workload.network));
            (
                Some(identity),
                if is_from_here { claim } else { Claim::None },
                Target::resolve(snapshot, workload, local.ip(), authority)?,
            )
        }
    };
    let (destination, proxy) = target.deliver(workload, peer, identity, facts.arrival);
    // Either would come back to us: the port that was asked for, or the one that the workload's tunnel leads to.
    if OWN_PORTS.contains(&target.address.port()) || OWN_PORTS.contains(&destination.port()) {
        return Err(Refusal::SelfCall);
    }
    let behind = behind(snapshot, workload, target.address.port(), identity, claim)?;
    let connection = Connection {
        destination: workload,
        identity,
        behind,
        source_ip: peer.ip(),
        destination_addr: target.address,
    };
    let verdict = authorize(snapshot, &connection);
    if let Outcome::Deny(denial) = verdict.enforced {
        return Err(Refusal::Rejected {
            denial,
            behind: behind.cloned().map(Box::new),
            dry_run: verdict.dry_run,
        });
    }
    Ok(Admitted {
        workload: Arc::clone(workload),
        identity: identity.cloned(),
        claimed: claim.into(),
        behind: behind.cloned().map(Box::new),
        peer,
        policy_address: target.address,
        destination,
        proxy: proxy.map(Box::new),
        service: target.service,
        source: source(snapshot, workload, peer.ip(), identity),
        verdict,
    })
}

/// For whom the peer comes, as far as its word counts.
///
/// # Errors
/// Where its word counts and names nobody, or somebody whom it cannot know.
fn behind<'c>(
    snapshot: &Snapshot,
    workload: &Workload,
    port: u16,
    identity: Option<&SpiffeId>,
    claim: Claim<'c>,
) -> Result<Option<&'c SpiffeId>, Refusal> {
    let (Some(identity), Claim::Named(_) | Claim::Unreadable) = (identity, claim) else {
        return Ok(None);
    };
    if !may_speak(snapshot, workload, identity, port) {
        return Ok(None);
    }
    match claim {
        Claim::Named(client) if client.trust_domain == workload.trust_domain => Ok(Some(client)),
        // A waypoint has clients of its own trust domain alone.
        Claim::Named(client) => Err(Refusal::TrustDomain {
            peer: client.trust_domain.clone(),
            expected: workload.trust_domain.clone(),
        }),
        Claim::Unreadable => Err(Refusal::Claim),
        Claim::None => Ok(None),
    }
}

/// The workload that the connection comes from, for telemetry alone. With an identity at hand, an address that
/// belongs to somebody else is not believed.
fn source(
    snapshot: &Snapshot,
    workload: &Workload,
    ip: IpAddr,
    identity: Option<&SpiffeId>,
) -> Option<Arc<Workload>> {
    let network: &Network = &workload.network;
    let found = snapshot.workload_by_address(network, ip)?;
    identity
        .is_none_or(|identity| found.identity() == *identity)
        .then(|| Arc::clone(found))
}

/// Whether one of the workload's addresses is `ip`, which is canonical.
fn owns(workload: &Workload, ip: IpAddr) -> bool {
    workload.ips.iter().any(|own| canonical_ip(*own) == ip)
}

fn canonical_ip(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(canonical_ip(address.ip()), address.port())
}

#[cfg(test)]
mod tests;
