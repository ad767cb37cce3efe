//! How long a client of gRPC is ready to wait.
//!
//! In: a head. Out: a time, where it says one. Never: fails a request for what it says.
//!
//! Source: gRPC over HTTP/2, `Timeout`; Envoy's `max_grpc_timeout` as Istio sets it: the client's word holds, within the
//! route's own limit.

use std::time::Duration;

use http::{HeaderMap, HeaderName};

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// Digits of a timeout. Source: gRPC over HTTP/2.
const MAX_DIGITS: usize = 8;

/// What `grpc-timeout` says. `None`: nothing, nothing that can be read, or 0, by which Envoy understands no limit.
#[must_use]
pub fn of(headers: &HeaderMap) -> Option<Duration> {
    let (unit, digits) = headers.get(GRPC_TIMEOUT)?.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let time = match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    };
    (!time.is_zero()).then_some(time)
}

#[cfg(test)]
mod tests;
