//! A connection whose ends stand: what is left of it to do.
//!
//! In: two ends, and what is known of it on each side that is ours. Out: an outcome, reported on each of them. Never: a stage before it.
//!
//! ```text
//!   a task:  set up (boxed, ends soon) ──▶ Standing::run (small, for as long as the connection lasts) ──▶ close
//! ```
//! Most connections of a node stand idle most of the time, and then this is what they cost.

use std::pin::Pin;

use net::relay::{Duplex, TcpEnd};
use telemetry::Outcome;

use super::{Side, run, side::Both};
use crate::{connections::Cut, neighbour::path::OpenPath};

/// What a task that has set a connection up does with it.
pub(crate) trait Standing: Send {
    /// Relays until it ends or is cut.
    fn run(&mut self) -> impl Future<Output = Outcome> + Send;
    /// Reports how it ended.
    fn close(self, outcome: Outcome);
}

/// Sets a connection up and carries it to its end. What sets it up is on a heap of its own, which is given back before the first byte is relayed.
pub(crate) async fn carry<S: Standing>(set_up: Pin<Box<impl Future<Output = Option<S>> + Send>>) {
    // In one statement, so that it stands in the task once.
    let Some(mut standing) = set_up.await else {
        return;
    };
    let outcome = standing.run().await;
    standing.close(outcome);
}

/// A connection through this ztunnel, of which one side is ours.
#[derive(Debug)]
pub(crate) struct Carried<D, U> {
    /// Who opened it.
    pub(crate) downstream: D,
    /// Whom it was connected to.
    pub(crate) upstream: U,
    /// What is known of it.
    pub(crate) side: Side,
}

impl<D: Duplex + Send, U: Duplex + Send> Standing for Carried<D, U> {
    async fn run(&mut self) -> Outcome {
        let (meter, cut) = self.side.parts();
        run(&mut self.downstream, &mut self.upstream, &meter, cut).await
    }

    fn close(self, outcome: Outcome) {
        // In this order: who sees that it is over finds it reported.
        self.side.close(outcome);
    }
}

/// A connection of two pods of this node, of which both sides are ours.
#[derive(Debug)]
pub(crate) struct Joined {
    /// The two ends, and the side of the pod that was called.
    pub(crate) callee: Carried<TcpEnd, TcpEnd>,
    /// The side of the pod that called.
    pub(crate) caller: Side,
    /// The path that they are joined by.
    pub(crate) path: OpenPath,
}

impl Standing for Joined {
    async fn run(&mut self) -> Outcome {
        let Self {
            callee:
                Carried {
                    downstream,
                    upstream,
                    side,
                },
            caller,
            path,
        } = self;
        let (of_callee, by_callee) = side.parts();
        let (of_caller, by_caller) = caller.parts();
        let cut = async {
            tokio::select! {
                biased;
                // First: what cuts a connection says why; that its path has closed may be only what comes of it.
                reason = by_callee => reason,
                reason = by_caller => reason,
                () = path.closed() => Cut::Apart,
            }
        };
        run(downstream, upstream, &Both(of_caller, of_callee), cut).await
    }

    fn close(self, outcome: Outcome) {
        self.callee.side.close(outcome.clone());
        self.caller.close(outcome);
    }
}
