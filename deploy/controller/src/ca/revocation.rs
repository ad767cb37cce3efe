//! Lists of revoked certificates (ID-07): signed by our own roots, or checked and passed on from an operator.
//!
//! In: serial numbers, or a list from elsewhere. Out: `ca-crl.pem`, one list for each root. Never: publishes a
//! list that none of the certificates at hand has signed.
//!
//! Source: RFC 5280 §5; Istio `ca-crl.pem` in the secret `cacerts`.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use identity::{asn1, pem, wall};
use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, RevokedCertParams, SerialNumber,
};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, pem::PemObject as _};
use x509_parser::{prelude::FromDer as _, revocation_list::CertificateRevocationList};

use super::{
    digest::{hex, unhex},
    kept::{self, Kept, KeptError},
    rfc3339,
    root::{Root, RootError},
    signed,
    state::{SECRET, StateDir, StateError},
};

/// The file that is mounted into proxies.
pub(crate) const PUBLISHED: &str = "ca-crl.pem";

/// The file with the serial numbers. **Shape**: one line each, `<hexadecimal> <when>`.
pub(crate) const REVOKED: &str = "revoked";

/// The most bytes of a list from elsewhere: some 100,000 entries.
pub(crate) const MAX_CRL_BYTES: u64 = 4 << 20;

/// The most lists in one file: one per certificate of a chain, and some.
const MAX_LISTS: usize = 64;

/// The most serial numbers: each is in every list that every proxy loads. Leaves live a day; a mesh that
/// revokes more than this in one such life needs a new root.
const MAX_REVOKED: usize = 10_000;

/// Each line has a serial number of at most 20 bytes and a time.
const MAX_REVOKED_BYTES: u64 = 1 << 20;

/// How long a serial number is kept beyond the longest life of a leaf: for clocks that differ, and for dates that
/// were written by hand.
const ENDED_MARGIN: Duration = Duration::from_secs(24 * 3600);

/// How long a list of ours is good for. Long, because a proxy that reads it must go on working while the
/// controller is away; news come with the file and do not wait for the end.
pub(crate) const LIST_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum CrlError {
    /// The folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// Not a list.
    #[error(
        "list {position} of ca-crl.pem (counted from 0) cannot be read, expected PEM blocks X509 CRL"
    )]
    Malformed {
        /// Which one.
        position: usize,
    },
    /// No list in the file.
    #[error("ca-crl.pem holds {found} lists, expected 1 to {MAX_LISTS}")]
    Count {
        /// How many.
        found: usize,
    },
    /// A list of somebody else.
    #[error(
        "list {position} of ca-crl.pem (counted from 0) is not signed by a certificate of the chain or a root"
    )]
    Foreign {
        /// Which one.
        position: usize,
    },
    /// Signing failed.
    #[error("list of revoked certificates could not be signed")]
    Signing(#[source] rcgen::Error),
    /// A root cannot be used.
    #[error("list of revoked certificates could not be signed")]
    Root(#[source] RootError),
}

/// Why nothing was revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// The folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The roots that are kept.
    #[error(transparent)]
    Kept(#[from] KeptError),
    /// Not a serial number.
    #[error(
        "{found:?} is not a serial number, expected 1 to 20 bytes in hexadecimal, with or without colons"
    )]
    Serial {
        /// What was given.
        found: String,
    },
    /// The root is not ours.
    #[error(
        "the state folder holds no root of the controller's own; certificates of another authority are revoked there, in ca-crl.pem of cacerts"
    )]
    NoRoot,
    /// Too many.
    #[error(
        "{MAX_REVOKED} serial numbers of certificates that may live are revoked already, expected a new root instead: controller rotate-root"
    )]
    TooMany,
}

/// A serial number that is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revoked {
    serial: Vec<u8>,
    at: SystemTime,
}

/// Revokes a certificate that the controller's own root has signed; the running controller publishes it within
/// a second, another when it starts. Revoking twice is revoking once.
///
/// # Errors
/// [`RevokeError`].
pub fn revoke(state_dir: &Path, serial: &str) -> Result<(), RevokeError> {
    revoke_at(state_dir, serial, net::clock::wall())
}

pub(crate) fn revoke_at(
    state_dir: &Path,
    serial: &str,
    now: SystemTime,
) -> Result<(), RevokeError> {
    let text: String = serial.trim().chars().filter(|c| *c != ':').collect();
    let number = unhex(&text)
        .map(|bytes| {
            bytes
                .into_iter()
                .skip_while(|b| *b == 0)
                .collect::<Vec<_>>()
        })
        .filter(|bytes| (1..=20).contains(&bytes.len()))
        .ok_or_else(|| RevokeError::Serial {
            found: crate::words::quoted(serial),
        })?;
    let state = StateDir::open(state_dir)?;
    if !state.file(kept::FILE).exists() {
        return Err(RevokeError::NoRoot);
    }
    let _edit = state.edit()?;
    let bytes = state.read(REVOKED, MAX_REVOKED_BYTES)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    if lines
        .iter()
        .filter_map(|line| Revoked::parse(line))
        .any(|r| r.serial == number)
    {
        return Ok(());
    }
    if lines.len() >= MAX_REVOKED {
        // Only here, so that a date that somebody got wrong lifts no revocation without need.
        let kept = Kept::read(&state)?.ok_or(RevokeError::NoRoot)?;
        let life = kept.longest_leaf.saturating_add(ENDED_MARGIN);
        let may_live =
            |r: Revoked| now.duration_since(r.at).is_ok_and(|age| age <= life) || r.at > now;
        lines.retain(|line| Revoked::parse(line).is_some_and(may_live));
    }
    if lines.len() >= MAX_REVOKED {
        return Err(RevokeError::TooMany);
    }
    let line = format!("{} {}", hex(&number), rfc3339(now));
    lines.push(&line);
    let mut text = lines.join("\n");
    text.push('\n');
    state.write(REVOKED, SECRET, text.as_bytes())?;
    Ok(())
}

impl Revoked {
    /// A line. A date that no certificate can hold is no date: it would stop the whole list from being signed.
    fn parse(line: &str) -> Option<Self> {
        let (serial, at) = line.split_once(' ')?;
        let at: SystemTime = at.trim().parse::<jiff::Timestamp>().ok()?.into();
        asn1(at)?;
        Some(Self {
            serial: unhex(serial).filter(|s| (1..=20).contains(&s.len()))?,
            at,
        })
    }
}

/// What the file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) revoked: Vec<Revoked>,
    /// The numbers of the lines that cannot be read or are too many, counted from 1. The others must count.
    pub(crate) bad: Vec<u32>,
}

/// What is revoked.
pub(crate) fn revoked(state: &StateDir) -> Result<Listed, StateError> {
    let bytes = state.read(REVOKED, MAX_REVOKED_BYTES)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut listed = Listed::default();
    for (number, line) in (1u32..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        match Revoked::parse(line) {
            Some(revoked) if listed.revoked.len() < MAX_REVOKED => listed.revoked.push(revoked),
            Some(_) | None => listed.bad.push(number),
        }
    }
    Ok(listed)
}

/// One list for each root, PEM.
pub(crate) fn sign<'a>(
    roots: impl Iterator<Item = &'a Root>,
    revoked: &[Revoked],
    number: u64,
    now: SystemTime,
) -> Result<String, CrlError> {
    let date = |time: Option<SystemTime>| {
        time.and_then(asn1)
            .map(|time| time.to_datetime())
            .ok_or(CrlError::Signing(rcgen::Error::Time))
    };
    let mut text = String::new();
    for root in roots {
        let params = CertificateRevocationListParams {
            this_update: date(Some(now))?,
            next_update: date(now.checked_add(LIST_LIFE))?,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|r| {
                    Ok(RevokedCertParams {
                        serial_number: SerialNumber::from_slice(&r.serial),
                        revocation_time: date(Some(r.at))?,
                        reason_code: None,
                        invalidity_date: None,
                    })
                })
                .collect::<Result<_, CrlError>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let key = root.key().map_err(CrlError::Root)?;
        let issuer =
            Issuer::from_ca_cert_der(root.certificate(), key).map_err(CrlError::Signing)?;
        let list = params.signed_by(&issuer).map_err(CrlError::Signing)?;
        text.push_str(&pem::encode("X509 CRL", list.der()));
    }
    Ok(text)
}

/// A number for the next list: it must grow, also over a clock that is set back. Source: RFC 5280 §5.2.3.
pub(crate) fn next_number(published: Option<&[u8]>, now: SystemTime) -> u64 {
    let time = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let last = published
        .into_iter()
        .flat_map(|bytes| CertificateRevocationListDer::pem_slice_iter(bytes).take(MAX_LISTS))
        .filter_map(|der| {
            let der = der.ok()?;
            let (_, list) = CertificateRevocationList::from_der(&der).ok()?;
            u64::try_from(list.crl_number()?).ok()
        })
        .max();
    last.map_or(time, |last| time.max(last.saturating_add(1)))
}

/// Lists from elsewhere, each of which one of `issuers` has signed, as PEM and nothing else.
pub(crate) fn check(
    bytes: &[u8],
    issuers: &[CertificateDer<'static>],
    now: SystemTime,
) -> Result<String, CrlError> {
    let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(bytes)
        .take(MAX_LISTS + 1)
        .enumerate()
        .map(|(position, der)| der.map_err(|_| CrlError::Malformed { position }))
        .collect::<Result<_, _>>()?;
    if lists.is_empty() || lists.len() > MAX_LISTS {
        return Err(CrlError::Count { found: lists.len() });
    }
    let issuers: Vec<_> = issuers.iter().filter_map(signed::certificate).collect();
    let mut text = String::new();
    for (position, der) in lists.iter().enumerate() {
        let malformed = CrlError::Malformed { position };
        let Ok(([], list)) = CertificateRevocationList::from_der(der) else {
            return Err(malformed);
        };
        let known = issuers.iter().any(|issuer| {
            let usage = match issuer.key_usage() {
                Ok(None) => true,
                Ok(Some(usage)) => usage.value.crl_sign(),
                Err(_) => false,
            };
            usage
                && issuer.subject().as_raw() == list.issuer().as_raw()
                && signed::is_signed_by(der, issuer.public_key())
        });
        if !known {
            return Err(CrlError::Foreign { position });
        }
        if list.next_update().is_some_and(|next| wall(next) <= now) {
            tracing::warn!(
                position,
                "a list of revoked certificates in cacerts is past its next update"
            );
        }
        text.push_str(&pem::encode("X509 CRL", der));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
