//! What is known of a connection on one side of it, from its registration to its end.
//!
//! In: its event, its entry, who cuts it. Out: what it has carried, counted; one end. Never: the bytes.

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
    registered: Registered,
    cut: Receiver<Cut>,
    /// Where it came by a socket of its own.
    counted: Option<Counted>,
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
            counted,
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

    /// What counts for it, and who cuts it.
    pub(super) fn parts(&mut self) -> (One<'_>, impl Future<Output = Cut>) {
        let one = One {
            bytes: self.event.counters(),
            counted: self.counted.as_ref(),
        };
        (one, cut(&mut self.cut))
    }

    /// Waits until it is cut.
    pub(crate) async fn cut(&mut self) -> Cut {
        cut(&mut self.cut).await
    }

    /// Reports how it ended.
    pub(crate) fn close(self, outcome: Outcome) {
        self.event.close(outcome, net::clock::now());
    }
}

/// Counts for one side.
pub(super) struct One<'a> {
    bytes: &'a ByteCounters,
    counted: Option<&'a Counted>,
}

impl Meter for One<'_> {
    fn upward(&self, bytes: u64) {
        self.bytes.add_received(bytes);
    }

    fn downward(&self, bytes: u64) {
        self.bytes.add_sent(bytes);
    }

    fn is_ending(&self) {
        if let Some(counted) = self.counted {
            counted.is_ending();
        }
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

    fn is_ending(&self) {
        self.0.is_ending();
        self.1.is_ending();
    }
}

async fn cut(receiver: &mut Receiver<Cut>) -> Cut {
    reason(receiver.await)
}
