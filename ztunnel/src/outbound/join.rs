//! A connection to a pod of this node: no tunnel, but everything that one would be asked.
//!
//! In: the client's socket, a [`Passage`]. Out: how it went. Never: another way in than `inbound`'s.

use hbone::OpenError;
use net::relay::TcpEnd;
use telemetry::{ByteCounters, Outcome};
use tokio::net::TcpStream;

use super::{Entry, Error, From};
use crate::{
    connections::{self, Cut, Way},
    inbound::Joined,
    neighbour::Passage,
};

impl From<'_> {
    /// Joins the client with the neighbour's application.
    pub(super) async fn join(
        &self,
        client: TcpStream,
        passage: Passage,
        entry: Entry<'_>,
        counters: &ByteCounters,
    ) -> Outcome {
        let Entry { registered, cut } = entry;
        // Whether it is revoked by now is asked by the neighbour's side, for both, once that is registered, too.
        registered.reached(Way::SameNode, &passage.introduced.server);
        let cut = async {
            tokio::select! {
                biased;
                // First: what cuts a connection says why; that its path has closed may be only what comes of it.
                reason = cut => connections::reason(reason),
                () = passage.closed() => Cut::Apart,
            }
        };
        let joined = Joined {
            proxy: self.proxy,
            worker: self.worker,
            client: self.client,
            passage: &passage,
        };
        let carried = joined.carry(TcpEnd::new(client), counters, cut).await;
        carried.unwrap_or_else(|status| {
            let error = Error::from(OpenError::Status(status));
            Outcome::failed(error.reason(), error)
        })
    }
}
