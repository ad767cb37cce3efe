//! What comes from a pod of this node without a tunnel: the stages of a CONNECT, without the CONNECT.
//!
//! In: a [`Passage`], the client's socket. Out: how it went, for the client's side to report; one event of this side.
//! Never: less than a tunnel would be asked: the same facts, the same admission, the same registration for what comes later.

use std::{net::SocketAddr, pin::pin, sync::Arc};

use decision::inbound::{Admitted, Arrival, Authority, Claim};
use http::StatusCode;
use net::relay::{Duplex as _, TcpEnd};
use telemetry::{ByteCounters, Outcome};

use super::{Addresses, Arrived, deliver, error::Error, report};
use crate::{
    connections::{self, Cut},
    neighbour::Passage,
    proxy::Proxy,
    relay::{self, Both},
};

/// A connection as the neighbour meets it.
pub(crate) struct Neighbour<'a> {
    pub(crate) proxy: &'a Arc<Proxy>,
    pub(crate) worker: usize,
    /// The client's address, which the application is to see.
    pub(crate) client: SocketAddr,
    pub(crate) passage: &'a Passage,
}

impl Neighbour<'_> {
    /// Admits, delivers and relays. `counters` are those of the client's side, and `cut` ends it from there.
    ///
    /// # Errors
    /// What a CONNECT would have been answered. The socket is to be reset, or has been.
    pub(crate) async fn carry(
        self,
        mut socket: TcpEnd,
        counters: &ByteCounters,
        cut: impl Future<Output = Cut>,
    ) -> Result<Outcome, StatusCode> {
        let Self {
            proxy,
            worker,
            client,
            passage,
        } = self;
        let at = Arrived {
            proxy: Arc::clone(proxy),
            pod: Arc::clone(&passage.to),
            worker,
            addresses: Addresses {
                peer: client,
                local: passage.peer,
            },
            workload: Arc::clone(&passage.workload),
        };
        let admitted = match at.admit(Arrival::Tunnel {
            identity: &passage.client.id,
            authority: Authority::Address(passage.authority),
            claim: Claim::None,
            network: None,
        }) {
            Ok(admitted) => admitted,
            Err(error) => {
                socket.reset();
                return Err(at.refuse(error, passage));
            }
        };
        let report = report::of_neighbour(&at, &admitted, passage.authority);
        let open = proxy.telemetry.opened(report, net::clock::now());
        let readmit = |admitted: &Admitted| admitted.readmit(&proxy.view.borrow());
        let (_registered, inner, still) = at.pod.connections.register_admitted(
            worker,
            &admitted,
            Some(Arc::clone(&passage.client)),
            readmit,
        );
        let mut cut = pin!(async {
            tokio::select! {
                reason = inner => connections::reason(reason),
                reason = cut => reason,
            }
        });
        let upstream = async {
            still?;
            deliver::connect(proxy, &at.pod, &admitted).await
        };
        let upstream = tokio::select! {
            upstream = upstream => upstream,
            reason = &mut cut => {
                socket.reset();
                let outcome = relay::cut(&reason);
                open.close(outcome.clone(), net::clock::now());
                return Ok(outcome);
            }
        };
        match upstream {
            Ok(upstream) => {
                let both = Both(counters, open.counters());
                let outcome = relay::run(socket, TcpEnd::new(upstream), &both, cut).await;
                open.close(outcome.clone(), net::clock::now());
                Ok(outcome)
            }
            Err(error) => {
                let status = error.status();
                socket.reset();
                open.close(Outcome::failed(error.reason(), error), net::clock::now());
                Err(status)
            }
        }
    }
}

impl Arrived {
    /// Reports a refusal as that of a CONNECT, and answers with its status.
    fn refuse(&self, error: Error, passage: &Passage) -> StatusCode {
        let status = error.status();
        let report =
            report::of_refused_neighbour(self, &passage.client.id, passage.authority, &error);
        if let Err(error) = self.rejected(error, report) {
            self.addresses.refused(&self.proxy, &error);
        }
        status
    }
}
