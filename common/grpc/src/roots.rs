//! Whom we believe at the other end: the certificates that a control plane's chain must end at.
//!
//! In: a file, a text, or what the system believes. Out: trust anchors, read anew for every connection, so
//! that a rotated root counts from the next connection on. Never: an empty set, which would believe nobody.

use std::{fmt, io, path::PathBuf};

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, pem, pem::PemObject as _};

use crate::file;

/// The most bytes of a roots file: a bundle of the whole public web has a quarter of it.
const MAX_ROOTS_BYTES: u64 = 1 << 20;

/// The most certificates of a roots file; a private mesh has a few.
const MAX_ROOTS: usize = 1024;

/// Whom to believe at the other end.
#[derive(Clone, PartialEq, Eq)]
pub enum Roots {
    /// A PEM file, read anew for every connection.
    File(PathBuf),
    /// PEM text.
    Pem(String),
    /// What this system believes; see `SSL_CERT_FILE` and `SSL_CERT_DIR` of OpenSSL.
    System,
}

impl Roots {
    /// Reads the value of `XDS_ROOT_CA` or `CA_ROOT_CA`: `SYSTEM`, PEM text, else the path of a file.
    /// Source: Istio ztunnel's configuration.
    #[must_use]
    pub fn from_setting(value: &str) -> Self {
        if value == "SYSTEM" {
            Self::System
        } else if value.contains("-----BEGIN ") {
            Self::Pem(value.to_owned())
        } else {
            Self::File(PathBuf::from(value))
        }
    }

    /// The trust anchors as they are now.
    ///
    /// # Errors
    /// When there are none, or one cannot be believed.
    pub async fn load(&self) -> Result<RootCertStore, RootsError> {
        let origin = self.to_string();
        match self {
            Self::File(path) => {
                let pem =
                    file::read(path, MAX_ROOTS_BYTES)
                        .await
                        .map_err(|source| RootsError::Read {
                            path: path.clone(),
                            source,
                        })?;
                parse(&pem, origin)
            }
            Self::Pem(text) => parse(text.as_bytes(), origin),
            Self::System => {
                let found = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs)
                    .await
                    .map_err(|error| RootsError::System {
                        problem: error.to_string(),
                    })?;
                let mut store = RootCertStore::empty();
                let (added, _ignored) = store.add_parsable_certificates(found.certs);
                if added == 0 {
                    let problem = found
                        .errors
                        .first()
                        .map_or_else(|| "none is installed".to_owned(), ToString::to_string);
                    return Err(RootsError::System { problem });
                }
                Ok(store)
            }
        }
    }
}

impl fmt::Display for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "roots file {}", path.display()),
            Self::Pem(_) => f.write_str("PEM text of the roots"),
            Self::System => f.write_str("roots of the system"),
        }
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({self})")
    }
}

/// Why there is nobody to believe.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file cannot be read.
    #[error("roots file {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is no PEM.
    #[error("{origin}: expected PEM blocks of CERTIFICATE")]
    Pem {
        /// Where from.
        origin: String,
        /// What was found.
        #[source]
        source: pem::Error,
    },
    /// One of the certificates cannot be believed.
    #[error("{origin}: certificate {position} cannot be a root")]
    Certificate {
        /// Where from.
        origin: String,
        /// Counted from 1.
        position: usize,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
    /// None at all.
    #[error("{origin}: no certificate found, expected at least one PEM block of CERTIFICATE")]
    Empty {
        /// Where from.
        origin: String,
    },
    /// More than anybody needs.
    #[error("{origin}: more than {max} certificates")]
    TooMany {
        /// Where from.
        origin: String,
        /// The limit.
        max: usize,
    },
    /// The system believes nobody.
    #[error("roots of the system cannot be used: {problem}")]
    System {
        /// What its store says.
        problem: String,
    },
}

fn parse(pem: &[u8], origin: String) -> Result<RootCertStore, RootsError> {
    let mut store = RootCertStore::empty();
    for (index, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        if index == MAX_ROOTS {
            return Err(RootsError::TooMany {
                origin,
                max: MAX_ROOTS,
            });
        }
        let certificate = certificate.map_err(|source| RootsError::Pem {
            origin: origin.clone(),
            source,
        })?;
        store
            .add(certificate)
            .map_err(|source| RootsError::Certificate {
                origin: origin.clone(),
                position: index + 1,
                source,
            })?;
    }
    if store.is_empty() {
        return Err(RootsError::Empty { origin });
    }
    Ok(store)
}
