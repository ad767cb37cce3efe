//! The inbound stages, in order: what happens to a connection that comes to a pod of ours.
//!
//! ```text
//! :15008 ─▶ TLS, peer's identity ─▶ CONNECT head ─┐
//! :15006 ─▶ original destination ─────────────────┼─▶ facts ─▶ decision::inbound ─▶ Admitted ─▶ carry: deliver ─▶ relay ─▶ event
//! neighbour, introduced by identity ─▶ joined ────┘                      └─ Refusal ─▶ 400, 401, 503 or RST
//! ```
//! In: accepted sockets, and connections of pods of this node. Out: one event per connection. Never: a byte to an application before admission; a
//! peer's identity from anywhere but a TLS handshake, or for a pod of this node from [`identity::Store::introduce`], which checks both certificates as
//! one would. For whom a waypoint says that it comes stands beside that, and whether it counts is decided in `decision::inbound`.

use std::{future::pending, io, net::SocketAddr, sync::Arc};

use decision::{
    authorize::DryRun,
    inbound::{Admitted, Arrival, Authority, Claim, Facts, admit},
};
use hbone::{
    server::{self, Incoming},
    tls::TlsError,
};
use identity::PeerCertificate;
use mesh::Workload;
use net::{drain::Phase, relay::TcpEnd, socket};
use telemetry::{Connection, Direction, Outcome};
use tokio::net::TcpStream;
use wire::{authority, connect::ConnectHead, principal};

mod carry;
mod deliver;
mod downstream;
mod error;
mod joined;
mod report;

pub(crate) use carry::Undelivered;
use downstream::{Plain, Tunnelled};
use error::Error;
pub(crate) use joined::Joining;

use crate::{capture::listen::Captured, pod::Pod, proxy::Proxy, relay, revocation};

/// Serves one tunnel to its end.
pub async fn serve_tunnel(proxy: Arc<Proxy>, captured: Captured) {
    let addresses = Addresses::of(&captured);
    if let Err(error) = tunnel(&proxy, captured, addresses).await {
        addresses.refused(&proxy, &error);
    }
}

/// Serves one plaintext connection until its ends stand, from where it goes on by itself.
pub async fn serve_plaintext(proxy: Arc<Proxy>, captured: Captured) {
    let addresses = Addresses::of(&captured);
    if let Err(error) = plaintext(&proxy, captured, addresses).await {
        addresses.refused(&proxy, &error);
    }
}

/// The two ends of an accepted socket.
#[derive(Clone, Copy)]
struct Addresses {
    peer: SocketAddr,
    local: SocketAddr,
}

impl Addresses {
    fn of(captured: &Captured) -> Self {
        Self {
            peer: captured.peer,
            local: captured.reported(),
        }
    }

    fn connection(self) -> Connection {
        Connection::between(Direction::Inbound, self.peer, self.local)
    }

    /// Reports a connection of which nothing but addresses is known.
    fn refused(self, proxy: &Proxy, error: &Error) {
        let text = error.to_string();
        proxy
            .telemetry
            .refused(&self.connection(), error.reason(), &text, net::clock::now());
    }
}

async fn tunnel(proxy: &Arc<Proxy>, captured: Captured, addresses: Addresses) -> Result<(), Error> {
    let Captured {
        socket,
        pod,
        worker,
        counted: _counted,
        ..
    } = captured;
    let workload = proxy.own_workload(&pod).await?;
    let credential = proxy.store.fetch(&workload.identity()).await?;
    let socket = TcpStream::from_std(socket)?;
    let config = credential.server_config();
    let mut draining = pod.draining();
    let handshake = async {
        let place = tokio::time::timeout(proxy.hbone.timeout_handshake, pod.handshakes.acquire());
        let Ok(_place) = place.await else {
            return Err(TlsError::TimedOut);
        };
        server::handshake(socket, config, credential.not_after(), &proxy.hbone).await
    };
    let accepted = tokio::select! {
        // Boxed, as the tunnel outlives it by far.
        accepted = Box::pin(handshake) => accepted?,
        // The pod has left, and nothing is known of the peer that could be told.
        () = draining.reached(Phase::Cut) => return Ok(()),
    };
    let at = Arc::new(Arrived {
        proxy: Arc::clone(proxy),
        pod,
        worker,
        addresses,
        workload,
    });
    let certificate = Arc::clone(&accepted.peer);
    let served = accepted.serve(&proxy.hbone, &draining, |incoming| {
        let (at, certificate) = (Arc::clone(&at), Arc::clone(&certificate));
        tokio::spawn(async move { at.stream(incoming, certificate).await });
    });
    let served = tokio::select! {
        served = served => served,
        () = revocation::revoked(proxy, &certificate) => {
            // Its streams first: they are to end for this reason, and not because their tunnel broke under them.
            at.pod.connections.cut_revoked(|peer| proxy.is_revoked(peer));
            let (peer, identity) = (addresses.peer, &certificate.id);
            tracing::warn!(%peer, %identity, "tunnel closed: peer certificate revoked by CRL");
            return Ok(());
        }
    };
    if let Err(error) = served {
        let (peer, identity) = (addresses.peer, &certificate.id);
        // A peer that is merely gone is told of by its streams, if it had any.
        if matches!(
            error.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::TimedOut
        ) {
            tracing::warn!(%peer, %identity, %error, "tunnel failed");
        } else {
            tracing::debug!(%peer, %identity, %error, "tunnel failed");
        }
    }
    Ok(())
}

async fn plaintext(
    proxy: &Arc<Proxy>,
    captured: Captured,
    addresses: Addresses,
) -> Result<(), Error> {
    let Captured {
        socket,
        pod,
        worker,
        counted,
        ..
    } = captured;
    let client = TcpStream::from_std(socket)?;
    let workload = proxy
        .own_workload(&pod)
        .await
        .inspect_err(|_| socket::reset_on_close(&client))?;
    let at = Arrived {
        proxy: Arc::clone(proxy),
        pod,
        worker,
        addresses,
        workload,
    };
    let result = match at.admit(Arrival::Plaintext) {
        Ok(admitted) => {
            let report = report::of_plaintext(&at, &admitted);
            let downstream = Plain(TcpEnd::new(client));
            let delivered = at.deliver(&admitted, report, downstream, Some(counted), pending());
            // Nobody else is to be told why not.
            if let Ok(carried) = delivered.await {
                relay::stand(carried);
            }
            return Ok(());
        }
        Err(error) => at.rejected(error, report::of_refused_plaintext(&at)),
    };
    socket::reset_on_close(&client);
    result
}

/// A connection that has arrived, with what is known of the pod it came to.
struct Arrived {
    proxy: Arc<Proxy>,
    pod: Arc<Pod>,
    worker: usize,
    addresses: Addresses,
    workload: Arc<Workload>,
}

impl Arrived {
    /// Sets up what one CONNECT of a tunnel asks for.
    async fn stream(&self, incoming: Incoming, certificate: Arc<PeerCertificate>) {
        let identity = &certificate.id;
        let head = match ConnectHead::parse(&incoming.head) {
            Ok(head) => head,
            Err(error) => {
                let error = Error::from(error);
                incoming.refuse(error.status());
                return self.addresses.refused(&self.proxy, &error);
            }
        };
        let authority = match &head.authority {
            authority::Authority::Address(address) => Authority::Address(*address),
            authority::Authority::Hostname { hostname, port } => Authority::Hostname {
                hostname: hostname.as_str(),
                port: *port,
            },
        };
        let claim = match &head.client {
            principal::Claim::Absent => Claim::None,
            principal::Claim::Named(client) => Claim::Named(client),
            principal::Claim::Unreadable(error) => {
                tracing::debug!(peer = %self.addresses.peer, %identity, %error, "client of a peer");
                Claim::Unreadable
            }
        };
        match self.admit(Arrival::Tunnel {
            identity,
            authority,
            claim,
            network: head.network.as_deref(),
        }) {
            Ok(admitted) => {
                let report = report::of_tunnel(self, &admitted, &head);
                let downstream = Tunnelled(incoming, certificate);
                let delivered = self.deliver(&admitted, report, downstream, None, pending());
                if let Ok(carried) = delivered.await {
                    relay::stand(carried);
                }
            }
            Err(error) => {
                incoming.refuse(error.status());
                let report = report::of_refused(self, identity, &head, &error);
                if let Err(error) = self.rejected(error, report) {
                    self.addresses.refused(&self.proxy, &error);
                }
            }
        }
    }

    fn admit(&self, arrival: Arrival<'_>) -> Result<Arc<Admitted>, Error> {
        let facts = Facts {
            workload: &self.workload,
            peer: self.addresses.peer,
            destination: self.addresses.local,
            arrival,
        };
        let admitted = admit(&self.proxy.view.borrow(), &facts)?;
        self.log_dry_run(admitted.verdict().dry_run.as_deref());
        Ok(Arc::new(admitted))
    }

    fn log_dry_run(&self, dry_run: Option<&DryRun>) {
        let Some(dry_run) = dry_run.filter(|_| self.proxy.policy.dry_run) else {
            return;
        };
        let (src, dst) = (self.addresses.peer, self.addresses.local);
        let text = match &dry_run.outcome {
            decision::authorize::Outcome::Allow { .. } => "allowed".to_owned(),
            decision::authorize::Outcome::Deny(denial) => denial.to_string(),
        };
        if self.proxy.policy.info_logging {
            tracing::info!(target: "dry-run", src = %src, dst = %dst, result = %text, "dry-run policies evaluated");
        } else {
            tracing::debug!(target: "dry-run", src = %src, dst = %dst, result = %text, "dry-run policies evaluated");
        }
    }

    /// Reports a refusal: as an early one, or as a connection that was opened and denied.
    fn rejected(&self, error: Error, report: Connection) -> Result<(), Error> {
        if let Error::Refused(decision::inbound::Refusal::Rejected { dry_run, .. }) = &error {
            self.log_dry_run(dry_run.as_deref());
        }
        if error.is_early() {
            return Err(error);
        }
        let now = net::clock::now();
        self.proxy
            .telemetry
            .opened(report, now)
            .close(Outcome::failed(error.reason(), error), now);
        Ok(())
    }
}
