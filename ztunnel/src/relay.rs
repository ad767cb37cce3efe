//! The last stage of every connection: bytes both ways until it ends or is cut, and how that is reported.

use std::io;

use crate::connections::Cut;
use net::relay::{Duplex, Meter, RelayError};
use telemetry::{ByteCounters, Outcome, Reason};

/// Counts for one event.
pub(crate) struct One<'a>(pub(crate) &'a ByteCounters);

/// Counts for the events of both sides, where both are here.
pub(crate) struct Both<'a>(pub(crate) &'a ByteCounters, pub(crate) &'a ByteCounters);

impl Meter for One<'_> {
    fn upward(&self, bytes: u64) {
        self.0.add_received(bytes);
    }

    fn downward(&self, bytes: u64) {
        self.0.add_sent(bytes);
    }
}

impl Meter for Both<'_> {
    fn upward(&self, bytes: u64) {
        self.0.add_received(bytes);
        self.1.add_received(bytes);
    }

    fn downward(&self, bytes: u64) {
        self.0.add_sent(bytes);
        self.1.add_sent(bytes);
    }
}

/// Relays and says how it ended. When it was cut both ends have been reset.
pub(crate) async fn run<D: Duplex, U: Duplex>(
    mut downstream: D,
    mut upstream: U,
    meter: &impl Meter,
    cut: impl Future<Output = Cut>,
) -> Outcome {
    let cut = tokio::select! {
        biased;
        // First: a tunnel that ends for the same reason must not hide it.
        cut = cut => cut,
        result = net::relay::relay(&mut downstream, &mut upstream, meter) => return outcome(result),
    };
    downstream.reset();
    upstream.reset();
    self::cut(&cut)
}

/// How a cut is reported.
pub(crate) fn cut(cut: &Cut) -> Outcome {
    let reason = match cut {
        Cut::Policy(_) => Reason::PolicyChange,
        Cut::Revoked => Reason::Revoked,
        Cut::Drain => Reason::Drained,
        Cut::Apart => Reason::NetworkPolicy,
    };
    Outcome::failed(reason, cut)
}

fn outcome(result: Result<(), RelayError>) -> Outcome {
    let is_reset = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
    match result {
        Ok(()) => Outcome::Complete,
        Err(error) => {
            let reason = match &error {
                RelayError::Downstream(cause) if is_reset(cause) => Reason::ClientReset,
                RelayError::Downstream(_) => Reason::ClientDisconnected,
                RelayError::Upstream(cause) if is_reset(cause) => Reason::DestinationReset,
                RelayError::Upstream(_) => Reason::DestinationDisconnected,
            };
            Outcome::failed(reason, error)
        }
    }
}
