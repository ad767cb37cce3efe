//! Version 1: one line of text.
//!
//! In: bytes that begin as one. Out: what it says. Never: reads beyond its end of line, or looks for that beyond the bytes that a line may
//! have.

use super::{Error, Header, MAX_V1_BYTES, Read, SIGNATURE_V1, decode};

const UNKNOWN: &[u8] = b"UNKNOWN";

/// Reads a line. `bytes` begin with [`SIGNATURE_V1`].
pub(super) fn read(bytes: &[u8]) -> Result<Read, Error> {
    let within = bytes.get(..MAX_V1_BYTES).unwrap_or(bytes);
    let Some(end) = within.iter().position(|byte| *byte == b'\n') else {
        return match bytes.len() < MAX_V1_BYTES {
            true => Ok(Read::More(1)),
            false => Err(Error::Endless),
        };
    };
    let length = end + 1;
    let line = within.get(..length).unwrap_or_default();
    let Some(text) = line
        .strip_prefix(SIGNATURE_V1)
        .and_then(|text| text.strip_suffix(b"\r\n"))
    else {
        return Err(Error::Line("its line does not end with CR LF"));
    };
    if text.contains(&b'\r') {
        return Err(Error::Line("a CR within its line"));
    }
    let addresses = if text == UNKNOWN || text.starts_with(b"UNKNOWN ") {
        // What follows is to be ignored (§2.1).
        None
    } else {
        check(text)?;
        decode(line).map_err(|_| Error::Line("an address that is none of its family"))?
    };
    Ok(Read::Whole(Header { addresses, length }))
}

/// What the specification asks for and the crate does not look at: single spaces, nothing before or after, and numbers
/// without signs and leading zeros.
fn check(text: &[u8]) -> Result<(), Error> {
    let mut fields = text.split(|byte| *byte == b' ');
    let family = fields.next();
    if family != Some(b"TCP4") && family != Some(b"TCP6") {
        return Err(Error::Line(
            "its protocol is none of TCP4, TCP6 and UNKNOWN",
        ));
    }
    let (Some(_source), Some(_destination), Some(source_port), Some(port), None) = (
        fields.next(),
        fields.next(),
        fields.next(),
        fields.next(),
        fields.next(),
    ) else {
        return Err(Error::Line(
            "expected two addresses and two ports, one space between them",
        ));
    };
    match is_number(source_port) && is_number(port) {
        true => Ok(()),
        false => Err(Error::Line("a port that is no plain number up to 65535")),
    }
}

/// Whether it is a port as it is written: digits, no zero before others.
fn is_number(digits: &[u8]) -> bool {
    let is_plain = match digits {
        [] => false,
        [b'0'] => true,
        [b'0', ..] => false,
        [..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
    };
    is_plain
        && std::str::from_utf8(digits)
            .ok()
            .is_some_and(|text| text.parse::<u16>().is_ok())
}
