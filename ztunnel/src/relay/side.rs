//! What is known of a connection on one side of it, from its registration to its end.
//!
//! In: its event, its entry, who cuts it. Out: what it has carried, counted; one end. Never: the bytes.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

use net::relay::Meter;
use telemetry::{ByteCounters, OpenConnection, Outcome};
use tokio::sync::oneshot::Receiver;

use crate::{
    capture::listen::Counted,
    connections::{Cut, Registered, reason},
};

/// One side of a connection: ours, or of two pods of this node one of both.
#[derive(Debug)]
pub(crate) struct Side {
    event: OpenConnection,
    // Before the entry, whose sender would wake this task for nothing.
    cut: Receiver<Cut>,
    registered: Registered,
    /// Where it came by a socket of its own.
    _counted: Option<Counted>,
}

impl Side {
    /// A connection that was registered, and is told of.
    pub(crate) fn new(
        event: OpenConnection,
        registered: Registered,
        cut: Receiver<Cut>,
        counted: Option<Counted>,
    ) -> Self {
        Self {
            event,
            registered,
            cut,
            _counted: counted,
        }
    }

    /// Its entry.
    pub(crate) fn registered(&self) -> &Registered {
        &self.registered
    }

    /// Where the relay counts.
    pub(crate) fn counters(&self) -> &ByteCounters {
        self.event.counters()
    }

    /// Ready when it is cut; not to be asked again then.
    pub(super) fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Cut> {
        Pin::new(&mut self.cut).poll(cx).map(reason)
    }

    /// Waits until it is cut.
    pub(crate) async fn cut(&mut self) -> Cut {
        poll_fn(|cx| self.poll_cut(cx)).await
    }

    /// Reports how it ended.
    pub(crate) fn close(self, outcome: Outcome) {
        self.event.close(outcome, net::clock::now());
    }
}

/// Counts for one side.
pub(super) struct One<'a>(pub(super) &'a Side);

impl Meter for One<'_> {
    fn upward(&self, bytes: u64) {
        self.0.counters().add_received(bytes);
    }

    fn downward(&self, bytes: u64) {
        self.0.counters().add_sent(bytes);
    }
}

/// Counts for both sides, where both are ours.
pub(super) struct Both<'a>(pub(super) One<'a>, pub(super) One<'a>);

impl Meter for Both<'_> {
    fn upward(&self, bytes: u64) {
        self.0.upward(bytes);
        self.1.upward(bytes);
    }

    fn downward(&self, bytes: u64) {
        self.0.downward(bytes);
        self.1.downward(bytes);
    }
}
