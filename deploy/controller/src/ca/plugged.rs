//! An authority below a root from elsewhere, in a folder of the `cacerts` layout (ID-06).
//!
//! ```text
//! ca-cert.pem     what signs
//! ca-key.pem      its key
//! cert-chain.pem  what signs, and what stands above it; roots in it are left out of what is sent
//! root-cert.pem   who is to be believed; several during a change of roots
//! ca-crl.pem      what is revoked (may be missing)
//! ```
//!
//! In: the folder. Out: a [`Signer`] and a list of revoked certificates, both checked. Never: uses half of a
//! change; what is wrong is reported and the last good stays.
//!
//! Source: Istio secret `cacerts`.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use rcgen::KeyPair;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use super::{
    revocation::{self, CrlError},
    signer::{Signer, SignerError},
    state::{self, StateError},
};

/// The most bytes of one file with certificates: far above a long bundle.
const MAX_BYTES: u64 = 1 << 20;

/// What is wrong in the folder.
#[derive(Debug, thiserror::Error)]
pub enum PluggedError {
    /// A file cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A file is missing.
    #[error("{}: is not there, expected ca-cert.pem, ca-key.pem, cert-chain.pem and root-cert.pem", path.display())]
    Missing {
        /// Which one.
        path: PathBuf,
    },
    /// A file without what it should hold.
    #[error("{}: no PEM block {expected} can be read", path.display())]
    Pem {
        /// Which one.
        path: PathBuf,
        /// The label.
        expected: &'static str,
    },
    /// A key that cannot sign.
    #[error("{}: not a private key that can sign, expected ECDSA, Ed25519 or RSA", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
    /// The files do not fit together.
    #[error("{}: cannot be used", path.display())]
    Signer {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: SignerError,
    },
    /// The list of revoked certificates is wrong.
    #[error("{}: cannot be published", path.display())]
    Crl {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: CrlError,
    },
}

/// The bytes of the folder at one time.
#[derive(Clone, PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    chain: Vec<u8>,
    roots: Vec<u8>,
    list: Option<Vec<u8>>,
}

/// What came of a look at the folder.
pub(crate) struct Change {
    pub(crate) signer: Signer,
    /// PEM; `None` is no list.
    pub(crate) list: Option<String>,
}

/// A folder that is looked at again and again.
pub(crate) struct Plugged {
    path: PathBuf,
    used: Option<Contents>,
    /// What the last look found, if it is not what is used.
    pending: Option<Contents>,
}

impl Plugged {
    /// Warns of a key that others can read: a secret that is mounted looks like that, a file of the operator's
    /// should not.
    pub(crate) fn new(path: &Path) -> Self {
        let key = path.join("ca-key.pem");
        if let Ok(metadata) = fs::metadata(&key)
            && metadata.permissions().mode() & 0o007 != 0
        {
            tracing::warn!(file = %key.display(), mode = format!("{:03o}", metadata.permissions().mode() & 0o777),
                "others can read the key of the authority");
        }
        Self {
            path: path.to_path_buf(),
            used: None,
            pending: None,
        }
    }

    /// What is new; `None` if nothing has changed, or if the change is bad and was reported before.
    ///
    /// A change is taken, or reported as bad, when two looks in a row find it: a file that is being written, and
    /// files that are replaced one after the other, look good or bad in between. Except at the start, when there
    /// is nothing else to use.
    pub(crate) fn look(&mut self, now: SystemTime) -> Result<Option<Change>, PluggedError> {
        let pending = self.pending.take();
        let contents = self.read()?;
        if self.used.as_ref() == Some(&contents) {
            return Ok(None);
        }
        if self.used.is_some() && pending.as_ref() != Some(&contents) {
            self.pending = Some(contents);
            return Ok(None);
        }
        match self.build(&contents, now) {
            Ok(change) => {
                self.used = Some(contents);
                Ok(Some(change))
            }
            Err(error) => {
                self.pending = Some(contents);
                Err(error)
            }
        }
    }

    fn read(&self) -> Result<Contents, PluggedError> {
        // A mounted secret is exchanged by one link; it is followed once, so that all files are of one version.
        let folder =
            fs::canonicalize(self.path.join("..data")).unwrap_or_else(|_| self.path.clone());
        let need = |name: &str| {
            let path = folder.join(name);
            state::read(&path, MAX_BYTES)?.ok_or(PluggedError::Missing { path })
        };
        Ok(Contents {
            certificate: need("ca-cert.pem")?,
            key: need("ca-key.pem")?,
            chain: need("cert-chain.pem")?,
            roots: need("root-cert.pem")?,
            list: state::read(
                &folder.join(revocation::PUBLISHED),
                revocation::MAX_CRL_BYTES,
            )?,
        })
    }

    fn build(&self, contents: &Contents, now: SystemTime) -> Result<Change, PluggedError> {
        let certificates = |name: &str, bytes: &[u8]| {
            CertificateDer::pem_slice_iter(bytes)
                .collect::<Result<Vec<CertificateDer<'static>>, _>>()
                .map_err(|_| PluggedError::Pem {
                    path: self.path.join(name),
                    expected: "CERTIFICATE",
                })
        };
        let mut chain = certificates("ca-cert.pem", &contents.certificate)?;
        for certificate in certificates("cert-chain.pem", &contents.chain)? {
            if !chain.contains(&certificate) {
                chain.push(certificate);
            }
        }
        let roots = certificates("root-cert.pem", &contents.roots)?;
        let path = self.path.join("ca-key.pem");
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|_| PluggedError::Pem {
            path: path.clone(),
            expected: "PRIVATE KEY",
        })?;
        let key = KeyPair::try_from(&key).map_err(|source| PluggedError::Key { path, source })?;
        let signer =
            Signer::new(&chain, key, &roots, now).map_err(|source| PluggedError::Signer {
                path: self.path.clone(),
                source,
            })?;
        chain.extend(roots);
        let list = match &contents.list {
            None => None,
            Some(bytes) => {
                let checked = revocation::check(bytes, &chain, now);
                Some(checked.map_err(|source| PluggedError::Crl {
                    path: self.path.join(revocation::PUBLISHED),
                    source,
                })?)
            }
        };
        Ok(Change { signer, list })
    }
}

#[cfg(test)]
mod tests;
