//! One tunnel: its handshake, its streams, and when it is asked to leave.
//!
//! In: an accepted socket. Out: CONNECTs, each in a task of its own. Never: outlives the certificates of both ends, or a
//! revocation.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use hbone::{
    server::{self, Incoming},
    tls::TlsError,
};
use identity::PeerCertificate;
use net::drain::{Drain, Draining, Phase};
use tokio::net::TcpStream;
use wire::connect::ConnectHead;

use super::{Addresses, Arrivals, StdStream, admit, error::Error, report};
use crate::{
    drain::{self, INTERVAL_BALANCE, MAX_TUNNEL_AGE, jittered},
    proxy::Proxy,
    rarely::rarely,
    upstream,
};

/// How long a tunnel is served that came while the process drains: its client did not know, and is let through with what it came
/// for.
const GRACE_LATE: Duration = Duration::from_secs(1);

/// A tunnel whose client is known.
#[derive(Debug)]
pub(super) struct Tunnel {
    arrivals: Arc<Arrivals>,
    upstream: Arc<upstream::Worker>,
    worker: usize,
    addresses: Addresses,
    certificate: Arc<PeerCertificate>,
}

/// Serves a tunnel to its end.
pub(super) async fn serve(
    arrivals: Arc<Arrivals>,
    socket: StdStream,
    peer: SocketAddr,
    worker: usize,
) {
    let addresses = Addresses {
        peer,
        local: socket.local_addr().map_or(peer, net::socket::canonical),
    };
    if let Err(error) = run(&arrivals, socket, addresses, worker).await {
        report::early(&arrivals.proxy, addresses, &error);
    }
}

async fn run(
    arrivals: &Arc<Arrivals>,
    socket: StdStream,
    addresses: Addresses,
    worker: usize,
) -> Result<(), Error> {
    let proxy = &arrivals.proxy;
    let mut cut = proxy.draining.clone();
    let accepted = tokio::select! {
        accepted = handshake(arrivals, socket, addresses.peer.ip()) => accepted?,
        // Nothing is known of the peer that could be told.
        () = cut.reached(Phase::Cut) => return Ok(()),
    };
    let Some(upstream) = arrivals.workers.get(worker % arrivals.workers.len().max(1)) else {
        return Ok(());
    };
    let tunnel = Arc::new(Tunnel {
        arrivals: Arc::clone(arrivals),
        upstream: Arc::clone(upstream),
        worker,
        addresses,
        certificate: Arc::clone(&accepted.peer),
    });
    let place = arrivals.loads.tunnel(worker);
    let drain = Drain::default();
    let draining = drain.listen();
    let served = accepted.serve(&proxy.hbone, &draining, |incoming| {
        let tunnel = Arc::clone(&tunnel);
        tokio::spawn(async move { tunnel.stream(incoming).await });
    });
    let served = {
        let mut served = pin!(served);
        let mut leave = pin!(rarely(leave(&tunnel, &drain)));
        let mut revoked = pin!(rarely(revoked(proxy, &tunnel.certificate)));
        tokio::select! {
            served = served.as_mut() => served,
            () = leave.as_mut() => served.await,
            () = revoked.as_mut() => {
                let (peer, identity) = (addresses.peer, &tunnel.certificate.id);
                tracing::warn!(%peer, %identity, "tunnel closed: peer certificate revoked by CRL");
                Ok(())
            }
        }
    };
    drop(place);
    if let Err(error) = served {
        let (peer, identity) = (addresses.peer, &tunnel.certificate.id);
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

async fn handshake(
    arrivals: &Arrivals,
    socket: StdStream,
    peer: IpAddr,
) -> Result<server::Accepted, Error> {
    let proxy = &arrivals.proxy;
    let credential = proxy.store.fetch(&proxy.own.identity).await?;
    let socket = TcpStream::from_std(socket)?;
    socket.set_nodelay(true)?;
    let place = arrivals.handshakes.place(peer);
    let place = tokio::time::timeout(proxy.hbone.timeout_handshake, place);
    let Ok(Ok(_place)) = place.await else {
        return Err(TlsError::TimedOut.into());
    };
    let config = credential.server_config();
    Ok(server::handshake(socket, config, credential.not_after(), &proxy.hbone).await?)
}

/// Tells the tunnel when it is to leave, and once more when it is to end; returns then.
async fn leave(tunnel: &Tunnel, drain: &Drain) {
    let mut cut = tunnel.proxy().draining.clone();
    let draining = cut.clone();
    let asked = async {
        let age = jittered(MAX_TUNNEL_AGE, fastrand::u64(..));
        tokio::select! {
            () = process_drains(draining) => {}
            () = tokio::time::sleep(age) => {}
            () = outweighed(tunnel) => {}
        }
        drain.advance(Phase::Draining);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = asked => {}
        () = cut.reached(Phase::Cut) => drain.advance(Phase::Cut),
    }
}

async fn process_drains(mut draining: Draining) {
    if draining.phase() >= Phase::Draining {
        tokio::time::sleep(GRACE_LATE).await;
    }
    draining.reached(Phase::Draining).await;
}

/// Waits until the worker has more to do than others, and it is this tunnel that leaves.
async fn outweighed(tunnel: &Tunnel) {
    loop {
        tokio::time::sleep(jittered(INTERVAL_BALANCE, fastrand::u64(..))).await;
        let all = tunnel.arrivals.loads.all();
        let own = all.get(tunnel.worker).copied().unwrap_or_default();
        if drain::sheds(own, &all, fastrand::u64(..)) {
            return;
        }
    }
}

/// Waits until the certificate of the tunnel's client is revoked: for ever, where there are no lists.
async fn revoked(proxy: &Proxy, peer: &PeerCertificate) {
    if let Some(crl) = &proxy.crl {
        let mut changes = crl.subscribe();
        loop {
            // Also at once: a list may have come between the handshake and now.
            if proxy.store.revocation(peer).is_some() {
                return;
            }
            if changes.changed().await.is_err() {
                break;
            }
        }
    }
    std::future::pending::<()>().await;
}

impl Tunnel {
    /// Serves one CONNECT.
    async fn stream(&self, incoming: Incoming) {
        let head = match ConnectHead::parse(&incoming.head) {
            Ok(head) => head,
            Err(error) => {
                let error = Error::from(error);
                incoming.refuse(error.status());
                return report::refused(self, None, &error);
            }
        };
        match admit::admit(self, &head).await {
            Ok(admitted) => self.arrivals.carry(self, &head, incoming, admitted).await,
            Err(error) => {
                incoming.refuse(error.status());
                report::refused(self, Some(&head), &error);
            }
        }
    }

    pub(super) fn proxy(&self) -> &Arc<Proxy> {
        &self.arrivals.proxy
    }

    pub(super) fn upstream(&self) -> &Arc<upstream::Worker> {
        &self.upstream
    }

    pub(super) fn worker(&self) -> usize {
        self.worker
    }

    pub(super) fn addresses(&self) -> Addresses {
        self.addresses
    }

    pub(super) fn certificate(&self) -> &Arc<PeerCertificate> {
        &self.certificate
    }
}
