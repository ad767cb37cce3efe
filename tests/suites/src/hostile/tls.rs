//! TLS clients that show any certificate and believe everybody, on blocking sockets.

use std::io::{ErrorKind, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use lab::{Issued, Machine};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, DistinguishedName, SignatureScheme,
    StreamOwned,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};

use super::DEADLINE;

/// A connection whose handshake has ended on our side.
pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// What a client shows.
#[derive(Debug)]
pub struct Client {
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    protocols: Vec<Vec<u8>>,
}

impl Client {
    /// Shows no certificate, and speaks `h2`.
    pub fn anonymous() -> Self {
        Self {
            identity: None,
            protocols: vec![b"h2".to_vec()],
        }
    }

    /// Shows this certificate, and speaks `h2`.
    pub fn with(issued: &Issued) -> Self {
        let (chain, key) = identity(issued);
        Self::with_chain(chain, key)
    }

    /// Shows this chain, leaf first, and speaks `h2`.
    pub fn with_chain(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Self {
        Self {
            identity: Some((chain, key)),
            ..Self::anonymous()
        }
    }

    /// Offers these protocols instead.
    #[must_use]
    pub fn protocols(mut self, protocols: &[&str]) -> Self {
        self.protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        self
    }

    fn config(&self) -> Result<Arc<ClientConfig>> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Gullible));
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder.with_client_auth_cert(chain.clone(), key.clone_key())?,
        };
        config.alpn_protocols.clone_from(&self.protocols);
        config.enable_sni = false;
        Ok(Arc::new(config))
    }

    /// Connects from a machine and ends the handshake on our side. In TLS 1.3 that is before the server has looked
    /// at our certificate: see [`refusal`].
    ///
    /// # Errors
    /// When nobody listens, or the server breaks the handshake off before its end.
    pub fn connect(&self, from: &Machine, to: SocketAddr) -> Result<Tls> {
        let mut socket = tcp(from, to)?;
        let name = ServerName::IpAddress(to.ip().into());
        let mut tls = ClientConnection::new(self.config()?, name)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).context("TLS handshake")?;
        }
        Ok(StreamOwned::new(tls, socket))
    }
}

/// A plain connection from a machine, with deadlines.
///
/// # Errors
/// When nobody listens.
pub fn tcp(from: &Machine, to: SocketAddr) -> Result<TcpStream> {
    let socket = from
        .run(|| TcpStream::connect_timeout(&to, DEADLINE))?
        .with_context(|| format!("connect to {to} from {}", from.name()))?;
    socket.set_read_timeout(Some(DEADLINE))?;
    socket.set_write_timeout(Some(DEADLINE))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// How a server refuses: reads until it breaks off, and says with which words.
///
/// # Errors
/// When the server goes on talking, or is silent.
pub fn refusal(result: Result<Tls>) -> Result<String> {
    let mut tls = match result {
        Ok(tls) => tls,
        Err(error) => return Ok(format!("{error:#}")),
    };
    let mut bytes = Vec::new();
    match tls.read_to_end(&mut bytes) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            bail!("the server neither speaks nor ends the connection")
        }
        Err(error) if bytes.is_empty() => Ok(error.to_string()),
        result => bail!("the server answered {} bytes, then {result:?}", bytes.len()),
    }
}

/// A chain and its key as rustls takes them. The root is not part of it.
pub fn identity(issued: &Issued) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    (
        vec![CertificateDer::from(issued.cert_der.clone())],
        PrivatePkcs8KeyDer::from(issued.key_der.clone()).into(),
    )
}

/// The one set of algorithms.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    aws_lc_rs::default_provider().signature_verification_algorithms
}

/// Believes everybody.
#[derive(Debug)]
pub(super) struct Gullible;

impl ClientCertVerifier for Gullible {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        ServerCertVerifier::verify_tls12_signature(self, message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General(
            "TLS 1.2 is not spoken here".to_owned(),
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}
