//! Scalars of workload xDS, each validated where it stands.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU16,
};

use super::error::{Fault, quoted};

/// The longest text: more than any name of Kubernetes, and fit for a metric's label.
const MAX_TEXT_BYTES: usize = 1024;
/// The longest trust domain. Source: SPIFFE-ID §2.1.
const MAX_TRUST_DOMAIN_BYTES: usize = 255;
/// The longest hostname. Source: RFC 1035 §2.3.4, in text form.
const MAX_HOSTNAME_BYTES: usize = 253;

const PORT: &str = "a port from 1 to 65535";
const ADDRESS: &str = "an address of 4 or 16 bytes";

/// Text for people and metrics, perhaps empty.
pub(super) fn label<'t>(field: &str, text: &'t str) -> Result<&'t str, Fault> {
    if text.len() <= MAX_TEXT_BYTES && !text.chars().any(char::is_control) {
        Ok(text)
    } else {
        let expected = "at most 1024 bytes of text without control characters";
        Err(Fault::text(field, text, expected))
    }
}

/// Text that names something.
pub(super) fn name<'t>(field: &str, text: &'t str) -> Result<&'t str, Fault> {
    if text.is_empty() {
        return Err(Fault::text(field, text, "a name"));
    }
    label(field, text)
}

/// A part of a SPIFFE ID's path, perhaps empty. Source: SPIFFE-ID §2.2.
pub(super) fn segment<'t>(field: &str, text: &'t str) -> Result<&'t str, Fault> {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if text.len() <= MAX_TEXT_BYTES && text.chars().all(letter) && text != "." && text != ".." {
        Ok(text)
    } else {
        let expected = "letters, digits, hyphens, dots and underscores";
        Err(Fault::text(field, text, expected))
    }
}

/// A part of a SPIFFE ID's path that must be there.
pub(super) fn required_segment<'t>(field: &str, text: &'t str) -> Result<&'t str, Fault> {
    if text.is_empty() {
        return Err(Fault::text(field, text, "a name"));
    }
    segment(field, text)
}

/// Source: SPIFFE-ID §2.1. Empty is the default.
pub(super) fn trust_domain<'t>(field: &str, text: &'t str) -> Result<&'t str, Fault> {
    let letter =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    match text {
        "" => Ok("cluster.local"),
        text if text.len() <= MAX_TRUST_DOMAIN_BYTES && text.chars().all(letter) => Ok(text),
        text => {
            let expected = "lower-case letters, digits, hyphens, dots and underscores";
            Err(Fault::text(field, text, expected))
        }
    }
}

/// A network's name, perhaps empty. A slash would make `<network>/<ip>` ambiguous.
pub(super) fn network<'t>(field: &str, text: &'t str) -> Result<&'t str, Fault> {
    if text.contains('/') {
        return Err(Fault::text(field, text, "a network without slashes"));
    }
    label(field, text)
}

/// A hostname in lower case: DNS knows no case.
pub(super) fn hostname(field: &str, text: &str) -> Result<String, Fault> {
    // The root of DNS, which is meant in any case.
    let text = text.strip_suffix('.').unwrap_or(text);
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let labels = text.strip_prefix("*.").unwrap_or(text);
    let valid = text.len() <= MAX_HOSTNAME_BYTES
        && labels.bytes().all(letter)
        && labels.split('.').all(|label| !label.is_empty());
    if valid {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(Fault::text(field, text, "a fully qualified hostname"))
    }
}

/// `<namespace>/<hostname>`, the hostname in lower case.
pub(super) fn namespaced_hostname<'t>(
    field: &str,
    text: &'t str,
) -> Result<(&'t str, String), Fault> {
    let Some((namespace, host)) = text.split_once('/') else {
        return Err(Fault::text(field, text, "<namespace>/<hostname>"));
    };
    Ok((required_segment(field, namespace)?, hostname(field, host)?))
}

/// `<namespace>/<name>` of a policy.
pub(super) fn policy<'t>(field: &str, text: &'t str) -> Result<(&'t str, &'t str), Fault> {
    match text.split_once('/') {
        Some((namespace, policy)) if !namespace.is_empty() && !policy.is_empty() => {
            Ok((label(field, namespace)?, label(field, policy)?))
        }
        Some(_) | None => Err(Fault::text(field, text, "<namespace>/<name> of a policy")),
    }
}

/// An address as bytes. One of IPv4 in the clothes of IPv6 is what it is: no socket shows it otherwise.
pub(super) fn ip(field: &str, bytes: &[u8]) -> Result<IpAddr, Fault> {
    raw_ip(field, bytes).map(|ip| ip.to_canonical())
}

/// An address as bytes, as it was written.
pub(super) fn raw_ip(field: &str, bytes: &[u8]) -> Result<IpAddr, Fault> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Ok(Ipv4Addr::from(bytes).into());
    }
    match <[u8; 16]>::try_from(bytes) {
        Ok(bytes) => Ok(Ipv6Addr::from(bytes).into()),
        Err(_) => Err(Fault::new(field, format!("{} bytes", bytes.len()), ADDRESS)),
    }
}

/// A port that must be there.
pub(super) fn port(field: &str, number: u32) -> Result<NonZeroU16, Fault> {
    u16::try_from(number)
        .ok()
        .and_then(NonZeroU16::new)
        .ok_or_else(|| Fault::new(field, number.to_string(), PORT))
}

/// A port, or 0 for none.
pub(super) fn optional_port(field: &str, number: u32) -> Result<Option<NonZeroU16>, Fault> {
    u16::try_from(number)
        .map(NonZeroU16::new)
        .map_err(|_| Fault::new(field, number.to_string(), "a port from 0 to 65535"))
}

/// A number of an enum that must not be guessed.
pub(super) fn choice<T: TryFrom<i32>>(
    field: &str,
    number: i32,
    expected: &'static str,
) -> Result<T, Fault> {
    T::try_from(number).map_err(|_| Fault::new(field, number.to_string(), expected))
}

/// The path of a map's entry.
pub(super) fn entry(field: &str, key: &str) -> String {
    format!("{field}[{}]", quoted(key))
}
