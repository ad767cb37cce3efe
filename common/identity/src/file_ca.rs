//! A certificate authority that lives in two PEM files, for a mesh without a controller.
//!
//! In: `FILE_CA_CERT` (first the certificate that signs, then what stands above it) and `FILE_CA_KEY`
//! (PKCS #8, SEC 1 or PKCS #1). Out: leaf certificates. Never: writes a file, accepts a name that it was
//! not asked for, signs beyond its own life.
//!
//! Every node that loads the same files is a member of the same mesh; whoever reads the key can be anybody
//! in it. A mesh that must survive a stolen node needs an authority of its own elsewhere.

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mesh::SpiffeId;
use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject as _};
use x509_parser::certificate::X509Certificate;

use crate::{
    BoxFuture, CaError, CertificateAuthority, Issued, SigningRequest,
    authority::{MAX_CHAIN, MAX_ROOTS},
    key::KeyRequest,
    refusal::{PeerRefusal, rfc3339},
    tls,
    trust::Roots,
    x509,
};

mod check;
mod error;

use check::{check_authority, check_lifetime, checked_key, ends, starts};
pub use error::{FileCaError, Origin};

/// The most bytes of one PEM file: far above a long chain, far below what hurts.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// How far a certificate starts before its issue, for peers whose clocks are behind.
pub const BACKDATE: Duration = Duration::from_secs(120);

/// An authority that signs with a key from a file.
pub struct FileCa {
    issuer: Issuer<'static, KeyPair>,
    /// What is sent after a leaf.
    intermediates: Vec<CertificateDer<'static>>,
    roots: Vec<CertificateDer<'static>>,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl FileCa {
    /// Reads and checks both files.
    ///
    /// # Errors
    /// [`FileCaError`], which names the variable, the path and what was expected.
    pub fn load(certificate: &Path, key: &Path, now: SystemTime) -> Result<Self, FileCaError> {
        let (cert_origin, key_origin) = (
            Origin::certificate(Some(certificate)),
            Origin::key(Some(key)),
        );
        let cert_pem = read(certificate).map_err(|source| FileCaError::Read {
            at: cert_origin.clone(),
            source,
        })?;
        let key_pem = read(key).map_err(|source| FileCaError::Read {
            at: key_origin.clone(),
            source,
        })?;
        Self::build(&cert_pem, &key_pem, now, cert_origin, key_origin)
    }

    /// The same from text.
    ///
    /// # Errors
    /// [`FileCaError`].
    pub fn from_pem(certificate: &str, key: &str, now: SystemTime) -> Result<Self, FileCaError> {
        Self::build(
            certificate.as_bytes(),
            key.as_bytes(),
            now,
            Origin::certificate(None),
            Origin::key(None),
        )
    }

    fn build(
        cert_pem: &[u8],
        key_pem: &[u8],
        now: SystemTime,
        at: Origin,
        key_at: Origin,
    ) -> Result<Self, FileCaError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(cert_pem)
            .take(MAX_CHAIN + MAX_ROOTS + 1)
            .collect::<Result<_, _>>()
            .map_err(|source| FileCaError::Pem {
                at: at.clone(),
                expected: "CERTIFICATE",
                source,
            })?;
        let count = chain.len();
        let Some(signer) = chain.first() else {
            return Err(FileCaError::Empty { at });
        };
        if count >= MAX_CHAIN + MAX_ROOTS {
            return Err(FileCaError::TooMany {
                at,
                max: MAX_CHAIN + MAX_ROOTS,
            });
        }
        let parsed = chain
            .iter()
            .enumerate()
            .map(|(position, der)| {
                x509::parse(der).map_err(|source| FileCaError::Certificate {
                    at: at.clone(),
                    position,
                    source,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let self_issued = |c: &X509Certificate<'_>| c.subject().as_raw() == c.issuer().as_raw();
        let any_self_issued = parsed.iter().any(self_issued);
        let is_root: Vec<bool> = parsed
            .iter()
            .enumerate()
            .map(|(position, c)| {
                if any_self_issued {
                    self_issued(c)
                } else {
                    position + 1 == count
                }
            })
            .collect();
        for (position, (certificate, is_root)) in parsed.iter().zip(&is_root).enumerate() {
            check_authority(certificate, &at)?;
            // A bundle may still hold a root that has ended; what signs may not.
            if position == 0 || !is_root {
                check_lifetime(certificate, now, &at)?;
            }
        }

        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|source| FileCaError::Pem {
            at: key_at.clone(),
            expected: "PRIVATE KEY",
            source,
        })?;
        let key = KeyPair::try_from(&key).map_err(|source| FileCaError::Key {
            at: key_at.clone(),
            source,
        })?;
        if parsed[0].public_key().subject_public_key.data.as_ref() != key.der_bytes() {
            return Err(FileCaError::ForeignKey { at, key_at });
        }

        let issuer =
            Issuer::from_ca_cert_der(signer, key).map_err(|source| FileCaError::Signer {
                at: at.clone(),
                source,
            })?;
        let pick = |root: bool| {
            chain
                .iter()
                .zip(&is_root)
                .filter(move |(_, is)| **is == root)
                .map(|(c, _)| c.clone())
        };
        let signing = || {
            parsed
                .iter()
                .zip(&is_root)
                .enumerate()
                .filter(|(i, (_, root))| *i == 0 || !**root)
        };
        let last_root = parsed
            .iter()
            .zip(&is_root)
            .filter(|(_, root)| **root)
            .map(|(c, _)| ends(c))
            .max();
        let end = signing().map(|(_, (c, _))| ends(c)).chain(last_root).min();
        let ca = Self {
            issuer,
            intermediates: pick(false).collect(),
            roots: pick(true).collect(),
            not_before: signing().map(|(_, (c, _))| starts(c)).max().unwrap_or(now),
            not_after: end.unwrap_or(now),
        };
        ca.rehearse(&parsed[0], now, at)?;
        Ok(ca)
    }

    /// Signs for a name that nobody has and believes the result, so that a chain that does not fit is
    /// found when the process starts and not in the first handshake.
    fn rehearse(
        &self,
        signer: &X509Certificate<'_>,
        now: SystemTime,
        at: Origin,
    ) -> Result<(), FileCaError> {
        let id = SpiffeId::new("rehearsal".into(), "none".into(), "none".into());
        let attempt = KeyRequest::new(&id)
            .map_err(CaError::Request)
            .and_then(|key| {
                self.sign(&SigningRequest {
                    id,
                    csr: key.csr(),
                    ttl: Duration::from_secs(60),
                    now,
                })
            });
        let issued = attempt.map_err(|source| FileCaError::Rehearsal {
            at: at.clone(),
            source,
        })?;
        let Some((leaf, intermediates)) = issued.chain.split_first() else {
            return Err(FileCaError::Empty { at });
        };
        let written = x509::parse(leaf).map_err(|source| FileCaError::Chain {
            at: at.clone(),
            source,
        })?;
        if written.issuer().as_raw() != signer.subject().as_raw() {
            return Err(FileCaError::Subject {
                at,
                subject: x509::subject(signer),
            });
        }
        let roots = Roots::new(&issued.roots).map_err(|position| FileCaError::Root {
            at: at.clone(),
            position,
        })?;
        let time = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
        roots
            .check(leaf, intermediates, time)
            .map_err(|error| FileCaError::Chain {
                at,
                source: PeerRefusal::from_tls(&error).unwrap_or(PeerRefusal::Chain(error)),
            })
    }

    fn sign(&self, request: &SigningRequest) -> Result<Issued, CaError> {
        let SigningRequest { id, csr, ttl, now } = request;
        let key = checked_key(csr, id)?;
        let not_before = now
            .checked_sub(BACKDATE)
            .map_or(self.not_before, |start| start.max(self.not_before));
        let not_after = now
            .checked_add(*ttl)
            .map_or(self.not_after, |end| end.min(self.not_after));
        if *now < self.not_before || not_after <= *now {
            return Err(CaError::Lifetime {
                not_before: self.not_before,
                not_after: self.not_after,
                now: *now,
            });
        }

        let params = workload_leaf(id, not_before, not_after)?;
        let leaf = params
            .signed_by(&key, &self.issuer)
            .map_err(CaError::Signing)?;

        let mut chain = Vec::with_capacity(1 + self.intermediates.len());
        chain.push(leaf.into());
        chain.extend_from_slice(&self.intermediates);
        Ok(Issued {
            chain,
            roots: self.roots.clone(),
        })
    }
}

impl CertificateAuthority for FileCa {
    fn issue(&self, request: SigningRequest) -> BoxFuture<'_, Result<Issued, CaError>> {
        Box::pin(async move { self.sign(&request) })
    }
}

impl fmt::Debug for FileCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileCa")
            .field("not_after", &rfc3339(self.not_after))
            .field("key", &"[redacted]")
            .finish_non_exhaustive()
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(MAX_PEM_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_PEM_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "more than 1 MiB",
        ));
    }
    Ok(bytes)
}

/// What the certificate of a workload says, whoever signs it: one critical URI SAN, no subject, a random
/// serial number, good for both ends of a tunnel and for nothing else. Source: X.509-SVID §2 to §4.
///
/// # Errors
/// [`CaError::Random`], and [`CaError::Signing`] for times that the calendar does not hold.
pub fn workload_leaf(
    id: &SpiffeId,
    not_before: SystemTime,
    not_after: SystemTime,
) -> Result<CertificateParams, CaError> {
    let date = |time| x509::asn1(time).ok_or(CaError::Signing(rcgen::Error::Time));
    let mut params = CertificateParams::default();
    params.not_before = date(not_before)?.to_datetime();
    params.not_after = date(not_after)?.to_datetime();
    params.serial_number = Some(random_serial()?);
    // An empty subject makes the SAN critical. Source: RFC 5280 §4.1.2.6.
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(
        id.to_string().try_into().map_err(CaError::Signing)?,
    )];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// 127 random bits, positive and never zero. Source: RFC 5280 §4.1.2.2.
///
/// # Errors
/// [`CaError::Random`].
pub fn random_serial() -> Result<SerialNumber, CaError> {
    let mut bytes = [0u8; 16];
    tls::provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| CaError::Random)?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

#[cfg(test)]
mod tests;
