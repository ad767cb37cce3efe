//! What a CRL needs to know of a chain: who issued which number, and who could have signed a list.
//!
//! Kept for every open connection, so it holds no certificate: about 100 bytes for a leaf, and 200 to 700
//! more for each intermediate, by the size of its key.

use std::fmt;

use rustls_pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _, x509::X509Name};

use crate::{
    refusal::{PeerRefusal, cut},
    x509,
};

/// The most bytes of a serial number. Source: RFC 5280 §4.1.2.2.
const MAX_SERIAL: usize = 20;

/// A serial number; leading zeros do not count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Serial {
    length: u8,
    bytes: [u8; MAX_SERIAL],
}

impl Serial {
    /// `None` for one that is too long to be in a certificate.
    pub(crate) fn new(raw: &[u8]) -> Option<Self> {
        let start = raw.iter().position(|byte| *byte != 0).unwrap_or(raw.len());
        let digits = raw.get(start..)?;
        let mut bytes = [0; MAX_SERIAL];
        bytes.get_mut(..digits.len())?.copy_from_slice(digits);
        Some(Self {
            length: u8::try_from(digits.len()).ok()?,
            bytes,
        })
    }
}

/// Hexadecimal.
impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.length == 0 {
            return f.write_str("00");
        }
        for byte in self.bytes.iter().take(usize::from(self.length)) {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

/// One certificate of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// DER of its issuer's name.
    issuer: Box<[u8]>,
    pub(crate) serial: Serial,
}

impl Link {
    pub(crate) fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// For a message.
    pub(crate) fn issuer_name(&self) -> String {
        name(&self.issuer)
    }
}

/// Somebody whose signature on a CRL counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    /// DER of its name.
    subject: Box<[u8]>,
    /// DER of its `SubjectPublicKeyInfo`.
    key: Box<[u8]>,
}

impl Authority {
    pub(crate) fn new(certificate: &X509Certificate<'_>) -> Self {
        Self {
            subject: certificate.subject().as_raw().into(),
            key: certificate.public_key().raw.into(),
        }
    }

    pub(crate) fn subject(&self) -> &[u8] {
        &self.subject
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }
}

/// A chain, leaf first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    links: Box<[Link]>,
    /// Everything above the leaf.
    authorities: Box<[Authority]>,
}

impl Chain {
    /// Reads a chain that a handshake is about to believe.
    pub(crate) fn read(
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<Self, PeerRefusal> {
        let (mut links, mut authorities) = (Vec::new(), Vec::new());
        for (position, der) in std::iter::once(leaf).chain(intermediates).enumerate() {
            let certificate = x509::parse(der)?;
            links.push(link(&certificate).ok_or(PeerRefusal::Malformed {
                problem: "serial number of more than 20 bytes",
            })?);
            if position > 0 {
                authorities.push(Authority::new(&certificate));
            }
        }
        Ok(Self {
            links: links.into(),
            authorities: authorities.into(),
        })
    }

    /// Reads a chain that a handshake has believed: what cannot be read was no part of the path.
    pub(crate) fn read_what_can_be_read(certs: &[CertificateDer<'_>]) -> Self {
        let read: Vec<_> = certs
            .iter()
            .filter_map(|der| x509::parse(der).ok())
            .collect();
        Self {
            links: read.iter().filter_map(link).collect(),
            authorities: read.iter().skip(1).map(Authority::new).collect(),
        }
    }

    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    pub(crate) fn authorities(&self) -> &[Authority] {
        &self.authorities
    }
}

fn link(certificate: &X509Certificate<'_>) -> Option<Link> {
    Some(Link {
        issuer: certificate.issuer().as_raw().into(),
        serial: Serial::new(certificate.raw_serial())?,
    })
}

/// A name in DER for a message.
pub(super) fn name(der: &[u8]) -> String {
    X509Name::from_der(der).map_or_else(|_| String::new(), |(_, name)| cut(&name.to_string()))
}
