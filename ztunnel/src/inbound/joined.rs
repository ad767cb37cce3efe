//! What comes from a pod of this node without a tunnel: the stages of a CONNECT, without the CONNECT.
//!
//! In: a [`Passage`], the client's socket. Out: how it went, for the client's side to report; one event of this side.
//! Never: less than a tunnel would be asked: the same admission of the same facts, and the same way from there on (`carry`). The facts are not taken from a socket that was
//! accepted here, as there is none, but from one that was: the passage's probe, which has proved both addresses.

use std::{net::SocketAddr, sync::Arc};

use decision::inbound::{Arrival, Authority, Claim};
use http::StatusCode;
use net::relay::{Duplex as _, TcpEnd};
use telemetry::{ByteCounters, Outcome};

use super::{Addresses, Arrived, carry::Downstream, error::Error, report};
use crate::{connections::Cut, neighbour::Passage, proxy::Proxy};

/// A connection as the neighbour meets it.
pub(crate) struct Joined<'a> {
    pub(crate) proxy: &'a Arc<Proxy>,
    pub(crate) worker: usize,
    /// The client's address, which the application is to see.
    pub(crate) client: SocketAddr,
    pub(crate) passage: &'a Passage,
}

impl Joined<'_> {
    /// Admits and carries. `counters` are those of the client's side, and `cut` ends it from there.
    ///
    /// # Errors
    /// What a CONNECT would have been answered. The socket has been reset.
    pub(crate) async fn carry(
        self,
        mut socket: TcpEnd,
        counters: &ByteCounters,
        cut: impl Future<Output = Cut>,
    ) -> Result<Outcome, StatusCode> {
        let passage = self.passage;
        let at = Arrived {
            proxy: Arc::clone(self.proxy),
            pod: Arc::clone(&passage.to),
            worker: self.worker,
            addresses: Addresses {
                peer: self.client,
                local: passage.peer,
            },
            workload: Arc::clone(&passage.workload),
        };
        let admitted = match at.admit(Arrival::Tunnel {
            identity: &passage.introduced.client.id,
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
        let report = report::of_joined(&at, &admitted, passage.authority);
        let downstream = Downstream::Joined(socket, Arc::clone(&passage.introduced), counters);
        at.carry(&admitted, report, downstream, cut).await
    }
}

impl Arrived {
    /// Reports a refusal as that of a CONNECT, and answers with its status.
    fn refuse(&self, error: Error, passage: &Passage) -> StatusCode {
        let status = error.status();
        let identity = &passage.introduced.client.id;
        let report = report::of_refused_join(self, identity, passage.authority, &error);
        if let Err(error) = self.rejected(error, report) {
            self.addresses.refused(&self.proxy, &error);
        }
        status
    }
}
