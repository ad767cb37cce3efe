//! A connection to a pod of this node: no tunnel, but everything that one would be asked.
//!
//! In: the client's socket, a [`Passage`]. Out: how it went. Never: another way in than `inbound`'s.

use std::{net::SocketAddr, sync::Arc};

use hbone::OpenError;
use identity::PeerCertificate;
use net::{relay::TcpEnd, socket};
use telemetry::{ByteCounters, Outcome};
use tokio::net::TcpStream;

use super::{Error, From};
use crate::{
    connections::{self, Cut, Open},
    inbound::Neighbour,
    neighbour::Passage,
    relay,
};

impl From<'_> {
    /// Joins the client with the neighbour's application.
    pub(super) async fn join(
        &self,
        client: TcpStream,
        original_destination: SocketAddr,
        passage: Passage,
        counters: &ByteCounters,
    ) -> Outcome {
        let open = Open::Outbound {
            source: self.client,
            original_destination,
            destination: passage.peer,
            peer: Some(Arc::clone(&passage.server)),
        };
        let (_registered, cut) = self.pod.connections.register(self.worker, open);
        // A list that came before they were registered has found nothing to cut.
        let is_revoked = |peer: &PeerCertificate| self.proxy.store.revocation(peer).is_some();
        if is_revoked(&passage.server) || is_revoked(&passage.client) {
            socket::reset_on_close(&client);
            return relay::cut(&Cut::Revoked);
        }
        let closed = passage.closed();
        let cut = async {
            tokio::select! {
                reason = cut => connections::reason(reason),
                () = closed => Cut::Apart,
            }
        };
        let neighbour = Neighbour {
            proxy: self.proxy,
            worker: self.worker,
            client: self.client,
            passage: &passage,
        };
        let joined = neighbour.carry(TcpEnd::new(client), counters, cut).await;
        joined.unwrap_or_else(|status| {
            let error = Error::from(OpenError::Status(status));
            Outcome::failed(error.reason(), error)
        })
    }
}
