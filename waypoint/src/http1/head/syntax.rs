//! The words that a head is made of.
//!
//! In: bytes. Out: whether they are a target, a host, a length, a coding. Never: what they mean together.

use http::Uri;

use crate::http1::Refusal;

/// RFC 9112 §3.2: the four forms of a target.
pub(super) fn is_target(method: &[u8], target: &[u8]) -> bool {
    if method == b"CONNECT" {
        return is_authority(target) && target.contains(&b':');
    }
    match target {
        [b'/', rest @ ..] => {
            let (path, query) = match rest.iter().position(|byte| *byte == b'?') {
                Some(at) => rest.split_at(at),
                None => (rest, &[][..]),
            };
            path.iter().all(|byte| is_path(*byte)) && query.iter().all(|byte| is_query(*byte))
        }
        b"*" => method == b"OPTIONS",
        _ => Uri::try_from(target).is_ok_and(|uri| {
            let http = matches!(uri.scheme_str(), Some("http" | "https"));
            let authority = uri
                .authority()
                .is_some_and(|authority| is_authority(authority.as_str().as_bytes()));
            http && authority && target.iter().all(|byte| is_path(*byte) || is_query(*byte))
        }),
    }
}

/// What may stand in a path: what RFC 3986 allows and most of visible ASCII, which clients send unencoded. No fragment, and no
/// byte beyond ASCII. Source: Envoy; without what the engine's URI type refuses.
fn is_path(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'#' | b'?' | b'<' | b'>' | b'`')
}

/// The same for a query.
fn is_query(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'#' | b'<' | b'>' | b'"')
}

/// Digits and nothing else, as many as fit.
pub(super) fn length(value: &[u8]) -> Option<u64> {
    /// The largest power of ten in a `u64` has one more.
    const MAX_DIGITS: usize = 19;
    if value.is_empty() || value.len() > MAX_DIGITS {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, byte| {
        byte.is_ascii_digit()
            .then(|| sum * 10 + u64::from(byte - b'0'))
    })
}

/// RFC 9112 §6.1 and §6.3.
pub(super) fn coding(value: &[u8]) -> Result<(), Refusal> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let is_chunked = |coding: &[u8]| trim(coding).eq_ignore_ascii_case(b"chunked");
    let mut codings = value.split(|byte| *byte == b',').rev();
    if !codings.next().is_some_and(is_chunked) || codings.clone().any(is_chunked) {
        return Err(Refusal::Coding);
    }
    if codings.any(|coding| !is_token(trim(coding))) {
        return Err(Refusal::Coding);
    }
    Err(Refusal::UnknownCoding)
}

/// Whether a text is a host with an optional port, and no user (RFC 9110 §7.2, RFC 3986 §3.2). A comma, which the grammar knows,
/// is none here: it is how two hosts look that somebody has joined.
#[must_use]
pub fn is_authority(text: &[u8]) -> bool {
    let (host, port) = if text.first() == Some(&b'[') {
        match text.iter().position(|byte| *byte == b']') {
            Some(end) => text.split_at(end + 1),
            None => return false,
        }
    } else {
        match text.iter().position(|byte| *byte == b':') {
            Some(at) => text.split_at(at),
            None => (text, &[][..]),
        }
    };
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let is_host = match host {
        [] => false,
        [b'[', inside @ .., b']'] => {
            std::str::from_utf8(inside).is_ok_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok())
        }
        name => name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(byte)),
    };
    is_port && is_host
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| TOKEN[usize::from(*byte)])
}

/// By byte.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

/// Without white space at both ends (OWS).
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
