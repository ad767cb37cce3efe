//! The last stage of every connection: bytes both ways until it ends or is cut, and how that is reported.
//!
//! In: a connection whose ends stand. Out: its end, in one event per side. Never: what set it up, which needs much more room and is gone by then.
//!
//! Reading order: [`side`] (what is known of a connection on one side of it), [`standing`] (what is left of it to do).

use std::io;

use net::relay::RelayError;
use telemetry::{Outcome, Reason};

mod side;
mod standing;

pub(crate) use side::Side;
pub(crate) use standing::{Carried, Joined, stand};

use crate::connections::Cut;

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
