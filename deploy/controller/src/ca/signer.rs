//! What signs: one certificate with its key, what is sent with a leaf, and who is to be believed.
//!
//! In: a public key and whom it is for. Out: certificates. Never: changes; another root is another signer.

use std::{
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use identity::{
    CaError, asn1,
    authority::{MAX_CHAIN, MAX_ROOTS},
    file_ca::{BACKDATE, random_serial, workload_leaf},
    pem, tls, wall,
};
use mesh::SpiffeId;
use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls::{
    RootCertStore, client::verify_server_cert_signed_by_trust_anchor, server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use x509_parser::certificate::X509Certificate;

use super::{digest::hex, rfc3339, signed};

/// Why certificates and key do not make a signer.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// A block that is not a certificate.
    #[error("certificate {position} of {of} (counted from 0) cannot be read")]
    Certificate {
        /// Which file it is from.
        of: &'static str,
        /// Which block.
        position: usize,
    },
    /// Nothing to believe, nothing to sign with, or far too much.
    #[error("{of} holds {found} certificates, expected 1 to {max}")]
    Count {
        /// Which file.
        of: &'static str,
        /// How many.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// A certificate that may not sign others.
    #[error(
        "certificate {position} of {of} (counted from 0) is not a certificate authority, expected {expected}"
    )]
    NotAuthority {
        /// Which file it is from.
        of: &'static str,
        /// Which block.
        position: usize,
        /// The extension that it lacks.
        expected: &'static str,
    },
    /// A certificate whose time is over or to come.
    #[error("what signs is valid from {} to {}, expected it to cover now, {}", rfc3339(*not_before), rfc3339(*not_after), rfc3339(*now))]
    Lifetime {
        /// The latest start in the chain.
        not_before: SystemTime,
        /// The earliest end in the chain.
        not_after: SystemTime,
        /// The time of the check.
        now: SystemTime,
    },
    /// A key that cannot be used.
    #[error("the key is not a private key that can sign, expected ECDSA, Ed25519 or RSA")]
    Key(#[source] rcgen::Error),
    /// The key of somebody else.
    #[error("the key does not belong to the signing certificate")]
    ForeignKey,
    /// The subject cannot be written byte by byte as the issuer of a leaf.
    #[error(
        "the signing certificate's subject cannot be copied into leaves, expected each attribute at most once"
    )]
    Subject,
    /// A first certificate could not be signed.
    #[error("signing a first certificate failed")]
    Rehearsal(#[source] CaError),
    /// Certificates signed with it would be refused.
    #[error(
        "peers would refuse what it signs, expected a chain from the signing certificate to a root"
    )]
    Chain(#[source] rustls::Error),
}

/// What the caller gets.
///
/// **Shape** of `chain`: the leaf, then each issuer below the roots, one PEM block per element; the last
/// element is the bundle of all roots. Source: `IstioCertificateResponse.cert_chain`.
#[derive(Clone, Debug)]
pub struct Issued {
    /// PEM.
    pub chain: Vec<String>,
    /// Hexadecimal, as it is named to revoke it.
    pub serial: String,
    /// When it ends.
    pub not_after: SystemTime,
}

/// A certificate with its key and chain, ready to sign.
pub(crate) struct Signer {
    issuer: Issuer<'static, KeyPair>,
    /// What is sent after a leaf, with the signing certificate first unless it is a root.
    intermediates: Vec<CertificateDer<'static>>,
    roots: Vec<CertificateDer<'static>>,
    bundle: Arc<str>,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Signer {
    /// Checks that everything fits, to the point of signing a leaf and verifying it as a peer would.
    ///
    /// `chain` begins with the certificate that signs; certificates that are roots too are left out of what is
    /// sent.
    pub(crate) fn new(
        chain: &[CertificateDer<'static>],
        key: KeyPair,
        roots: &[CertificateDer<'static>],
        now: SystemTime,
    ) -> Result<Self, SignerError> {
        // A leaf goes before the chain.
        bound("the chain", chain.len(), MAX_CHAIN - 1)?;
        bound("the roots", roots.len(), MAX_ROOTS)?;
        let parsed = authorities("the chain", chain)?;
        let anchors = authorities("the roots", roots)?;
        let (Some(signing), Some(signing_der)) = (parsed.first(), chain.first()) else {
            return Err(SignerError::Count {
                of: "the chain",
                found: 0,
                max: MAX_CHAIN,
            });
        };
        if signing.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
            return Err(SignerError::ForeignKey);
        }
        let issuer = Issuer::from_ca_cert_der(signing_der, key).map_err(SignerError::Key)?;

        let mut intermediates: Vec<CertificateDer<'static>> = Vec::new();
        for certificate in chain {
            if !roots.contains(certificate) && !intermediates.contains(certificate) {
                intermediates.push(certificate.clone());
            }
        }
        // A chain ends with its weakest part; of several roots one that lives is enough.
        let sent = || {
            let below = |c: &&X509Certificate<'_>| !anchors.contains(c);
            std::iter::once(signing).chain(parsed.iter().skip(1).filter(below))
        };
        let last_root = anchors.iter().map(|c| wall(c.validity().not_after)).max();
        let signer = Self {
            issuer,
            intermediates,
            roots: roots.to_vec(),
            bundle: roots
                .iter()
                .map(|root| pem::encode("CERTIFICATE", root))
                .collect::<String>()
                .into(),
            not_before: sent()
                .map(|c| wall(c.validity().not_before))
                .max()
                .unwrap_or(now),
            not_after: sent()
                .map(|c| wall(c.validity().not_after))
                .chain(last_root)
                .min()
                .unwrap_or(now),
        };
        signer.rehearse(signing, now)?;
        Ok(signer)
    }

    fn rehearse(&self, signing: &X509Certificate<'_>, now: SystemTime) -> Result<(), SignerError> {
        if now < self.not_before || self.not_after <= now {
            return Err(SignerError::Lifetime {
                not_before: self.not_before,
                not_after: self.not_after,
                now,
            });
        }
        let id = SpiffeId::new("rehearsal".into(), "none".into(), "none".into());
        let key = KeyPair::generate().map_err(SignerError::Key)?;
        let (leaf, _) = self
            .sign(&id, &key, Duration::from_secs(60), now)
            .map_err(SignerError::Rehearsal)?;
        let bytes: &CertificateDer<'static> = leaf.der();
        let written = signed::certificate(bytes).ok_or(SignerError::Subject)?;
        if written.issuer().as_raw() != signing.subject().as_raw() {
            return Err(SignerError::Subject);
        }
        let mut store = RootCertStore::empty();
        for (position, root) in self.roots.iter().enumerate() {
            let of = "the roots";
            store
                .add(root.clone())
                .map_err(|_| SignerError::Certificate { of, position })?;
        }
        let time = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
        ParsedCertificate::try_from(bytes)
            .and_then(|leaf| {
                verify_server_cert_signed_by_trust_anchor(
                    &leaf,
                    &store,
                    &self.intermediates,
                    time,
                    tls::provider().signature_verification_algorithms.all,
                )
            })
            .map_err(SignerError::Chain)
    }

    /// A workload's certificate, as the caller gets it.
    ///
    /// # Errors
    /// [`CaError::Lifetime`] when the signing certificate does not cover `now`; else the cryptography failed.
    pub(crate) fn issue(
        &self,
        id: &SpiffeId,
        key: &impl PublicKeyData,
        ttl: Duration,
        now: SystemTime,
    ) -> Result<Issued, CaError> {
        let (leaf, not_after) = self.sign(id, key, ttl, now)?;
        let mut chain = Vec::with_capacity(2 + self.intermediates.len());
        chain.push(pem::encode("CERTIFICATE", leaf.der()));
        for certificate in &self.intermediates {
            chain.push(pem::encode("CERTIFICATE", certificate));
        }
        chain.push(self.bundle.to_string());
        Ok(Issued {
            chain,
            serial: signed::certificate(leaf.der())
                .map(|c| hex(c.raw_serial()))
                .unwrap_or_default(),
            not_after,
        })
    }

    fn sign(
        &self,
        id: &SpiffeId,
        key: &impl PublicKeyData,
        ttl: Duration,
        now: SystemTime,
    ) -> Result<(rcgen::Certificate, SystemTime), CaError> {
        let (not_before, not_after) = self.span(ttl, now)?;
        let leaf = workload_leaf(id, not_before, not_after)?
            .signed_by(key, &self.issuer)
            .map_err(CaError::Signing)?;
        Ok((leaf, not_after))
    }

    /// A certificate with a new key for this process as a server of `names`.
    pub(crate) fn serve(
        &self,
        names: &[String],
        ttl: Duration,
        now: SystemTime,
    ) -> Result<Served, CaError> {
        let (not_before, not_after) = self.span(ttl, now)?;
        let date = |time| asn1(time).ok_or(CaError::Signing(rcgen::Error::Time));
        let mut params = CertificateParams::default();
        params.not_before = date(not_before)?.to_datetime();
        params.not_after = date(not_after)?.to_datetime();
        params.serial_number = Some(random_serial()?);
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.parse::<IpAddr>() {
                Ok(address) => Ok(SanType::IpAddress(address)),
                Err(_) => name.as_str().try_into().map(SanType::DnsName),
            })
            .collect::<Result<_, _>>()
            .map_err(CaError::Signing)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(CaError::Signing)?;
        let leaf = params
            .signed_by(&key, &self.issuer)
            .map_err(CaError::Signing)?;
        let mut chain = vec![leaf.into()];
        chain.extend_from_slice(&self.intermediates);
        Ok(Served {
            chain,
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            not_after,
        })
    }

    /// From a little before now to the asked end, within the life of what signs.
    fn span(&self, ttl: Duration, now: SystemTime) -> Result<(SystemTime, SystemTime), CaError> {
        let start = now
            .checked_sub(BACKDATE)
            .map_or(self.not_before, |start| start.max(self.not_before));
        let end = now
            .checked_add(ttl)
            .map_or(self.not_after, |end| end.min(self.not_after));
        if now < self.not_before || end <= now {
            return Err(CaError::Lifetime {
                not_before: self.not_before,
                not_after: self.not_after,
                now,
            });
        }
        Ok((start, end))
    }

    /// All roots.
    pub(crate) fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }

    /// All roots, PEM.
    pub(crate) fn bundle(&self) -> &Arc<str> {
        &self.bundle
    }

    /// When the first part of what signs ends.
    pub(crate) fn not_after(&self) -> SystemTime {
        self.not_after
    }
}

/// A certificate of this process itself.
pub(crate) struct Served {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) not_after: SystemTime,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("not_after", &rfc3339(self.not_after))
            .field("key", &"[redacted]")
            .finish_non_exhaustive()
    }
}

fn bound(of: &'static str, found: usize, max: usize) -> Result<(), SignerError> {
    if (1..=max).contains(&found) {
        Ok(())
    } else {
        Err(SignerError::Count { of, found, max })
    }
}

/// Reads certificates that must all be allowed to sign others.
fn authorities<'a>(
    of: &'static str,
    certificates: &'a [CertificateDer<'static>],
) -> Result<Vec<X509Certificate<'a>>, SignerError> {
    certificates
        .iter()
        .enumerate()
        .map(|(position, der)| {
            let not_authority = |expected| SignerError::NotAuthority {
                of,
                position,
                expected,
            };
            let certificate =
                signed::certificate(der).ok_or(SignerError::Certificate { of, position })?;
            if !certificate.is_ca() {
                return Err(not_authority("basicConstraints with CA:TRUE"));
            }
            match certificate.key_usage() {
                Ok(None) => {}
                Ok(Some(usage)) if usage.value.key_cert_sign() => {}
                Ok(Some(_)) | Err(_) => return Err(not_authority("keyUsage with keyCertSign")),
            }
            Ok(certificate)
        })
        .collect()
}
