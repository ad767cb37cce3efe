//! Whom we believe: the checks of a peer's certificate during the handshake.
//!
//! In: the peer's chain, our [`trust`](crate::trust), the time. Out: yes, or a [`PeerRefusal`] inside the TLS error.
//! Never: builds paths or checks signatures itself (webpki does), looks at DNS names or addresses.
//!
//! ```text
//! client checks the server   chain to a root, unrevoked -> exactly one URI SAN -> it is one of the expected SANs
//! server checks the client   chain to a root, unrevoked -> exactly one URI SAN -> it is a SPIFFE id -> of our trust domain
//! ```
//!
//! Both are bounded: the TLS library takes handshake messages up to 64 KiB, [`MAX_CHAIN`](crate::authority::MAX_CHAIN) bounds the
//! certificates that are looked at, and webpki bounds path length and signature checks.
//!
//! Source: Istio ztunnel peer verification; X.509-SVID §5.

use std::sync::Arc;

use mesh::{San, SpiffeId, TrustDomain};
use rustls::{
    DigitallySignedStruct, DistinguishedName, PeerIncompatible, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{
    refusal::{PeerRefusal, cut, list},
    tls,
    trust::Trust,
    x509,
};

/// The client's check of a server: it must be one of those that were called.
#[derive(Debug)]
pub(crate) struct ExpectSans {
    trust: Arc<Trust>,
    expected: Box<[San]>,
}

impl ExpectSans {
    /// With an empty `expected` nobody is believed.
    pub(crate) fn new(trust: Arc<Trust>, expected: &[San]) -> Self {
        Self {
            trust,
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
        self.trust.check_server(end_entity, intermediates, now)?;
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
    trust: Arc<Trust>,
    trust_domain: TrustDomain,
}

impl ExpectTrustDomain {
    /// A certificate is mandatory.
    pub(crate) fn new(trust: Arc<Trust>, trust_domain: TrustDomain) -> Self {
        Self {
            trust,
            trust_domain,
        }
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
        // The roots are not named to the client: it has one certificate to show.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.trust.check_client(end_entity, intermediates, now)?;
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
        verify_tls13_signature(message, cert, dss, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    tls::provider().signature_verification_algorithms
}

#[cfg(test)]
mod tests;
