//! A certificate authority for a lab: ztunnel's `FILE_CA_CERT` and `FILE_CA_KEY`, and any leaf that a
//! hostile test wants from it.
//!
//! In: names and times. Out: PEM files and DER bytes, ECDSA P-256.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber,
};

/// A root and its key, in files and in memory.
pub struct Ca {
    root: CertifiedIssuer<'static, KeyPair>,
    cert: PathBuf,
    key: PathBuf,
}

impl std::fmt::Debug for Ca {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ca")
            .field("cert", &self.cert)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// A leaf to be issued.
///
/// ```
/// use lab::Leaf;
/// use std::time::{Duration, SystemTime};
/// let hour = Duration::from_secs(3600);
/// let now = SystemTime::now();
/// let expired = Leaf::new("spiffe://cluster.local/ns/default/sa/client").valid(now - 2 * hour, now - hour);
/// assert_eq!(expired.uris.len(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct Leaf {
    /// URI names, in order; a SPIFFE certificate has exactly one.
    pub uris: Vec<String>,
    /// DNS names.
    pub dns: Vec<String>,
    /// Start and end of validity.
    pub valid: (SystemTime, SystemTime),
    /// Whether it may be used by clients and servers (extended key usage); both unless set.
    pub usages: Vec<Usage>,
}

/// What a leaf may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// As a TLS client.
    Client,
    /// As a TLS server.
    Server,
}

/// An issued leaf.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Leaf, then root, PEM.
    pub chain_pem: String,
    /// PKCS #8 key, PEM.
    pub key_pem: String,
    /// Leaf, DER.
    pub cert_der: Vec<u8>,
    /// PKCS #8 key, DER.
    pub key_der: Vec<u8>,
    /// Root, DER.
    pub root_der: Vec<u8>,
}

impl Leaf {
    /// A leaf with one URI name, valid for an hour and since a minute, for both sides of TLS.
    pub fn new(uri: impl Into<String>) -> Self {
        let now = SystemTime::now();
        Self {
            uris: vec![uri.into()],
            dns: Vec::new(),
            valid: (
                now - Duration::from_secs(60),
                now + Duration::from_secs(3600),
            ),
            usages: vec![Usage::Client, Usage::Server],
        }
    }

    /// Adds a URI name.
    #[must_use]
    pub fn uri(mut self, uri: impl Into<String>) -> Self {
        self.uris.push(uri.into());
        self
    }

    /// Adds a DNS name.
    #[must_use]
    pub fn dns(mut self, name: impl Into<String>) -> Self {
        self.dns.push(name.into());
        self
    }

    /// Takes all URI names away.
    #[must_use]
    pub fn without_uris(mut self) -> Self {
        self.uris.clear();
        self
    }

    /// Sets start and end of validity.
    #[must_use]
    pub fn valid(mut self, from: SystemTime, to: SystemTime) -> Self {
        self.valid = (from, to);
        self
    }
}

impl Ca {
    /// Makes a root and writes `<name>-cert.pem` and `<name>-key.pem` into `folder`. A second one under
    /// another name is the foreign authority of a hostile test.
    ///
    /// # Errors
    ///
    /// When the files cannot be written.
    pub fn create(folder: &Path, name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params
            .distinguished_name
            .push(DnType::OrganizationName, "ambit lab");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let now = SystemTime::now();
        params.not_before = (now - Duration::from_secs(3600)).into();
        params.not_after = (now + Duration::from_secs(30 * 24 * 3600)).into();
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let (cert, key) = (
            folder.join(format!("{name}-cert.pem")),
            folder.join(format!("{name}-key.pem")),
        );
        std::fs::write(&cert, root.pem()).with_context(|| format!("write {}", cert.display()))?;
        std::fs::write(&key, root.key().serialize_pem())
            .with_context(|| format!("write {}", key.display()))?;
        Ok(Self { root, cert, key })
    }

    /// The root certificate's file: `FILE_CA_CERT`.
    pub fn cert_path(&self) -> &Path {
        &self.cert
    }

    /// The root key's file: `FILE_CA_KEY`.
    pub fn key_path(&self) -> &Path {
        &self.key
    }

    /// The root certificate, PEM.
    pub fn root_pem(&self) -> String {
        self.root.pem()
    }

    /// A list of revoked certificates, PEM; serial numbers as bytes. `number` must grow from list to list.
    ///
    /// # Errors
    ///
    /// When it cannot be signed.
    pub fn revoke(&self, number: u64, serials: &[Vec<u8>]) -> Result<String> {
        let now = SystemTime::now();
        let revoked = |serial: &Vec<u8>| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: now.into(),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: (now - Duration::from_secs(60)).into(),
            next_update: (now + Duration::from_secs(24 * 3600)).into(),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.root)?.pem()?)
    }

    /// Issues a leaf with a fresh key.
    ///
    /// # Errors
    ///
    /// When a name cannot be put into a certificate.
    pub fn issue(&self, leaf: &Leaf) -> Result<Issued> {
        let mut params = CertificateParams::new(leaf.dns.clone())?;
        for uri in &leaf.uris {
            params.subject_alt_names.push(SanType::URI(
                uri.as_str()
                    .try_into()
                    .with_context(|| format!("URI {uri}"))?,
            ));
        }
        params.distinguished_name = rcgen::DistinguishedName::new();
        (params.not_before, params.not_after) = (leaf.valid.0.into(), leaf.valid.1.into());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = leaf
            .usages
            .iter()
            .map(|usage| match usage {
                Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
                Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
            })
            .collect();
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.root)?;
        Ok(Issued {
            chain_pem: format!("{}{}", cert.pem(), self.root.pem()),
            key_pem: key.serialize_pem(),
            cert_der: cert.der().to_vec(),
            key_der: key.serialize_der(),
            root_der: self.root.der().to_vec(),
        })
    }
}

impl Issued {
    /// Writes `<name>-cert.pem` (chain) and `<name>-key.pem` into `folder` and returns their paths: what
    /// curl's `--proxy-cert` and `--proxy-key` take.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> Result<(PathBuf, PathBuf)> {
        let (cert, key) = (
            folder.join(format!("{name}-cert.pem")),
            folder.join(format!("{name}-key.pem")),
        );
        std::fs::write(&cert, &self.chain_pem)?;
        std::fs::write(&key, &self.key_pem)?;
        Ok((cert, key))
    }
}
