//! What a certificate authority is asked and what it answers.
//!
//! In: a request for one identity. Out: a chain and the roots to believe.
//! Never: sees a private key; the key pair is made by the asker and only its CSR travels.

use std::{error, fmt, time::Duration, time::SystemTime};

use mesh::SpiffeId;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};

use crate::{pem, refusal::rfc3339, remote_ca::BadAnswer};

/// A boxed future, so that the trait can be used as an object.
pub type BoxFuture<'a, T> = futures_util::future::BoxFuture<'a, T>;

/// One certificate that is wanted.
#[derive(Clone, Debug)]
pub struct SigningRequest {
    /// Whom the certificate shall name.
    pub id: SpiffeId,
    /// PKCS #10: an ECDSA P-256 key, empty subject, exactly one URI SAN that equals `id`.
    pub csr: CertificateSigningRequestDer<'static>,
    /// How long the certificate should live; an authority may give less.
    pub ttl: Duration,
    /// The wall time of the asker. An authority with a clock of its own ignores it.
    pub now: SystemTime,
}

impl SigningRequest {
    /// The CSR as one PEM block. Source: istio.v1.auth `IstioCertificateRequest.csr`.
    #[must_use]
    pub fn csr_pem(&self) -> String {
        pem::encode("CERTIFICATE REQUEST", &self.csr)
    }
}

/// What an authority answers.
///
/// **Shape**: `chain` is the leaf, then the intermediates up to, without, the root; `roots` is every
/// certificate that peers may chain to and is never empty.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The trust bundle.
    pub roots: Vec<CertificateDer<'static>>,
}

/// Signs certificates for workloads.
pub trait CertificateAuthority: fmt::Debug + Send + Sync + 'static {
    /// Signs one request. The caller bounds the time it waits and may drop the future at any await.
    ///
    /// # Errors
    /// [`CaError`]; the caller retries with back-off, whatever the reason.
    fn issue(&self, request: SigningRequest) -> BoxFuture<'_, Result<Issued, CaError>>;
}

/// Why an authority signed nothing.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The CSR cannot be read, or its signature does not prove possession of the key.
    #[error("certificate request is not a PKCS #10 request that is signed with its own key")]
    Request(#[source] rcgen::Error),
    /// The CSR holds another kind of key.
    #[error("certificate request holds a key that is not ECDSA P-256")]
    KeyKind,
    /// The CSR names something else than what is asked for.
    #[error(
        "certificate request names {found:?}, expected an empty subject and the one URI SAN {expected}"
    )]
    Name {
        /// The identity in the request.
        expected: SpiffeId,
        /// What the CSR names, cut to a length that is fit for a log line.
        found: String,
    },
    /// The authority's own certificate does not cover the present.
    #[error(
        "signing certificate is valid from {} to {}, now is {}",
        rfc3339(*not_before), rfc3339(*not_after), rfc3339(*now)
    )]
    Lifetime {
        /// The latest start of the certificates that sign.
        not_before: SystemTime,
        /// Their earliest end.
        not_after: SystemTime,
        /// The time of the request.
        now: SystemTime,
    },
    /// The certificate could not be made.
    #[error("certificate could not be signed")]
    Signing(#[source] rcgen::Error),
    /// The random source failed.
    #[error("no random bytes for a serial number")]
    Random,
    /// A remote authority said no.
    #[error("{authority} refused: {reason}")]
    Refused {
        /// Its address.
        authority: String,
        /// Its words.
        reason: String,
    },
    /// A remote authority said something that is no answer.
    #[error("answer of {authority} is no chain with its roots")]
    Answer {
        /// Its address.
        authority: String,
        /// What is wrong with it.
        #[source]
        source: BadAnswer,
    },
    /// A remote authority could not be asked: no connection, or no token to show there.
    #[error("{authority} cannot be asked")]
    Unreachable {
        /// Its address.
        authority: String,
        /// Why not.
        #[source]
        source: Box<dyn error::Error + Send + Sync>,
    },
}

/// The most certificates that a chain may hold: the leaf, the six intermediates beyond which no path is
/// built (the verifier's own limit), and a root that some senders append.
pub const MAX_CHAIN: usize = 8;

/// The most roots that an answer may hold: a bundle grows during rotations and federation, not with the mesh.
pub const MAX_ROOTS: usize = 64;
