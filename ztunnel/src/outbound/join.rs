//! A connection to a pod of this node: no tunnel, but everything that one would be asked.
//!
//! In: the client's socket, a [`Passage`]. Out: both sides of it, which go on by themselves, or how it failed. Never: another way in than `inbound`'s.

use hbone::OpenError;
use net::relay::TcpEnd;
use telemetry::Outcome;

use super::{Error, From};
use crate::{
    connections::{Cut, Way},
    inbound::{Joining, Undelivered},
    neighbour::Passage,
    relay::{self, Joined, Side},
};

impl From<'_> {
    /// Joins the client with the neighbour's application.
    pub(super) async fn join(
        &self,
        client: TcpEnd,
        passage: Passage,
        mut side: Side,
    ) -> Result<(), (Side, Outcome)> {
        // Whether it is revoked by now is asked by the neighbour's side, for both, once that is registered, too.
        side.registered()
            .reached(Way::SameNode, &passage.introduced.server);
        let cut = async {
            tokio::select! {
                biased;
                // First: what cuts a connection says why; that its path has closed may be only what comes of it.
                reason = side.cut() => reason,
                () = passage.path.closed() => Cut::Apart,
            }
        };
        let joining = Joining {
            proxy: self.proxy,
            worker: self.worker,
            client: self.client,
            passage: &passage,
        };
        match joining.deliver(client, cut).await {
            Ok(callee) => {
                let path = passage.path;
                let closed = async move { path.closed().await };
                relay::stand(Joined::new(callee, side, closed));
                Ok(())
            }
            Err(Undelivered::Ended(outcome)) => Err((side, outcome)),
            Err(Undelivered::Answered(status)) => {
                let error = Error::from(OpenError::Status(status));
                Err((side, Outcome::failed(error.reason(), error)))
            }
        }
    }
}
