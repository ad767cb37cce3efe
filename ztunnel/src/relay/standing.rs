//! A connection whose ends stand: what is left of it to do.
//!
//! In: two ends, and what is known of it on each side that is ours. Out: an outcome, reported on each of them. Never: a stage before it; a byte
//! of memory for one.
//!
//! ```text
//!   a task: set up, large ──▶ stand ──▶ a task of its own: Standing::poll, small, for as long as the connection lasts ──▶ close
//! ```
//! Most connections of a node stand idle most of the time, and then this is what they cost.
//!
//! Tasks: one per connection, on the worker that has set it up. It ends with either end, or by a policy, a revocation, its pod
//! ([`Connections::close`](crate::connections::Connections::close)) or, between two pods of this node, their path. Nobody holds its handle.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use net::relay::{Duplex, Meter, Relay, TcpEnd};
use telemetry::Outcome;

use super::{
    Side, cut, outcome,
    side::{Both, One},
};
use crate::connections::Cut;

/// A connection whose ends stand.
pub(crate) trait Standing: Send + 'static {
    /// Relays until it ends or is cut; not to be asked again then.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome>;
    /// Reports how it ended.
    fn close(self, outcome: Outcome);
}

/// Carries a connection to its end, in a task of its own on this worker.
pub(crate) fn stand(mut standing: impl Standing) {
    tokio::spawn(async move {
        let outcome = poll_fn(|cx| standing.poll(cx)).await;
        standing.close(outcome);
    });
}

/// A connection through this ztunnel, of which one side is ours.
#[derive(Debug)]
pub(crate) struct Carried<D, U> {
    ends: Ends<D, U>,
    side: Side,
}

impl<D: Duplex, U: Duplex> Carried<D, U> {
    /// Who opened it, whom it was connected to, what is known of it.
    pub(crate) fn new(downstream: D, upstream: U, side: Side) -> Self {
        let relay = Relay::default();
        Self {
            ends: Ends {
                downstream,
                upstream,
                relay,
            },
            side,
        }
    }
}

impl<D: Duplex + Send + 'static, U: Duplex + Send + 'static> Standing for Carried<D, U> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        // First: a tunnel that ends for the same reason must not hide it.
        if let Poll::Ready(reason) = self.side.poll_cut(cx) {
            return Poll::Ready(self.ends.cut(&reason));
        }
        self.ends.poll(cx, &One(&self.side))
    }

    fn close(self, outcome: Outcome) {
        // First: the peers are not to wait for a log line, and nobody is to take an address for free whose socket is there.
        drop(self.ends);
        self.side.close(outcome);
    }
}

/// A connection of two pods of this node, of which both sides are ours.
pub(crate) struct Joined<C> {
    callee: Carried<TcpEnd, TcpEnd>,
    caller: Side,
    /// Ends when the network keeps the two pods apart.
    closed: Pin<Box<C>>,
}

impl<C> Joined<C> {
    /// The ends and the side of the pod that was called, the side of the one that called, and what says that their path has closed.
    pub(crate) fn new(callee: Carried<TcpEnd, TcpEnd>, caller: Side, closed: C) -> Self {
        let closed = Box::pin(closed);
        Self {
            callee,
            caller,
            closed,
        }
    }

    /// What cuts a connection says why; that its path has closed may be only what comes of it, and is asked last.
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Cut>
    where
        C: Future<Output = ()>,
    {
        if let Poll::Ready(reason) = self.callee.side.poll_cut(cx) {
            return Poll::Ready(reason);
        }
        if let Poll::Ready(reason) = self.caller.poll_cut(cx) {
            return Poll::Ready(reason);
        }
        self.closed.as_mut().poll(cx).map(|()| Cut::Apart)
    }
}

impl<C: Future<Output = ()> + Send + 'static> Standing for Joined<C> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        if let Poll::Ready(reason) = self.poll_cut(cx) {
            return Poll::Ready(self.callee.ends.cut(&reason));
        }
        let Carried { ends, side } = &mut self.callee;
        ends.poll(cx, &Both(One(&self.caller), One(side)))
    }

    fn close(self, outcome: Outcome) {
        self.callee.close(outcome.clone());
        self.caller.close(outcome);
    }
}

/// Two ends, and how far they are.
#[derive(Debug)]
struct Ends<D, U> {
    downstream: D,
    upstream: U,
    relay: Relay,
}

impl<D: Duplex, U: Duplex> Ends<D, U> {
    fn poll(&mut self, cx: &mut Context<'_>, meter: &impl Meter) -> Poll<Outcome> {
        let relayed = ready!(
            self.relay
                .poll(cx, &mut self.downstream, &mut self.upstream, meter)
        );
        Poll::Ready(outcome(relayed))
    }

    fn cut(&mut self, reason: &Cut) -> Outcome {
        self.downstream.reset();
        self.upstream.reset();
        cut(reason)
    }
}
