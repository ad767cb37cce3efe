//! A host and its port.

/// Takes an authority apart. A port that is none stays with the host, which then is no name.
/// Source: RFC 3986 §3.2; an IPv6 address is in brackets, which stay.
#[must_use]
pub fn split(authority: &str) -> (&str, Option<u16>) {
    // Behind the brackets of an IPv6 address, if there are any.
    let colon = match authority.rfind(':') {
        Some(colon) if !authority.get(colon..).unwrap_or_default().contains(']') => colon,
        Some(_) | None => return (authority, None),
    };
    let (host, port) = authority.split_at(colon);
    match port.get(1..).unwrap_or_default() {
        "" => (host, None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => match digits.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (authority, None),
        },
        _ => (authority, None),
    }
}

/// The port that a scheme means where none is given.
#[must_use]
pub fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}
