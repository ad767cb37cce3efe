//! Why a peer's certificate was refused, in words that are fit for a log line.

use std::{
    error,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jiff::{Timestamp, Unit};
use mesh::{SpiffeId, TrustDomain, spiffe::InvalidSpiffeId};
use rustls::{CertificateError, OtherError};

/// Why a peer's certificate was refused. Text that a peer chose is quoted, escaped and cut.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PeerRefusal {
    /// The peer showed no certificate.
    #[error("peer showed no certificate, expected a chain with one SPIFFE id")]
    NoCertificate,
    /// A certificate that cannot be read.
    #[error("peer certificate is malformed: {problem}")]
    Malformed {
        /// Which part.
        problem: &'static str,
    },
    /// More certificates than a path can hold.
    #[error("peer showed {count} certificates, expected at most {max}")]
    ChainTooLong {
        /// How many.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// Its time, or that of a certificate above it, is over.
    #[error("peer certificate expired at {}, now is {}", rfc3339(*not_after), rfc3339(*now))]
    Expired {
        /// The end of its validity.
        not_after: SystemTime,
        /// The time of the handshake.
        now: SystemTime,
    },
    /// Its time, or that of a certificate above it, is to come; often a wrong clock.
    #[error("peer certificate is not valid before {}, now is {}", rfc3339(*not_before), rfc3339(*now))]
    NotYetValid {
        /// The start of its validity.
        not_before: SystemTime,
        /// The time of the handshake.
        now: SystemTime,
    },
    /// No path to a root that we believe.
    #[error("peer certificate was issued by {issuer:?}, expected a chain to {roots}")]
    UnknownIssuer {
        /// The issuer that the leaf names.
        issuer: String,
        /// The subjects of our roots.
        roots: String,
    },
    /// The chain is refused for another reason (wrong purpose, bad signature, a CA used as a leaf, ...).
    #[error("peer certificate chain is refused: {0}")]
    Chain(rustls::Error),
    /// Its authority has taken it, or a certificate above it, back. Source: RFC 5280 §5.
    #[error("certificate {serial} of {issuer:?} is revoked by a CRL")]
    Revoked {
        /// The serial number of the revoked certificate, hexadecimal.
        serial: String,
        /// The authority that issued and revoked it.
        issuer: String,
    },
    /// No URI SAN at all.
    #[error("peer certificate has no URI SAN, expected exactly one; its SANs are {found:?}")]
    NoUriSan {
        /// The other names in it.
        found: String,
    },
    /// More than one URI SAN: which of them it is cannot be said. Source: X.509-SVID §2.
    #[error("peer certificate has {count} URI SANs, expected exactly one; its SANs are {found:?}")]
    SeveralUriSans {
        /// How many.
        count: usize,
        /// All names in it.
        found: String,
    },
    /// The URI SAN is not a workload's.
    #[error("peer certificate's URI SAN is not a workload identity: {0}")]
    NotSpiffe(InvalidSpiffeId),
    /// A workload of somebody else's mesh.
    #[error("peer is {found}, expected an identity of the trust domain {expected}")]
    WrongTrustDomain {
        /// Ours.
        expected: TrustDomain,
        /// The peer.
        found: SpiffeId,
    },
    /// A member of the mesh, but not the one that was called.
    #[error("peer is {found:?}, expected {expected}")]
    Unexpected {
        /// The acceptable SANs.
        expected: String,
        /// The peer's SAN.
        found: String,
    },
}

impl PeerRefusal {
    /// The refusal inside an error of a TLS handshake, if that is what ended it.
    #[must_use]
    pub fn from_tls(error: &rustls::Error) -> Option<Self> {
        if let rustls::Error::NoCertificatesPresented = error {
            return Some(Self::NoCertificate);
        }
        let rustls::Error::InvalidCertificate(certificate) = error else {
            return None;
        };
        if let CertificateError::ExpiredContext { time, not_after } = certificate {
            return Some(Self::Expired {
                not_after: unix(not_after.as_secs()),
                now: unix(time.as_secs()),
            });
        }
        if let CertificateError::NotValidYetContext { time, not_before } = certificate {
            return Some(Self::NotYetValid {
                not_before: unix(not_before.as_secs()),
                now: unix(time.as_secs()),
            });
        }
        if let CertificateError::Other(OtherError(other)) = certificate {
            let other: &(dyn error::Error + 'static) = other.as_ref();
            if let Some(refusal) = other.downcast_ref::<Self>() {
                return Some(refusal.clone());
            }
        }
        Some(Self::Chain(error.clone()))
    }
}

/// The refusal travels inside the TLS error and comes out again by [`PeerRefusal::from_tls`].
impl From<PeerRefusal> for rustls::Error {
    fn from(refusal: PeerRefusal) -> Self {
        match refusal {
            PeerRefusal::Chain(error) => error,
            PeerRefusal::NoCertificate => Self::NoCertificatesPresented,
            PeerRefusal::NoUriSan { .. }
            | PeerRefusal::Malformed { .. }
            | PeerRefusal::ChainTooLong { .. }
            | PeerRefusal::Expired { .. }
            | PeerRefusal::NotYetValid { .. }
            | PeerRefusal::UnknownIssuer { .. }
            | PeerRefusal::Revoked { .. }
            | PeerRefusal::SeveralUriSans { .. }
            | PeerRefusal::NotSpiffe(_)
            | PeerRefusal::WrongTrustDomain { .. }
            | PeerRefusal::Unexpected { .. } => {
                Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
            }
        }
    }
}

fn unix(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A time in UTC with whole seconds, for example `2026-11-22T04:59:02Z`. Source: RFC 3339.
///
/// A time beyond the calendar (X.509's "no end" of the year 9999 is) is written as seconds since 1970.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    match Timestamp::try_from(time).and_then(|t| t.round(Unit::Second)) {
        Ok(timestamp) => timestamp.to_string(),
        Err(_) => match time.duration_since(UNIX_EPOCH) {
            Ok(since) => format!("@{}", since.as_secs()),
            Err(before) => format!("@-{}", before.duration().as_secs()),
        },
    }
}

/// The longest piece of a peer's text in a message.
const MAX_QUOTED: usize = 200;

/// Text of a peer, cut to a length that is fit for a log line.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(MAX_QUOTED).collect()
}

/// Names with commas between them, cut to a length that is fit for a log line.
pub(crate) fn list<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for name in names {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(name.as_ref());
        if text.len() > MAX_QUOTED {
            return cut(&text) + "...";
        }
    }
    text
}
