//! A root of the controller's own: a key and the certificate that it signed for itself.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use identity::{asn1, file_ca::random_serial, pem, wall};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData as _,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use super::{
    digest::{hex, sha256},
    signed,
};

/// How far a root starts before it is made, for peers whose clocks are behind.
const BACKDATE: Duration = Duration::from_secs(3600);

/// Why there is no root.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The certificate is none.
    #[error("the root's certificate cannot be read")]
    Certificate,
    /// The key is none.
    #[error("the root's key cannot be read")]
    Key(#[source] rcgen::Error),
    /// The two do not belong together.
    #[error("the root's key is not the one in its certificate")]
    ForeignKey,
    /// Making one failed.
    #[error("a root could not be made")]
    Make(#[source] rcgen::Error),
    /// The random source failed.
    #[error("a root could not be made")]
    Random(#[source] identity::CaError),
}

/// A self-signed root with its key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Root {
    certificate: CertificateDer<'static>,
    key_pem: String,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Root {
    /// A new one: ECDSA P-256, for signing leaves and lists of revoked ones.
    ///
    /// Each root has a name of its own, because a list of revoked certificates is found by its issuer's name,
    /// and during a rotation there are two.
    pub(crate) fn generate(
        trust_domain: &str,
        life: Duration,
        now: SystemTime,
    ) -> Result<Self, RootError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(RootError::Make)?;
        let date = |time: Option<SystemTime>| {
            time.and_then(asn1)
                .map(|time| time.to_datetime())
                .ok_or(RootError::Make(rcgen::Error::Time))
        };
        let serial = random_serial().map_err(RootError::Random)?;
        let mut params = CertificateParams::default();
        params.not_before = date(now.checked_sub(BACKDATE))?;
        params.not_after = date(now.checked_add(life))?;
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, trust_domain);
        let number: String = hex(serial.as_ref()).chars().take(8).collect();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("root {number}"));
        params.serial_number = Some(serial);
        // It signs leaves itself and never an intermediate.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(RootError::Make)?;
        Self::build(certificate.into(), key.serialize_pem())
    }

    /// One that was kept.
    pub(crate) fn from_pem(certificate: &str, key: &str) -> Result<Self, RootError> {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|_| RootError::Certificate)?;
        Self::build(certificate, key.to_owned())
    }

    fn build(certificate: CertificateDer<'static>, key_pem: String) -> Result<Self, RootError> {
        let key = KeyPair::from_pem(&key_pem).map_err(RootError::Key)?;
        let (not_before, not_after) = {
            let parsed = signed::certificate(&certificate).ok_or(RootError::Certificate)?;
            if parsed.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
                return Err(RootError::ForeignKey);
            }
            let validity = parsed.validity();
            (wall(validity.not_before), wall(validity.not_after))
        };
        Ok(Self {
            certificate,
            key_pem,
            not_before,
            not_after,
        })
    }

    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub(crate) fn certificate_pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.certificate)
    }

    pub(crate) fn key_pem(&self) -> &str {
        &self.key_pem
    }

    pub(crate) fn key(&self) -> Result<KeyPair, RootError> {
        KeyPair::from_pem(&self.key_pem).map_err(RootError::Key)
    }

    pub(crate) fn not_before(&self) -> SystemTime {
        self.not_before
    }

    pub(crate) fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// What tells it from other roots: the SHA-256 of its certificate.
    pub(crate) fn fingerprint(&self) -> String {
        hex(&sha256(&self.certificate))
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root")
            .field("fingerprint", &self.fingerprint())
            .field("key", &"[redacted]")
            .finish_non_exhaustive()
    }
}
