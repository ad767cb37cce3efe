//! Names of headers that identify a request, and new request ids.
//!
//! A waypoint passes every header on; these are the ones that an application must pass on for spans and log lines of
//! one request to be found together.

use http::{HeaderName, HeaderValue};

/// The request's id, made where there is none.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Every header by which a trace is passed on.
///
/// **Source:** Istio, "Distributed tracing": Envoy's own, B3, W3C Trace Context, Datadog, SkyWalking, Google Cloud,
/// OpenCensus.
pub const PROPAGATED: [HeaderName; 21] = [
    REQUEST_ID,
    HeaderName::from_static("x-b3-traceid"),
    HeaderName::from_static("x-b3-spanid"),
    HeaderName::from_static("x-b3-parentspanid"),
    HeaderName::from_static("x-b3-sampled"),
    HeaderName::from_static("x-b3-flags"),
    HeaderName::from_static("b3"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
    HeaderName::from_static("x-datadog-trace-id"),
    HeaderName::from_static("x-datadog-parent-id"),
    HeaderName::from_static("x-datadog-sampling-priority"),
    HeaderName::from_static("x-datadog-origin"),
    HeaderName::from_static("x-datadog-tags"),
    HeaderName::from_static("sw8"),
    HeaderName::from_static("sw8-correlation"),
    HeaderName::from_static("sw8-x"),
    HeaderName::from_static("x-cloud-trace-context"),
    HeaderName::from_static("grpc-trace-bin"),
    HeaderName::from_static("x-ot-span-context"),
];

/// A new request id: a UUID of version 4, as Envoy makes them. One allocation.
///
/// **Shape:** 36 bytes, hexadecimal in lower case. **Source:** RFC 9562 §5.4.
#[must_use]
pub fn request_id(random: [u64; 2]) -> HeaderValue {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let [high, low] = random;
    let high = high & !0xf000 | 0x4000;
    let low = low & !(0b11 << 62) | 0b10 << 62;
    let bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    let digit = |nibble: u8| DIGITS[usize::from(nibble & 0xf)];
    let mut hex = [0; 32];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte)]);
    }
    let mut text = [b'-'; 36];
    text[..8].copy_from_slice(&hex[..8]);
    text[9..13].copy_from_slice(&hex[8..12]);
    text[14..18].copy_from_slice(&hex[12..16]);
    text[19..23].copy_from_slice(&hex[16..20]);
    text[24..].copy_from_slice(&hex[20..]);
    // Digits and dashes are always a header.
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(
        "00000000-0000-4000-8000-000000000000",
    ))
}

#[cfg(test)]
mod tests;
