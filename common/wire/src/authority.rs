//! Where a tunnel is to lead: the `:authority` of a CONNECT request.
//!
//! In: the text of an `:authority`, or an address or name with a port.
//! Out: an [`Authority`]; what parses is written back as the same text in canonical form.
//! Never: name resolution, a lookup of what the address belongs to.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use bytes::Bytes;

/// The longest DNS name in text form. Source: RFC 1035 §2.3.4 (255 octets on the wire).
pub const MAX_DNS_NAME_BYTES: usize = 253;

/// The longest label of a DNS name. Source: RFC 1035 §2.3.4.
const MAX_LABEL_BYTES: usize = 63;

/// How much of a refused text goes into the error: fit for one log line.
const MAX_QUOTED_CHARS: usize = 200;

/// A fully qualified DNS name without the final dot, in lower case, at most
/// [`MAX_DNS_NAME_BYTES`]. Underscores are accepted in labels, wildcards are not, and the last label
/// is never a number: such a text is a mistyped IP address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DnsName(Box<str>);

/// The destination of a tunnel. The port is never 0 after parsing.
///
/// Source: RFC 9110 §9.3.6 (CONNECT names a host and a port, nothing else).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Authority {
    /// A pod or a service VIP. Never an IPv4-mapped IPv6 address, never with a zone or flow label.
    Address(SocketAddr),
    /// A service in another network.
    Hostname {
        /// The service's hostname.
        hostname: DnsName,
        /// The service's port.
        port: u16,
    },
}

/// Why a text is not an [`Authority`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?}: expected {expected}")]
pub struct InvalidAuthority {
    /// The text, cut to a length that is fit for a log line.
    pub text: String,
    /// What belongs there.
    pub expected: &'static str,
}

/// Why a text is not a [`DnsName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?}: expected a DNS name of at most {MAX_DNS_NAME_BYTES} bytes")]
pub struct InvalidDnsName {
    /// The text, cut to a length that is fit for a log line.
    pub text: String,
}

impl DnsName {
    /// The name, lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DnsName {
    type Err = InvalidDnsName;

    fn from_str(text: &str) -> Result<Self, InvalidDnsName> {
        if !is_dns_name(text) {
            return Err(InvalidDnsName { text: quoted(text) });
        }
        Ok(Self(text.to_ascii_lowercase().into_boxed_str()))
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_dns_name(text: &str) -> bool {
    let label_ok = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    text.len() <= MAX_DNS_NAME_BYTES
        && text.split('.').all(label_ok)
        && text.rsplit('.').next().is_some_and(|last| !is_number(last))
}

/// Whether a name's last label makes other software read the name as an IPv4 address.
/// Source: WHATWG URL, "ends in a number".
fn is_number(label: &str) -> bool {
    label.bytes().all(|b| b.is_ascii_digit())
        || label
            .strip_prefix("0x")
            .or_else(|| label.strip_prefix("0X"))
            .is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

impl Authority {
    /// The port of either form.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::Hostname { port, .. } => *port,
        }
    }

    /// The authority as the URI of a CONNECT request, in one allocation.
    ///
    /// # Panics
    ///
    /// Never: every value of this type is written as a valid authority.
    #[must_use]
    pub fn to_uri(&self) -> http::Uri {
        let authority = http::uri::Authority::from_maybe_shared(Bytes::from(self.text()))
            .expect("an IP address or a DNS name, and a port, are an authority");
        http::Uri::from(authority)
    }

    /// The text of the authority, in a buffer that never has to grow.
    fn text(&self) -> String {
        use std::fmt::Write as _;

        /// `[`, the longest IPv6 address, `]:65535`.
        const MAX_ADDRESS_BYTES: usize = 47;
        let capacity = match self {
            Self::Address(_) => MAX_ADDRESS_BYTES,
            Self::Hostname { hostname, .. } => hostname.0.len() + ":65535".len(),
        };
        let mut text = String::with_capacity(capacity);
        // Writing into a String has no way to fail.
        let written = write!(text, "{self}");
        debug_assert!(written.is_ok());
        text
    }
}

impl From<SocketAddr> for Authority {
    /// The authority of an address, without a zone and with IPv4 as IPv4.
    fn from(address: SocketAddr) -> Self {
        Self::Address(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }
}

impl FromStr for Authority {
    type Err = InvalidAuthority;

    fn from_str(text: &str) -> Result<Self, InvalidAuthority> {
        let invalid = |expected| InvalidAuthority {
            text: quoted(text),
            expected,
        };
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(invalid("ip:port, [ipv6]:port or hostname:port"));
        };
        let port = parse_port(port).ok_or_else(|| invalid("a port from 1 to 65535"))?;
        if let Some(ip) = parse_host_address(host) {
            return Ok(Self::Address(SocketAddr::new(ip, port)));
        }
        if host.contains(['[', ']', ':']) {
            return Err(invalid("an IPv6 address in brackets, without a zone"));
        }
        match host.parse() {
            Ok(hostname) => Ok(Self::Hostname { hostname, port }),
            Err(InvalidDnsName { .. }) => {
                Err(invalid("an IP address or a DNS name before the port"))
            }
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => fmt::Display::fmt(&PlainAddress(*address), f),
            Self::Hostname { hostname, port } => write!(f, "{hostname}:{port}"),
        }
    }
}

/// An address as peers read it: IPv4-mapped as IPv4, and without the zone that [`SocketAddr`] writes.
pub(crate) struct PlainAddress(pub(crate) SocketAddr);

impl fmt::Display for PlainAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.0.port();
        match self.0.ip().to_canonical() {
            IpAddr::V4(ip) => write!(f, "{ip}:{port}"),
            IpAddr::V6(ip) => write!(f, "[{ip}]:{port}"),
        }
    }
}

/// Reads `ipv4:port` or `[ipv6]:port`. An IPv4-mapped address becomes the IPv4 address.
pub(crate) fn parse_address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.rsplit_once(':')?;
    Some(SocketAddr::new(
        parse_host_address(host)?,
        parse_port(port)?,
    ))
}

fn parse_host_address(host: &str) -> Option<IpAddr> {
    match host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(inner) => Some(IpAddr::V6(inner.parse::<Ipv6Addr>().ok()?).to_canonical()),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// Reads 1 to 65535 in the one form there is: digits, no sign, no leading zero.
fn parse_port(text: &str) -> Option<u16> {
    // `u16::from_str` accepts a plus sign, and zeros in front.
    if !text.starts_with(|c: char| matches!(c, '1'..='9')) {
        return None;
    }
    text.parse().ok()
}

fn quoted(text: &str) -> String {
    text.chars().take(MAX_QUOTED_CHARS).collect()
}

#[cfg(test)]
mod tests;
