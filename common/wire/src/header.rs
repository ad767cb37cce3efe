//! What the headers share: values made without a copy, text without surrounding white space.

use bytes::Bytes;
use http::HeaderValue;

/// Turns text of our own making, which is visible ASCII, into a header value, reusing its buffer.
pub(crate) fn value(text: String) -> HeaderValue {
    debug_assert!(text.bytes().all(|b| b.is_ascii_graphic()), "{text:?}");
    HeaderValue::from_maybe_shared(Bytes::from(text)).expect("visible ASCII is a header value")
}

/// Without optional white space at both ends. Source: RFC 9110 §5.6.3 (`OWS`: space and tab).
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Without optional white space in front.
pub(crate) fn trim_start(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}
