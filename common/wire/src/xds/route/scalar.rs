//! Scalars of routes.

use std::{net::IpAddr, sync::Arc, time::Duration};

use ipnet::IpNet;

use super::super::error::Fault;

/// The longest path, header value or query value that a rule asks for or makes. Units: bytes. Reason: longer ones fit in no
/// request that a waypoint takes.
const MAX_TEXT_BYTES: usize = 16 << 10;

/// A duration; 0 is none.
pub(super) fn duration(us: u64) -> Option<Duration> {
    (us > 0).then(|| Duration::from_micros(us))
}

/// A status that a response may have.
pub(in crate::xds) fn status(field: &str, number: u32) -> Result<u16, Fault> {
    match u16::try_from(number) {
        Ok(status @ 200..=599) => Ok(status),
        Ok(_) | Err(_) => {
            let expected = "a status from 200 to 599";
            Err(Fault::new(field, number.to_string(), expected))
        }
    }
}

/// The status of a failure; 0 is 503.
pub(super) fn failure(field: &str, number: u32) -> Result<u16, Fault> {
    match number {
        0 => Ok(503),
        number => status(field, number),
    }
}

/// Any text that a request may hold: no control characters but a tab.
pub(in crate::xds) fn text(field: &str, text: &str) -> Result<Arc<str>, Fault> {
    if text.len() <= MAX_TEXT_BYTES && !text.chars().any(|c| c.is_control() && c != '\t') {
        Ok(text.into())
    } else {
        let expected = "at most 16384 bytes of text without control characters";
        Err(Fault::text(field, text, expected))
    }
}

/// What may stand in a request's target: visible ASCII without a fragment. Source: RFC 3986 §3.3.
pub(in crate::xds) fn target(field: &str, target: &str) -> Result<Arc<str>, Fault> {
    if target
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#')
    {
        text(field, target)
    } else {
        let expected = "letters of a path, others percent-encoded";
        Err(Fault::text(field, target, expected))
    }
}

/// A host, perhaps with a port. Source: RFC 3986 §3.2, without user information.
pub(super) fn authority(field: &str, authority: &str) -> Result<Arc<str>, Fault> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte);
    if !authority.is_empty() && authority.bytes().all(letter) {
        text(field, authority)
    } else {
        Err(Fault::text(field, authority, "a host, perhaps with a port"))
    }
}

/// A header's name, in lower case. Source: RFC 9110 §5.1. Those of `pseudo` are allowed beside.
pub(in crate::xds) fn header(field: &str, name: &str, pseudo: &[&str]) -> Result<Arc<str>, Fault> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let valid = pseudo.contains(&name) || (!name.is_empty() && name.bytes().all(letter));
    if valid {
        text(field, &name.to_ascii_lowercase())
    } else {
        Err(Fault::text(field, name, "the name of a header"))
    }
}

/// `address/length`, or an address alone.
pub(in crate::xds) fn subnet(field: &str, text: &str) -> Result<IpNet, Fault> {
    let parsed = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let subnet = parsed.map_err(|_| Fault::text(field, text, "an address or a subnet"))?;
    Ok(match subnet {
        // Addresses of connections are canonical; the range that is meant is one of IPv4.
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.network().to_ipv4_mapped() {
            Some(v4) => IpNet::new(v4.into(), v6.prefix_len() - 96).unwrap_or(subnet),
            None => subnet,
        },
        IpNet::V4(_) | IpNet::V6(_) => subnet,
    }
    .trunc())
}
