//! Units and texts of the wire.

use std::{fmt::Write as _, time::Duration};

/// Microseconds; what is longer than they can say is as long as they can.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Microseconds, where 0 is none.
pub(super) fn micros_or_none(duration: Option<Duration>) -> u64 {
    duration.map_or(0, micros)
}

/// `None` where nothing is in it.
pub(super) fn unless_default<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

/// A text for a request's target or a location: what may not stand there is percent-encoded (RFC 3986 §2.1), since a waypoint
/// refuses a table with such a text as a whole.
pub(super) fn target(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'#' {
            encoded.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// The same for a whole path, which begins with a slash.
pub(super) fn absolute(text: &str) -> String {
    let slash = if text.starts_with('/') { "" } else { "/" };
    format!("{slash}{}", target(text))
}
