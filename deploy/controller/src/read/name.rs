//! Names, as Kubernetes and DNS allow them.
//!
//! Source: `k8s.io/apimachinery` validation rules (RFC 1123 names, qualified names, IANA service names).

use std::net::IpAddr;

use yaml::{
    Cursor, Error,
    scalar::{MAX_LABEL_BYTES, MAX_NAME_BYTES, checked, is_label},
};

/// The longest name of a container's port. Source: RFC 6335 §5.1.
const MAX_SERVICE_NAME_BYTES: usize = 15;

/// An RFC 1123 label.
pub(crate) fn label<'t>(at: &Cursor<'t>) -> Result<&'t str, Error> {
    let expected = "at most 63 lower-case letters, digits and hyphens, the latter only inside";
    checked(at, expected, is_label)
}

/// An RFC 1123 subdomain.
pub(crate) fn subdomain<'t>(at: &Cursor<'t>) -> Result<&'t str, Error> {
    let expected =
        "at most 253 lower-case letters, digits, hyphens and dots, the latter two only inside";
    checked(at, expected, is_subdomain)
}

/// The name of a container's port.
pub(crate) fn port_name<'t>(at: &Cursor<'t>) -> Result<&'t str, Error> {
    let expected =
        "at most 15 lower-case letters, digits and hyphens, at least one of them a letter";
    checked(at, expected, is_port_name)
}

/// A hostname, made [`canonical`]; DNS knows no case.
pub(crate) fn hostname(at: &Cursor<'_>) -> Result<String, Error> {
    let expected = "a hostname such as db.example.com";
    let text = canonical(at.text(expected)?);
    if is_hostname(&text) {
        Ok(text)
    } else {
        Err(at.unexpected(expected))
    }
}

/// A hostname, or `*.` and one, made [`canonical`].
pub(crate) fn wildcard_hostname(at: &Cursor<'_>) -> Result<String, Error> {
    let expected = "a hostname such as db.example.com or *.example.com";
    let text = canonical(at.text(expected)?);
    if is_hostname(text.strip_prefix("*.").unwrap_or(&text)) {
        Ok(text)
    } else {
        Err(at.unexpected(expected))
    }
}

pub(crate) fn is_subdomain(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES
        && text.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// A hostname as it is compared: in lower case, without the dot of the root, which names the same host.
pub(crate) fn canonical(hostname: &str) -> String {
    let hostname = hostname.strip_suffix('.').unwrap_or(hostname);
    hostname.to_ascii_lowercase()
}

/// As [`canonical`] makes it; underscores are in use although RFC 1123 has none.
pub(crate) fn is_hostname(text: &str) -> bool {
    let letter = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    };
    text.len() <= MAX_NAME_BYTES
        && text.split('.').all(|label| {
            (1..=MAX_LABEL_BYTES).contains(&label.len())
                && label.bytes().all(letter)
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
        // A name whose last label is a number is a mistyped address.
        && text
            .rsplit('.')
            .next()
            .is_some_and(|last| last.bytes().any(|byte| !byte.is_ascii_digit()))
        && text.parse::<IpAddr>().is_err()
}

/// `name` or `prefix/name` of a label or annotation.
pub(crate) fn is_qualified_name(text: &str) -> bool {
    let name = match text.split_once('/') {
        Some((prefix, name)) => {
            if !is_subdomain(prefix) {
                return false;
            }
            name
        }
        None => text,
    };
    !name.is_empty() && is_label_value(name)
}

/// The value of a label; it may be empty.
pub(crate) fn is_label_value(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_alphanumeric());
    text.len() <= MAX_LABEL_BYTES
        && text.bytes().all(inner)
        && ends(text.bytes().next())
        && ends(text.bytes().last())
}

pub(crate) fn is_port_name(text: &str) -> bool {
    is_label(text)
        && text.len() <= MAX_SERVICE_NAME_BYTES
        && !text.contains("--")
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
}
