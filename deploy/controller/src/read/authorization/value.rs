//! Values of rules: texts with a wildcard at one end, accounts, trust domains, addresses, ports.

use ipnet::IpNet;
use yaml::{
    Cursor, Error, Object,
    scalar::{checked, is_label, parse_number, range},
};

use crate::read::{field, name};

/// Source: Istio, validation of `serviceAccounts`.
const MAX_ACCOUNT_BYTES: usize = 320;

/// How one value of a list is read.
pub(super) type Read<T> = fn(&Cursor<'_>) -> Result<T, Error>;

/// A list of values that may be missing.
pub(super) fn list<T>(
    object: &Object<'_>,
    name: &'static str,
    read: Read<T>,
) -> Result<Vec<T>, Error> {
    field::list(object, name, "a list of values", read)
}

/// Any text but none.
pub(super) fn text(at: &Cursor<'_>) -> Result<String, Error> {
    checked(at, "a text that is not empty", |text| !text.is_empty()).map(str::to_owned)
}

/// A text with a wildcard at one end, or none.
pub(super) fn pattern(at: &Cursor<'_>) -> Result<String, Error> {
    let text = text(at)?;
    warn_of_wildcards(at, &text);
    Ok(text)
}

/// A principal: `<trust domain>/ns/<namespace>/sa/<service account>` with a wildcard at one end, or none.
pub(super) fn principal(at: &Cursor<'_>) -> Result<String, Error> {
    let expected = "a principal such as cluster.local/ns/default/sa/client";
    let text = checked(at, expected, |text| {
        !text.strip_prefix("spiffe://").unwrap_or(text).is_empty()
    })?;
    warn_of_wildcards(at, text);
    Ok(text.to_owned())
}

/// `name` or `namespace/name`, without wildcards.
pub(super) fn account(at: &Cursor<'_>) -> Result<String, Error> {
    let expected = "a service account as name or namespace/name, without wildcards";
    checked(at, expected, |text| {
        text.len() <= MAX_ACCOUNT_BYTES
            && match text.split_once('/') {
                Some((namespace, account)) => is_label(namespace) && name::is_subdomain(account),
                None => name::is_subdomain(text),
            }
    })
    .map(str::to_owned)
}

/// A trust domain with a wildcard at one end, or none.
pub(super) fn trust_domain(at: &Cursor<'_>) -> Result<String, Error> {
    let expected = "a trust domain such as cluster.local, in lower case, perhaps with * at its beginning or its end";
    checked(at, expected, |text| {
        let part = |text: &str| text.bytes().all(is_of_trust_domain);
        !text.is_empty()
            && match (text.strip_prefix('*'), text.strip_suffix('*')) {
                (Some(rest), _) | (None, Some(rest)) => part(rest),
                (None, None) => part(text),
            }
    })
    .map(str::to_owned)
}

/// Source: SPIFFE-ID §2.1.
fn is_of_trust_domain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
}

/// An address or a range.
pub(super) fn block(at: &Cursor<'_>) -> Result<IpNet, Error> {
    range(at)
}

/// A port; 0 is none, but Istio lets it pass.
pub(super) fn port(at: &Cursor<'_>) -> Result<u16, Error> {
    let expected = "a port up to 65535";
    parse_number(at.text(expected)?).ok_or_else(|| at.unexpected(expected))
}

/// A path, perhaps a template.
pub(super) fn path(at: &Cursor<'_>) -> Result<String, Error> {
    let expected = "a path, in a template of which only {*} and {**} are wildcards";
    checked(at, expected, |text| {
        let rest = text.replace("{**}", "").replace("{*}", "");
        let is_plain = rest.len() == text.len();
        !text.is_empty() && (is_plain || !rest.contains(['{', '}', '*']))
    })
    .map(str::to_owned)
}

/// Wildcards are only where they would be expected to be.
fn warn_of_wildcards(at: &Cursor<'_>, text: &str) {
    let inner = text.strip_prefix('*').or_else(|| text.strip_suffix('*'));
    if inner.unwrap_or(text).contains('*') {
        at.warn("* is a wildcard at the beginning or at the end only, and only once; elsewhere it stands for itself");
    }
}
