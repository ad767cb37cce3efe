//! One CRL: who issued it, which numbers it revokes, and who has signed it.
//!
//! In: DER, checked by webpki (version 2, no delta, no indirect lists, no unknown critical extensions).
//! Out: lookups. Never: trusts a list before somebody's signature on it was checked.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::SystemTime,
};

use rustls_pki_types::SubjectPublicKeyInfoDer;
use webpki::{BorrowedCertRevocationList, RawPublicKeyEntity};
use x509_parser::{prelude::FromDer as _, time::ASN1Time};

use super::{Authority, Serial, chain::name};
use crate::{der, tls, x509};

/// One list of revoked certificates.
pub(crate) struct RevocationList {
    /// DER of the issuer's name.
    issuer: Box<[u8]>,
    /// Sorted.
    serials: Box<[Serial]>,
    next_update: Option<SystemTime>,
    /// What is signed.
    signed: Box<[u8]>,
    /// The content of the `AlgorithmIdentifier`.
    algorithm: Box<[u8]>,
    signature: Box<[u8]>,
    /// Somebody whom we believe has signed it.
    is_authentic: AtomicBool,
    /// It was said that nobody has.
    is_doubted: AtomicBool,
    /// It was said that its time is over.
    is_called_overdue: AtomicBool,
}

/// Why a list cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadList {
    /// It is not a CRL as RFC 5280 wants it.
    #[error("not a CRL of version 2 that covers all certificates of its issuer: {0}")]
    Profile(webpki::Error),
    /// One of its parts is not where it belongs.
    #[error("its {0} cannot be read")]
    Part(&'static str),
}

impl RevocationList {
    /// Reads one list.
    pub(crate) fn parse(crl: &[u8]) -> Result<Self, BadList> {
        let checked = BorrowedCertRevocationList::from_der(crl).map_err(BadList::Profile)?;
        let mut serials = Vec::new();
        for revoked in &checked {
            let revoked = revoked.map_err(BadList::Profile)?;
            serials.push(Serial::new(revoked.serial_number).ok_or(BadList::Part("serial number"))?);
        }
        serials.sort_unstable();
        serials.dedup();
        let parts = Parts::read(crl).ok_or(BadList::Part("structure"))?;
        Ok(Self {
            issuer: parts.issuer.into(),
            serials: serials.into(),
            next_update: parts.next_update,
            signed: parts.signed.into(),
            algorithm: parts.algorithm.into(),
            signature: parts.signature.into(),
            is_authentic: AtomicBool::new(false),
            is_doubted: AtomicBool::new(false),
            is_called_overdue: AtomicBool::new(false),
        })
    }

    pub(crate) fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// For a message.
    pub(crate) fn issuer_name(&self) -> String {
        name(&self.issuer)
    }

    /// How many certificates it revokes.
    pub(crate) fn len(&self) -> usize {
        self.serials.len()
    }

    pub(crate) fn holds(&self, serial: &Serial) -> bool {
        self.serials.binary_search(serial).is_ok()
    }

    /// Whether both are the same list.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.signed == other.signed && self.signature == other.signature
    }

    /// When the next one was promised, if that time has passed.
    pub(crate) fn overdue(&self, now: SystemTime) -> Option<SystemTime> {
        self.next_update.filter(|next| *next <= now)
    }

    /// The same, to be said once.
    pub(crate) fn newly_overdue(&self, now: SystemTime) -> Option<SystemTime> {
        self.overdue(now)
            .filter(|_| !self.is_called_overdue.swap(true, Ordering::Relaxed))
    }

    /// Whether one of `authorities` with the issuer's name has signed it. A positive answer stays.
    ///
    /// The `cRLSign` usage is not asked for: whoever may issue certificates may also take them back.
    pub(crate) fn is_signed_by_any<'a>(
        &self,
        authorities: impl IntoIterator<Item = &'a Authority>,
    ) -> bool {
        if self.is_authentic.load(Ordering::Relaxed) {
            return true;
        }
        let signed = authorities
            .into_iter()
            .filter(|authority| authority.subject() == &*self.issuer)
            .any(|authority| self.is_signed_by(authority));
        if signed {
            self.is_authentic.store(true, Ordering::Relaxed);
        } else if !self.is_doubted.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                issuer = self.issuer_name(),
                "CRL names a certificate of a peer, but is not signed by an authority of that peer's chain; ignored"
            );
        }
        signed
    }

    fn is_signed_by(&self, authority: &Authority) -> bool {
        let key = SubjectPublicKeyInfoDer::from(authority.key());
        let Ok(key) = RawPublicKeyEntity::try_from(&key) else {
            return false;
        };
        tls::provider()
            .signature_verification_algorithms
            .all
            .iter()
            .filter(|algorithm| algorithm.signature_alg_id().as_ref() == &*self.algorithm)
            .any(|algorithm| {
                key.verify_signature(*algorithm, &self.signed, &self.signature)
                    .is_ok()
            })
    }
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationList")
            .field("issuer", &self.issuer_name())
            .field("entries", &self.len())
            .finish_non_exhaustive()
    }
}

/// The parts of a list that webpki keeps to itself. Source: RFC 5280 §5.1.
struct Parts<'a> {
    signed: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    issuer: &'a [u8],
    next_update: Option<SystemTime>,
}

impl<'a> Parts<'a> {
    fn read(crl: &'a [u8]) -> Option<Self> {
        let (list, _) = der::expect(crl, der::SEQUENCE)?;
        let (signed, rest) = der::expect(list.content, der::SEQUENCE)?;
        let (algorithm, rest) = der::expect(rest, der::SEQUENCE)?;
        let (signature, _) = der::expect(rest, der::BIT_STRING)?;
        let (unused_bits, signature) = signature.content.split_first()?;
        if *unused_bits != 0 {
            return None;
        }
        let (_version, rest) = der::expect(signed.content, der::INTEGER)?;
        let (_algorithm, rest) = der::expect(rest, der::SEQUENCE)?;
        let (issuer, rest) = der::expect(rest, der::SEQUENCE)?;
        let (_this_update, rest) = der::next(rest)?;
        let next_update = match der::next(rest) {
            Some((time, _)) if der::TIMES.contains(&time.tag) => {
                let (_, time) = ASN1Time::from_der(time.whole).ok()?;
                Some(x509::wall(time))
            }
            Some(_) | None => None,
        };
        Some(Self {
            signed: signed.whole,
            algorithm: algorithm.content,
            signature,
            issuer: issuer.whole,
            next_update,
        })
    }
}
