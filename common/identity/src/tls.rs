//! What is spoken between two ends of a tunnel: TLS 1.3, AES-GCM, ALPN `h2`, both sides with certificates.
//!
//! In: a key with its chain, and a verifier. Out: configurations. Never: resumes a session, sends SNI,
//! takes a process-wide default. Source: Istio HBONE transport; RFC 8446; RFC 7301.

use std::sync::{Arc, LazyLock};

use rustls::{
    ClientConfig, CommonState, ServerConfig,
    client::{Resumption, danger::ServerCertVerifier},
    crypto::{
        CryptoProvider,
        aws_lc_rs::{self, cipher_suite, kx_group},
    },
    server::{NoServerSessionStorage, danger::ClientCertVerifier},
    sign::SingleCertAndKey,
    version::TLS13,
};

use crate::Clock;

/// The only application protocol of a tunnel. Source: RFC 9113 §3.3.
pub const ALPN: &[u8] = b"h2";

/// The cryptography of every TLS configuration, in order of preference.
///
/// AES-128 stands before AES-256: its strength is that of the signatures and of X25519, at less cost.
/// The hybrid group is first, so that recorded traffic stays closed to a later quantum computer.
static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
        ],
        kx_groups: vec![
            kx_group::X25519MLKEM768,
            kx_group::X25519,
            kx_group::SECP256R1,
        ],
        ..aws_lc_rs::default_provider()
    })
});

/// The cryptography of every TLS configuration.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

/// The side that accepts a tunnel.
pub(crate) fn server(
    identity: SingleCertAndKey,
    verifier: Arc<dyn ClientCertVerifier>,
    clock: &Clock,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(clock.clone()))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(identity));
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Our order of cipher suites holds, not the peer's.
    config.ignore_client_order = true;
    // A resumed session would skip the certificate check: rotation, expiry and revocation must be seen.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// The side that opens a tunnel.
pub(crate) fn client(
    identity: SingleCertAndKey,
    verifier: Arc<dyn ServerCertVerifier>,
    clock: &Clock,
) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_details(provider(), Arc::new(clock.clone()))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(identity));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// A finished handshake that agreed on no application protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("peer negotiated no application protocol, expected ALPN h2")]
pub struct AlpnMissing;

/// Refuses a connection whose handshake did not agree on [`ALPN`]; to be called once, on both sides,
/// before the first byte.
///
/// The TLS library refuses a peer that offers other protocols, but lets one through that offers none.
///
/// # Errors
/// [`AlpnMissing`].
pub fn check_alpn(connection: &CommonState) -> Result<(), AlpnMissing> {
    if connection.alpn_protocol() == Some(ALPN) {
        Ok(())
    } else {
        Err(AlpnMissing)
    }
}

#[cfg(test)]
mod tests;
