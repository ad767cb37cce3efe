//! Reading certificates: names, times, serial numbers.
//!
//! In: DER of a peer or of an authority. Out: owned values. Never: decides whether a chain is believed.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mesh::SpiffeId;
use rustls_pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, time::ASN1Time};

use crate::{
    crl::Chain,
    refusal::{PeerRefusal, cut, list},
};

/// The context tag of a `uniformResourceIdentifier`. Source: RFC 5280 §4.2.1.6.
const URI_TAG: u32 = 6;

/// Who a peer proved to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Its identity.
    pub id: SpiffeId,
    /// When its certificate ends; a connection may outlive it.
    pub not_after: SystemTime,
    /// Its chain, for [`Store::revocation`](crate::Store::revocation). Shared by all clones.
    chain: Arc<Chain>,
}

impl PeerCertificate {
    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }
}

/// The identity in a chain that a handshake has verified; parse it once and keep it for the connection.
///
/// # Errors
/// No certificate, one that cannot be read, or a leaf without exactly one SPIFFE id of a workload.
pub fn peer_identity(certs: &[CertificateDer<'_>]) -> Result<PeerCertificate, PeerRefusal> {
    let leaf = certs.first().ok_or(PeerRefusal::NoCertificate)?;
    let parsed = parse(leaf)?;
    let id = sole_uri_san(&parsed)?
        .parse()
        .map_err(PeerRefusal::NotSpiffe)?;
    Ok(PeerCertificate {
        id,
        not_after: wall(parsed.validity().not_after),
        chain: Arc::new(Chain::read_what_can_be_read(certs)),
    })
}

/// Reads one certificate and nothing but one certificate.
pub(crate) fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, PeerRefusal> {
    match x509_parser::parse_x509_certificate(der.as_ref()) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(PeerRefusal::Malformed {
            problem: "bytes after its end",
        }),
        Err(_) => Err(PeerRefusal::Malformed {
            problem: "not an X.509 certificate",
        }),
    }
}

/// The one URI SAN of a certificate. SANs of other kinds are no identity and are not looked at.
///
/// Source: X.509-SVID §2: exactly one URI SAN.
pub(crate) fn sole_uri_san<'a>(certificate: &X509Certificate<'a>) -> Result<&'a str, PeerRefusal> {
    let malformed = PeerRefusal::Malformed {
        problem: "subjectAltName",
    };
    let extension = certificate
        .subject_alternative_name()
        .map_err(|_| malformed.clone())?;
    let names = extension
        .as_ref()
        .map_or(&[][..], |extension| &extension.value.general_names);
    let mut uris = Vec::new();
    for name in names {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            // An unreadable URI is still a URI: it must not hide behind a good one.
            GeneralName::Invalid(tag, _) if tag.0 == URI_TAG => return Err(malformed),
            GeneralName::OtherName(..)
            | GeneralName::RFC822Name(_)
            | GeneralName::DNSName(_)
            | GeneralName::X400Address(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EDIPartyName(_)
            | GeneralName::IPAddress(_)
            | GeneralName::RegisteredID(_)
            | GeneralName::Invalid(..) => {}
        }
    }
    let found = || list(names.iter().map(ToString::to_string));
    match uris.as_slice() {
        [uri] => Ok(uri),
        [] => Err(PeerRefusal::NoUriSan { found: found() }),
        several => Err(PeerRefusal::SeveralUriSans {
            count: several.len(),
            found: found(),
        }),
    }
}

/// The issuer that a certificate names, for a message.
pub(crate) fn issuer(certificate: &X509Certificate<'_>) -> String {
    cut(&certificate.issuer().to_string())
}

/// The subject of a certificate, for a message.
pub(crate) fn subject(certificate: &X509Certificate<'_>) -> String {
    cut(&certificate.subject().to_string())
}

/// A certificate's time as a wall time; a time that the system cannot hold becomes 1970.
#[must_use]
pub fn wall(time: ASN1Time) -> SystemTime {
    let seconds = Duration::from_secs(time.timestamp().unsigned_abs());
    let wall = if time.timestamp() >= 0 {
        UNIX_EPOCH.checked_add(seconds)
    } else {
        UNIX_EPOCH.checked_sub(seconds)
    };
    wall.unwrap_or(UNIX_EPOCH)
}

/// A wall time as a certificate's time, whole seconds; `None` if the calendar ends before it.
#[must_use]
pub fn asn1(time: SystemTime) -> Option<ASN1Time> {
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    ASN1Time::from_timestamp(i64::try_from(seconds).ok()?).ok()
}
