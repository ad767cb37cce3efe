//! Why there is no credential.

use std::{sync::Arc, time::Duration};

use mesh::SpiffeId;

use crate::{AnswerError, CaError};

/// Why there is no credential for an identity. Cheap to clone: all who wait get the same one.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No key pair could be made.
    #[error("no key pair could be made for {identity}")]
    Key {
        /// Whose.
        identity: SpiffeId,
        /// Why not.
        #[source]
        source: Arc<rcgen::Error>,
    },
    /// The authority signed nothing.
    #[error("certificate authority signed nothing for {identity}")]
    Authority {
        /// For whom.
        identity: SpiffeId,
        /// Why not.
        #[source]
        source: Arc<CaError>,
    },
    /// The authority said nothing.
    #[error("certificate authority did not answer for {identity} within {} s", limit.as_secs())]
    Timeout {
        /// For whom.
        identity: SpiffeId,
        /// The limit.
        limit: Duration,
    },
    /// The authority's answer is of no use.
    #[error("answer of the certificate authority for {identity} cannot be used")]
    Answer {
        /// For whom.
        identity: SpiffeId,
        /// Why not.
        #[source]
        source: Arc<AnswerError>,
    },
    /// The certificate ended before it could be used, or the clock jumped.
    #[error("certificate of {identity} expired")]
    Expired {
        /// Whose.
        identity: SpiffeId,
    },
    /// The node holds as many as it may.
    #[error("no room for the certificate of {identity}: this node holds {max} identities already")]
    TooManyIdentities {
        /// For whom.
        identity: SpiffeId,
        /// The limit.
        max: usize,
    },
    /// The last pod with the identity left while its certificate was awaited.
    #[error("{identity} was forgotten: its last pod left")]
    Forgotten {
        /// Whose.
        identity: SpiffeId,
    },
    /// The process ends.
    #[error("certificate store has stopped")]
    Stopped,
}

impl Error {
    /// The error with its causes, for a log line.
    #[must_use]
    pub fn chain(&self) -> String {
        grpc::status::chain(self)
    }
}
