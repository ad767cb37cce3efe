//! Delays and failures on purpose.
//!
//! In: what a rule asks for and randomness. Out: what befalls this request. Never: sleeps, answers; the stage does.
//!
//! Source: VirtualService `fault`; the flags are `DI` and `FI`.

use std::time::Duration;

use http::StatusCode;
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

/// The status of HTTP that stands for a status of gRPC, for a client that speaks no gRPC.
/// Source: `google.rpc.Code`.
#[must_use]
pub fn http_status(grpc: u32) -> StatusCode {
    match grpc {
        0 => StatusCode::OK,
        3 | 9 | 11 => StatusCode::BAD_REQUEST,
        4 => StatusCode::GATEWAY_TIMEOUT,
        5 => StatusCode::NOT_FOUND,
        6 | 10 => StatusCode::CONFLICT,
        7 => StatusCode::FORBIDDEN,
        8 => StatusCode::TOO_MANY_REQUESTS,
        12 => StatusCode::NOT_IMPLEMENTED,
        14 => StatusCode::SERVICE_UNAVAILABLE,
        16 => StatusCode::UNAUTHORIZED,
        // 1 has a number of its own that is not registered.
        1 => StatusCode::from_u16(499).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests;
