//! Delays and failures on purpose.
//!
//! In: what a rule asks for and randomness. Out: what befalls this request. Never: sleeps, answers; the stage does.
//!
//! Source: VirtualService `fault`; the flags are `DI` and `FI`.

use std::time::Duration;

use mesh::route::{AbortStatus, Fault};

/// What befalls one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// It waits.
    pub delay: Option<Duration>,
    /// Then it is answered with this.
    pub abort: Option<AbortStatus>,
}

/// Draws for one request. **Shape:** the two are independent.
#[must_use]
pub fn draw(fault: &Fault, random: &mut fastrand::Rng) -> Verdict {
    let delay = fault
        .delay
        .filter(|delay| delay.share.takes(random.u64(..)));
    let abort = fault
        .abort
        .filter(|abort| abort.share.takes(random.u64(..)));
    Verdict {
        delay: delay.map(|delay| delay.duration),
        abort: abort.map(|abort| abort.status),
    }
}

#[cfg(test)]
mod tests;
