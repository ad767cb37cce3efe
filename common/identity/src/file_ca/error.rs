//! What can be wrong with the two files.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustls_pki_types::pem;

use crate::{
    CaError,
    refusal::{PeerRefusal, rfc3339},
};

/// Which setting a problem is about: the variable, and the path in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    variable: &'static str,
    path: Option<PathBuf>,
}

impl Origin {
    pub(super) fn certificate(path: Option<&Path>) -> Self {
        Self {
            variable: "FILE_CA_CERT",
            path: path.map(Path::to_path_buf),
        }
    }

    pub(super) fn key(path: Option<&Path>) -> Self {
        Self {
            variable: "FILE_CA_KEY",
            path: path.map(Path::to_path_buf),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{} ({})", self.variable, path.display()),
            None => f.write_str(self.variable),
        }
    }
}

/// Why no authority can be made of the two files.
#[derive(Debug, thiserror::Error)]
pub enum FileCaError {
    /// The file cannot be read.
    #[error("{at}: cannot be read, expected a PEM file")]
    Read {
        /// Which file.
        at: Origin,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Not PEM, or nothing of the expected kind in it.
    #[error("{at}: no PEM block of the kind {expected} can be read")]
    Pem {
        /// Which file.
        at: Origin,
        /// The label of the block.
        expected: &'static str,
        /// Why not.
        #[source]
        source: pem::Error,
    },
    /// No certificate in the file.
    #[error("{at}: holds no certificate, expected the one that signs first")]
    Empty {
        /// Which file.
        at: Origin,
    },
    /// More certificates than are read.
    #[error("{at}: holds too many certificates, expected at most {max}")]
    TooMany {
        /// Which file.
        at: Origin,
        /// The limit.
        max: usize,
    },
    /// A block that is not a certificate.
    #[error("{at}: certificate {position} (counted from 0) cannot be read")]
    Certificate {
        /// Which file.
        at: Origin,
        /// Which block.
        position: usize,
        /// Why not.
        #[source]
        source: PeerRefusal,
    },
    /// A certificate that may not sign others.
    #[error("{at}: {subject:?} is not a certificate authority, expected {expected}")]
    NotAuthority {
        /// Which file.
        at: Origin,
        /// Whose certificate.
        subject: String,
        /// The extension that it lacks.
        expected: &'static str,
    },
    /// A certificate whose time is over or to come.
    #[error(
        "{at}: {subject:?} is valid from {} to {}, expected it to cover now, {}",
        rfc3339(*not_before), rfc3339(*not_after), rfc3339(*now)
    )]
    Lifetime {
        /// Which file.
        at: Origin,
        /// Whose certificate.
        subject: String,
        /// The start of its validity.
        not_before: SystemTime,
        /// The end of its validity.
        not_after: SystemTime,
        /// The time of the check.
        now: SystemTime,
    },
    /// A key that cannot be used.
    #[error(
        "{at}: not a private key that can sign, expected ECDSA (P-256, P-384, P-521), RSA or Ed25519"
    )]
    Key {
        /// Which file.
        at: Origin,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
    /// The key of somebody else.
    #[error(
        "{key_at}: does not belong to the first certificate of {at}, expected the key that it was made for"
    )]
    ForeignKey {
        /// The certificate's file.
        at: Origin,
        /// The key's file.
        key_at: Origin,
    },
    /// The signing certificate has parts that cannot be carried over.
    #[error("{at}: the first certificate cannot be used to sign")]
    Signer {
        /// Which file.
        at: Origin,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
    /// The subject cannot be written byte by byte as the issuer of a leaf.
    #[error(
        "{at}: the subject {subject:?} cannot be copied into certificates, expected each attribute at most once"
    )]
    Subject {
        /// Which file.
        at: Origin,
        /// The subject.
        subject: String,
    },
    /// A root that cannot be a trust anchor.
    #[error("{at}: root {position} (counted from 0 among the roots) cannot be a trust anchor")]
    Root {
        /// Which file.
        at: Origin,
        /// Which root.
        position: usize,
    },
    /// Signing fails.
    #[error("{at}: signing a first certificate failed")]
    Rehearsal {
        /// Which file.
        at: Origin,
        /// Why.
        #[source]
        source: CaError,
    },
    /// Certificates signed with it would be refused.
    #[error(
        "{at}: peers would refuse what it signs, expected the signing certificate first and then each issuer up to a root"
    )]
    Chain {
        /// Which file.
        at: Origin,
        /// Why.
        #[source]
        source: PeerRefusal,
    },
}
