//! Whom we believe: the checks of a peer's certificate during the handshake.
//!
//! In: the peer's chain, our roots, the time. Out: yes, or a [`PeerRefusal`] inside the TLS error.
//! Never: builds paths or checks signatures itself (webpki does), looks at DNS names or addresses.
//!
//! ```text
//! client checks the server   chain to a root -> exactly one URI SAN -> it is one of the expected SANs
//! server checks the client   chain to a root -> exactly one URI SAN -> it is a SPIFFE id -> of our trust domain
//! ```
//!
//! Both are bounded: the TLS library takes handshake messages up to 64 KiB, [`MAX_CHAIN`] bounds the
//! certificates that are looked at, and webpki bounds path length and signature checks.
//!
//! Source: Istio ztunnel peer verification; X.509-SVID §5.

use std::{fmt, sync::Arc};

use mesh::{San, SpiffeId, TrustDomain};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, PeerIncompatible, RootCertStore,
    SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature},
    server::{
        ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{
    authority::MAX_CHAIN,
    refusal::{PeerRefusal, cut, list},
    tls, x509,
};

/// The roots that we believe. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Roots {
    store: Arc<RootCertStore>,
    /// For messages.
    subjects: Arc<str>,
}

impl Roots {
    /// Reads trust anchors; the error is the position of the one that cannot be used.
    pub(crate) fn new(roots: &[CertificateDer<'static>]) -> Result<Self, usize> {
        let mut store = RootCertStore::empty();
        let mut subjects = Vec::new();
        for (position, root) in roots.iter().enumerate() {
            store.add(root.clone()).map_err(|_| position)?;
            subjects.push(format!(
                "{:?}",
                x509::subject(&x509::parse(root).map_err(|_| position)?)
            ));
        }
        Ok(Self {
            store: Arc::new(store),
            subjects: list(subjects).into(),
        })
    }

    /// Whether a chain would be accepted from a server at `now`, whatever it is called.
    pub(crate) fn check(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        bound(intermediates)?;
        let algorithms = algorithms().all;
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(leaf)?,
            &self.store,
            intermediates,
            now,
            algorithms,
        )
        .map_err(|error| self.explain(error, leaf))
    }

    /// Adds to "unknown issuer" which one and what was expected; other errors carry their context already.
    fn explain(&self, error: rustls::Error, leaf: &CertificateDer<'_>) -> rustls::Error {
        if error == rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)
            && let Ok(certificate) = x509::parse(leaf)
        {
            let (issuer, roots) = (x509::issuer(&certificate), self.subjects.to_string());
            return PeerRefusal::UnknownIssuer { issuer, roots }.into();
        }
        error
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Roots").field(&self.subjects).finish()
    }
}

/// The client's check of a server: it must be one of those that were called.
#[derive(Debug)]
pub(crate) struct ExpectSans {
    roots: Roots,
    expected: Box<[San]>,
}

impl ExpectSans {
    /// With an empty `expected` nobody is believed.
    pub(crate) fn new(roots: Roots, expected: &[San]) -> Self {
        Self {
            roots,
            expected: expected.into(),
        }
    }
}

impl ServerCertVerifier for ExpectSans {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        // Identity is the URI SAN; the address that was dialled proves nothing.
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.roots.check(end_entity, intermediates, now)?;
        let leaf = x509::parse(end_entity)?;
        let found = x509::sole_uri_san(&leaf)?;
        if self.expected.iter().any(|san| san.as_str() == found) {
            return Ok(ServerCertVerified::assertion());
        }
        let expected = match &*self.expected {
            [] => "nobody".to_owned(),
            sans => list(sans.iter().map(San::as_str)),
        };
        Err(PeerRefusal::Unexpected {
            expected,
            found: cut(found),
        }
        .into())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

/// The server's check of a client: it must be a workload of our trust domain.
#[derive(Debug)]
pub(crate) struct ExpectTrustDomain {
    roots: Roots,
    chain: Arc<dyn ClientCertVerifier>,
    trust_domain: TrustDomain,
}

impl ExpectTrustDomain {
    /// A certificate is mandatory. The roots are not named to the client: it has one certificate to show.
    pub(crate) fn new(
        roots: Roots,
        trust_domain: TrustDomain,
    ) -> Result<Self, VerifierBuilderError> {
        let chain =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots.store), tls::provider())
                .clear_root_hint_subjects()
                .build()?;
        Ok(Self {
            roots,
            chain,
            trust_domain,
        })
    }
}

impl ClientCertVerifier for ExpectTrustDomain {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        bound(intermediates)?;
        let verified = self
            .chain
            .verify_client_cert(end_entity, intermediates, now)
            .map_err(|error| self.roots.explain(error, end_entity))?;
        let leaf = x509::parse(end_entity)?;
        let found: SpiffeId = x509::sole_uri_san(&leaf)?
            .parse()
            .map_err(PeerRefusal::NotSpiffe)?;
        if found.trust_domain == self.trust_domain {
            return Ok(verified);
        }
        Err(PeerRefusal::WrongTrustDomain {
            expected: self.trust_domain.clone(),
            found,
        }
        .into())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    tls::provider().signature_verification_algorithms
}

fn bound(intermediates: &[CertificateDer<'_>]) -> Result<(), PeerRefusal> {
    let count = 1 + intermediates.len();
    if count > MAX_CHAIN {
        Err(PeerRefusal::ChainTooLong {
            count,
            max: MAX_CHAIN,
        })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
