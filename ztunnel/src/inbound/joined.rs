//! What comes from a pod of this node without a tunnel: the stages of a CONNECT, without the CONNECT.
//!
//! In: a [`Passage`], the client's socket. Out: a connection whose ends stand, or how it went, for the client's side to report, and one event of this side.
//! Never: less than a tunnel would be asked: the same admission of the same facts, and the same way from there on (`carry`). The facts are not taken from a socket that was
//! accepted here, as there is none, but from one that was: the passage's probe, which has proved both addresses.

use std::{net::SocketAddr, sync::Arc};

use decision::inbound::{Arrival, Authority, Claim};
use http::StatusCode;
use net::relay::{Duplex as _, TcpEnd};

use super::{
    Addresses, Arrived, carry::Undelivered, downstream::Introduction, error::Error, report,
};
use crate::{connections::Cut, neighbour::Passage, proxy::Proxy, relay::Carried};

/// A connection as the neighbour meets it.
pub(crate) struct Joining<'a> {
    pub(crate) proxy: &'a Arc<Proxy>,
    pub(crate) worker: usize,
    /// The client's address, which the application is to see.
    pub(crate) client: SocketAddr,
    pub(crate) passage: &'a Passage,
}

impl Joining<'_> {
    /// Admits and delivers. `cut` ends it from the client's side, until it is delivered.
    ///
    /// # Errors
    /// How it ended before that. The socket has been reset.
    pub(crate) async fn deliver(
        self,
        mut socket: TcpEnd,
        cut: impl Future<Output = Cut>,
    ) -> Result<Carried<TcpEnd, TcpEnd>, Undelivered> {
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
                return Err(Undelivered::Answered(at.refuse(error, passage)));
            }
        };
        let report = report::of_joined(&at, &admitted, passage.authority);
        let downstream = Introduction(socket, Arc::clone(&passage.introduced));
        at.deliver(&admitted, report, downstream, None, cut).await
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
