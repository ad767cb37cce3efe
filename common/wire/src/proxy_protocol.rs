//! PROXY protocol: how a proxy tells the next hop, before the first byte of a connection, whom it speaks for.
//!
//! In: the first bytes of a connection, as many as have come. Out: [`Header`], or how many more bytes it takes; the
//! bytes of a header. Never: guesses: what is no header is an error, and whether there may be one is for the caller to know;
//! trust (a peer writes what it likes).
//!
//! Versions 1 and 2 by the crate `proxy-header`. Here: where a header ends, bounds, and what the crate lets pass
//! although the specification does not. The checksum of version 2 (`PP2_TYPE_CRC32C`) is not looked at, which the specification
//! leaves to the receiver.
//!
//! Source: "The PROXY protocol, versions 1 & 2", HAProxy.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use proxy_header::{ParseConfig, ProxiedAddress, ProxyHeader, Tlv};

mod version1;

/// What every header of version 1 begins with.
pub const SIGNATURE_V1: &[u8] = b"PROXY ";
/// What every header of version 2 begins with.
pub const SIGNATURE_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The most bytes of a header of version 1, its CRLF included. Source: §2.1.
pub const MAX_V1_BYTES: usize = 107;
/// The most bytes of a header of version 2 that are read. Reason: addresses and what load balancers add (names, TLS, a
/// certificate's subject) take a few hundred; the 64 KiB that the field allows are for nobody but an attacker.
pub const MAX_V2_BYTES: usize = 4096;
/// The TLV in which a ztunnel writes the certified identity of the client. Source: Istio ztunnel, application tunnels.
pub const TLV_IDENTITY: u8 = 0xD0;

/// Bytes of version 2 that say how long the rest is.
const V2_FIXED: usize = 16;

/// Which version is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// Text.
    V1,
    /// Binary.
    V2,
}

/// The two ends of a connection that is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Addresses {
    /// The client.
    pub source: SocketAddr,
    /// What the client is connected to.
    pub destination: SocketAddr,
}

/// What a header says. **Shape:** IPv4 addresses are never in their IPv6 form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// For whom the peer speaks; `None`: for itself (`LOCAL`), or it does not know (`UNKNOWN`, unspecified).
    pub addresses: Option<Addresses>,
    /// How many bytes the header has. What follows are the connection's own.
    pub length: usize,
}

/// How far the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// They begin with a whole header.
    Whole(Header),
    /// They may become one, with at least so many more. **Shape:** not 0.
    More(usize),
}

/// Whether bytes begin as a header does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// They do not, whatever comes.
    Absent,
    /// There are too few of them to tell.
    Possible,
    /// They do.
    Present,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// They do not begin as one.
    #[error("no PROXY header: expected one of version 1 or 2 before anything else")]
    Absent,
    /// A line of version 1 without an end.
    #[error("PROXY header: no end of line within {MAX_V1_BYTES} bytes")]
    Endless,
    /// A line of version 1 that is not as it should be.
    #[error("PROXY header: {0}")]
    Line(&'static str),
    /// A version, command, address family or transport of version 2 that there is not, or not for TCP.
    #[error("PROXY header: {field} is {found:#04x}, expected {expected}")]
    Byte {
        /// Which.
        field: &'static str,
        /// What is there.
        found: u8,
        /// What may be there.
        expected: &'static str,
    },
    /// More than is read.
    #[error("PROXY header: it has {found} bytes, at most {MAX_V2_BYTES} are read")]
    TooLong {
        /// How many.
        found: usize,
    },
    /// Addresses or TLVs do not fit into the length that is said.
    #[error("PROXY header: its addresses or TLVs do not fit into its length")]
    Malformed,
}

/// Why a header cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PROXY header: TLVs are longer than {} bytes", u16::MAX)]
pub struct TlvsTooLong;

/// Whether `bytes` begin as a header does.
#[must_use]
pub fn beginning(bytes: &[u8]) -> Beginning {
    let of = |signature: &[u8]| {
        let common = signature.len().min(bytes.len());
        if signature.get(..common) != bytes.get(..common) {
            Beginning::Absent
        } else if common == signature.len() {
            Beginning::Present
        } else {
            Beginning::Possible
        }
    };
    match (of(SIGNATURE_V1), of(SIGNATURE_V2)) {
        (Beginning::Present, _) | (_, Beginning::Present) => Beginning::Present,
        (Beginning::Possible, _) | (_, Beginning::Possible) => Beginning::Possible,
        (Beginning::Absent, Beginning::Absent) => Beginning::Absent,
    }
}

/// Reads a header from the first bytes of a connection.
///
/// # Errors
/// When they are no header, and will not become one.
pub fn read(bytes: &[u8]) -> Result<Read, Error> {
    match beginning(bytes) {
        Beginning::Absent => Err(Error::Absent),
        Beginning::Possible => Ok(Read::More(1)),
        Beginning::Present if bytes.starts_with(SIGNATURE_V1) => version1::read(bytes),
        Beginning::Present => read_v2(bytes),
    }
}

fn read_v2(bytes: &[u8]) -> Result<Read, Error> {
    let Some(&[.., version_and_command, family, high, low]) = bytes
        .first_chunk::<V2_FIXED>()
        .map(<[u8; V2_FIXED]>::as_slice)
    else {
        return Ok(Read::More(V2_FIXED.saturating_sub(bytes.len()).max(1)));
    };
    let length = V2_FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_V2_BYTES {
        return Err(Error::TooLong { found: length });
    }
    let is_local = match version_and_command {
        0x20 => true,
        0x21 => false,
        found => {
            return Err(Error::Byte {
                field: "version and command",
                found,
                expected: "0x20 (local) or 0x21 (proxy)",
            });
        }
    };
    // A peer that speaks for itself may leave anything there (§2.2).
    if !is_local && !matches!(family, 0x00 | 0x11 | 0x21) {
        return Err(Error::Byte {
            field: "address family and transport",
            found: family,
            expected: "0x11 (TCP over IPv4), 0x21 (TCP over IPv6) or 0x00 (unspecified)",
        });
    }
    let Some(whole) = bytes.get(..length) else {
        return Ok(Read::More(length.saturating_sub(bytes.len())));
    };
    let addresses = match is_local {
        true => None,
        false => decode(whole)?,
    };
    Ok(Read::Whole(Header { addresses, length }))
}

/// What one whole header says.
fn decode(whole: &[u8]) -> Result<Option<Addresses>, Error> {
    let config = ParseConfig {
        include_tlvs: true,
        ..ParseConfig::default()
    };
    let (header, length) = ProxyHeader::parse(whole, config).map_err(|_| Error::Malformed)?;
    if length != whole.len() || header.tlvs().any(|tlv| tlv.is_err()) {
        return Err(Error::Malformed);
    }
    Ok(header.proxied_address().map(|proxied| Addresses {
        source: canonical(proxied.source),
        destination: canonical(proxied.destination),
    }))
}

/// The bytes of a header of version 1. Addresses of two families are both written as IPv6.
#[must_use]
pub fn v1(addresses: &Addresses) -> Bytes {
    let Addresses {
        source,
        destination,
    } = addresses.of_one_family();
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    Bytes::from(format!(
        "PROXY {family} {} {} {} {}\r\n",
        source.ip(),
        destination.ip(),
        source.port(),
        destination.port(),
    ))
}

/// The bytes of a header of a connection on which the sender speaks for itself: `LOCAL`, and `UNKNOWN` in version 1.
#[must_use]
pub fn local(version: Version) -> Bytes {
    Bytes::from_static(match version {
        Version::V1 => b"PROXY UNKNOWN\r\n",
        Version::V2 => b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    })
}

/// The bytes of a header of version 2, with TLVs of ours: type and value. Addresses of two families are both written as IPv6.
///
/// # Errors
/// When the TLVs are longer than the header can say.
pub fn v2(addresses: &Addresses, tlvs: &[(u8, &[u8])]) -> Result<Bytes, TlvsTooLong> {
    let Addresses {
        source,
        destination,
    } = addresses.of_one_family();
    let mut header = ProxyHeader::with_address(ProxiedAddress::stream(source, destination));
    for (kind, value) in tlvs {
        if u16::try_from(value.len()).is_err() {
            return Err(TlvsTooLong);
        }
        header.append_tlv(Tlv::Custom(*kind, (*value).into()));
    }
    let mut bytes = Vec::with_capacity(MAX_V1_BYTES);
    header.encode_v2(&mut bytes).map_err(|_| TlvsTooLong)?;
    Ok(Bytes::from(bytes))
}

impl Addresses {
    /// The bytes of a header without TLVs.
    #[must_use]
    pub fn header(&self, version: Version) -> Bytes {
        match version {
            Version::V1 => v1(self),
            // Nothing of it can be too long.
            Version::V2 => v2(self, &[]).unwrap_or_default(),
        }
    }

    /// As a header can say them: canonical where both are of one family, else both as IPv6.
    fn of_one_family(&self) -> Self {
        let source = canonical(self.source);
        let destination = canonical(self.destination);
        if source.is_ipv4() == destination.is_ipv4() {
            return Self {
                source,
                destination,
            };
        }
        Self {
            source: mapped(source),
            destination: mapped(destination),
        }
    }
}

/// An address without a scope, and IPv4 as IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn mapped(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    SocketAddr::new(ip.into(), address.port())
}

#[cfg(test)]
mod tests;
