//! From admission to the end, the same for whatever a connection came through.
//!
//! ```text
//! Admitted ─▶ opened ─▶ registered ─▶ still admitted? revoked by now? ─▶ deliver ─▶ relay ─▶ closed
//!                           └─ cut at any time, by the pod's side or the caller's ───────────────┘
//! ```
//! In: an [`Admitted`], what it came through, who else may cut it. Out: how it went, in one event and for the caller. Never: a moment at
//! which it could not be cut.

use std::{pin::pin, sync::Arc};

use decision::inbound::Admitted;
use hbone::server::Incoming;
use http::StatusCode;
use identity::{Introduced, PeerCertificate};
use net::{
    relay::{Duplex as _, RelayError, TcpEnd},
    socket,
};
use telemetry::{ByteCounters, Connection, Outcome, Reason};
use tokio::net::TcpStream;

use super::{Arrived, deliver};
use crate::{
    connections::{self, Cut, Way},
    proxy::Proxy,
    relay::{self, Both, One},
};

/// What an admitted connection came through.
pub(super) enum Downstream<'a> {
    /// Nothing.
    Tcp(TcpEnd),
    /// A tunnel.
    Hbone(Box<Incoming>, Arc<PeerCertificate>),
    /// A join: the client's own socket, who the two are to each other, and what the client's side counts.
    Joined(TcpEnd, Arc<Introduced>, &'a ByteCounters),
}

impl Arrived {
    /// Opens, delivers, relays and reports. `elsewhere` ends it, too.
    ///
    /// # Errors
    /// What a CONNECT is answered where the application was not reached.
    pub(super) async fn carry(
        &self,
        admitted: &Arc<Admitted>,
        report: Connection,
        downstream: Downstream<'_>,
        elsewhere: impl Future<Output = Cut>,
    ) -> Result<Outcome, StatusCode> {
        let open = self.proxy.telemetry.opened(report, net::clock::now());
        let readmit = |admitted: &Admitted| admitted.readmit(&self.proxy.view.borrow());
        let (way, peer) = downstream.way();
        let (_registered, cut, still) =
            self.pod
                .connections
                .register_admitted(self.worker, admitted, way, peer, readmit);
        let mut cut = pin!(async {
            tokio::select! {
                biased;
                reason = cut => connections::reason(reason),
                reason = elsewhere => reason,
            }
        });
        let upstream = async {
            still?;
            deliver::connect(&self.proxy, &self.pod, admitted).await
        };
        // A list that came before it was registered has found nothing to cut.
        let upstream = if downstream.is_revoked(&self.proxy) {
            Err(Cut::Revoked)
        } else {
            tokio::select! {
                biased;
                reason = &mut cut => Err(reason),
                upstream = upstream => Ok(upstream),
            }
        };
        let (carried, outcome) = match upstream {
            Ok(Ok(upstream)) => {
                let outcome = self.relay(downstream, upstream, open.counters(), cut).await;
                (Ok(outcome.clone()), outcome)
            }
            Ok(Err(error)) => {
                let status = error.status();
                downstream.refuse(status);
                (Err(status), Outcome::failed(error.reason(), error))
            }
            Err(reason) => {
                downstream.refuse(match reason {
                    Cut::Policy(_) | Cut::Revoked => StatusCode::UNAUTHORIZED,
                    Cut::Drain | Cut::Apart => StatusCode::SERVICE_UNAVAILABLE,
                });
                let outcome = relay::cut(&reason);
                (Ok(outcome.clone()), outcome)
            }
        };
        open.close(outcome, net::clock::now());
        carried
    }

    async fn relay(
        &self,
        downstream: Downstream<'_>,
        upstream: TcpStream,
        counters: &ByteCounters,
        cut: impl Future<Output = Cut>,
    ) -> Outcome {
        match downstream {
            Downstream::Tcp(client) => {
                relay::run(client, TcpEnd::new(upstream), &One(counters), cut).await
            }
            Downstream::Joined(client, _, caller) => {
                let both = Both(caller, counters);
                relay::run(client, TcpEnd::new(upstream), &both, cut).await
            }
            Downstream::Hbone(incoming, _) => match incoming.accept(self.baggage()) {
                Ok(stream) => relay::run(stream, TcpEnd::new(upstream), &One(counters), cut).await,
                Err(error) => {
                    // The client broke off meanwhile; its application's end must not look like a polite one.
                    socket::reset_on_close(&upstream);
                    Outcome::failed(Reason::ClientDisconnected, RelayError::Downstream(error))
                }
            },
        }
    }

    fn baggage(&self) -> Option<http::HeaderValue> {
        self.proxy
            .sockets
            .response_baggage
            .then(|| self.pod.baggage.of(&self.workload))
            .flatten()
    }
}

impl Downstream<'_> {
    /// Says no.
    fn refuse(self, status: StatusCode) {
        match self {
            Self::Tcp(mut client) | Self::Joined(mut client, ..) => client.reset(),
            Self::Hbone(incoming, _) => incoming.refuse(status),
        }
    }

    /// What it is, and who is at its other end.
    fn way(&self) -> (Way, Option<Arc<PeerCertificate>>) {
        match self {
            Self::Tcp(_) => (Way::Plain, None),
            Self::Hbone(_, peer) => (Way::Hbone, Some(Arc::clone(peer))),
            Self::Joined(_, introduced, _) => (Way::SameNode, Some(Arc::clone(&introduced.client))),
        }
    }

    /// Whether a certificate that it rests on is on a list.
    fn is_revoked(&self, proxy: &Proxy) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Hbone(_, peer) => proxy.is_revoked(peer),
            Self::Joined(_, introduced, _) => {
                proxy.is_revoked(&introduced.client) || proxy.is_revoked(&introduced.server)
            }
        }
    }
}
