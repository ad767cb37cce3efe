//! A fresh key pair and the request that goes to an authority.
//!
//! In: an identity. Out: a CSR that may travel, and a key that may not.

use std::fmt;

use mesh::SpiffeId;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use rustls_pki_types::{CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A key pair that has no certificate yet.
pub(crate) struct KeyRequest {
    key: KeyPair,
    csr: CertificateSigningRequestDer<'static>,
}

impl KeyRequest {
    /// Makes an ECDSA P-256 key and a CSR with an empty subject and one URI SAN.
    pub(crate) fn new(id: &SpiffeId) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(id.to_string().try_into()?)];
        let csr = params.serialize_request(&key)?.into();
        Ok(Self { key, csr })
    }

    /// What the authority gets.
    pub(crate) fn csr(&self) -> CertificateSigningRequestDer<'static> {
        self.csr.clone()
    }

    /// The key for the TLS library; it is moved there and nowhere else.
    pub(crate) fn into_key(self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }
}

impl fmt::Debug for KeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRequest")
            .field("key", &"[redacted]")
            .finish_non_exhaustive()
    }
}
