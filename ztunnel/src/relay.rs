//! The last stage of every connection: bytes both ways until it ends or is cut, and how that is reported.
//!
//! In: a connection whose ends stand. Out: its end, in one event per side. Never: what set it up, which needs much more room and is gone by then.
//!
//! Reading order: [`side`] (what is known of a connection on one side of it), [`standing`] (what is left of it to do).

use std::io;

use net::relay::{Duplex, Meter, RelayError};
use telemetry::{Outcome, Reason};

mod side;
mod standing;

pub(crate) use side::Side;
pub(crate) use standing::{Carried, Joined, Standing, carry};

use crate::connections::Cut;

/// Relays and says how it ended. When it was cut both ends have been reset.
async fn run<D: Duplex, U: Duplex>(
    downstream: &mut D,
    upstream: &mut U,
    meter: &impl Meter,
    cut: impl Future<Output = Cut>,
) -> Outcome {
    let cut = tokio::select! {
        biased;
        // First: a tunnel that ends for the same reason must not hide it.
        cut = cut => cut,
        result = net::relay::relay(downstream, upstream, meter) => return outcome(result),
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
