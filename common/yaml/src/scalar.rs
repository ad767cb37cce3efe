//! Texts, numbers, addresses and choices, each validated where it stands.
//!
//! In: a [`Cursor`] at a scalar. Out: its value, or an error that says what was expected.
//! Never: cuts, trims or guesses.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU16,
    str::FromStr,
};

use ipnet::IpNet;

use crate::{cursor::Cursor, error::Error, nearest::fold};

/// The longest name of a Kubernetes object, and the longest hostname.
pub const MAX_NAME_BYTES: usize = 253;
/// The longest label of a hostname, and the longest namespace. Source: RFC 1123 §2.1.
pub const MAX_LABEL_BYTES: usize = 63;

const PORT: &str = "a port from 1 to 65535";
const BOOLEAN: &str = "true or false";
const HOST: &str = "the IP address of one host, such as 10.0.0.1 or fd00::1";
const RANGE: &str = "an IP address or range, such as 10.0.0.1, 10.0.0.0/8 or fd00::/64";

/// The text of a scalar for which `valid` holds.
///
/// # Errors
/// It is no text, or not a valid one.
pub fn checked<'t>(
    at: &Cursor<'t>,
    expected: &'static str,
    valid: impl FnOnce(&str) -> bool,
) -> Result<&'t str, Error> {
    let text = at.text(expected)?;
    if valid(text) {
        Ok(text)
    } else {
        Err(at.unexpected(expected))
    }
}

/// Any text; it may be empty.
///
/// # Errors
/// It is a list, a mapping or nothing.
pub fn text(at: &Cursor<'_>) -> Result<String, Error> {
    at.text("a text").map(str::to_owned)
}

/// `true` or `false`, and none of YAML's other spellings.
///
/// # Errors
/// It is something else.
pub fn boolean(at: &Cursor<'_>) -> Result<bool, Error> {
    match at.text(BOOLEAN)? {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(at.unexpected(BOOLEAN)),
    }
}

/// A number of decimal digits.
///
/// # Errors
/// It is none, or more than the type holds.
pub fn number<T: FromStr>(at: &Cursor<'_>, expected: &'static str) -> Result<T, Error> {
    parse_number(at.text(expected)?).ok_or_else(|| at.unexpected(expected))
}

/// A port.
///
/// # Errors
/// It is no number from 1 to 65535.
pub fn port(at: &Cursor<'_>) -> Result<NonZeroU16, Error> {
    parse_number(at.text(PORT)?)
        .and_then(NonZeroU16::new)
        .ok_or_else(|| at.unexpected(PORT))
}

/// The address of one host: not unspecified, not multicast, not IPv4 in IPv6 clothes.
///
/// # Errors
/// It is something else.
pub fn host(at: &Cursor<'_>) -> Result<IpAddr, Error> {
    at.text(HOST)?
        .parse()
        .ok()
        .filter(|ip| is_host(*ip))
        .ok_or_else(|| at.unexpected(HOST))
}

/// An address or a range of them, without host bits; an address alone is the range of itself.
///
/// # Errors
/// It is something else.
pub fn range(at: &Cursor<'_>) -> Result<IpNet, Error> {
    parse_range(at.text(RANGE)?).ok_or_else(|| at.unexpected(RANGE))
}

/// One of a closed set of words. Case and underscores play no part.
///
/// # Errors
/// It is none of them.
pub fn choice<T: Copy>(at: &Cursor<'_>, words: &[(&'static str, T)]) -> Result<T, Error> {
    let expected = || {
        words
            .iter()
            .map(|(word, _)| *word)
            .collect::<Vec<_>>()
            .join(" or ")
    };
    let text = fold(at.text(expected())?);
    words
        .iter()
        .find(|(word, _)| fold(word) == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| at.unexpected(expected()))
}

/// One of a closed set of words, spelt just so.
///
/// # Errors
/// It is none of them.
pub fn word<T: Copy>(at: &Cursor<'_>, words: &[(&'static str, T)]) -> Result<T, Error> {
    let expected = || {
        words
            .iter()
            .map(|(word, _)| *word)
            .collect::<Vec<_>>()
            .join(" or ")
    };
    let text = at.text(expected())?;
    words
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| at.unexpected(expected()))
}

/// A number of decimal digits: no sign, no leading zero, since YAML dialects disagree on what 010 is.
#[must_use]
pub fn parse_number<T: FromStr>(text: &str) -> Option<T> {
    let plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// An address or a range of them, without host bits; an address alone is the range of itself.
#[must_use]
pub fn parse_range(text: &str) -> Option<IpNet> {
    let parsed = if text.contains('/') {
        text.parse().ok().map(|range: IpNet| range.trunc())
    } else {
        text.parse::<IpAddr>().ok().map(IpNet::from)
    };
    parsed.filter(|range| !is_mapped(range.addr()))
}

/// Whether `text` is a label: lower-case letters, digits and hyphens inside. Source: RFC 1123 §2.1.
#[must_use]
pub fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_LABEL_BYTES).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether it is the address of one host that a socket would show in this form.
#[must_use]
pub fn is_host(ip: IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast() && !is_mapped(ip)
}

/// Whether it is an IPv4 address in IPv6 clothes, which would never equal the address that a socket shows.
#[must_use]
pub fn is_mapped(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => Ipv6Addr::to_ipv4_mapped(&ip).is_some(),
    }
}

#[cfg(test)]
mod tests;
