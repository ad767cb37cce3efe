//! What the access stage of every request shares: one for the process, in [`crate::proxy::Proxy`].
//!
//! In: what the environment says. Out: nothing by itself; each part belongs to the file that it is made in. Never: holds what
//! belongs to one request.

use std::sync::Arc;

use grpc::Roots;

use super::{
    keys::{Keys, Reach},
    limit::Limits,
};

/// The parts. A worker uses them without waiting for another.
#[derive(Debug)]
pub struct Shared {
    /// The keys of issuers of tokens.
    pub keys: Keys,
    /// The tokens of rate limits.
    pub limits: Arc<Limits>,
}

/// What the parts are told at the start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whom hosts of keys are believed by. Source: `JWKS_ROOT_CA`; unset: the system's.
    pub jwks_roots: Roots,
    /// Where hosts of keys may be.
    pub jwks_reach: Reach,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            jwks_roots: Roots::System,
            jwks_reach: Reach::Others,
        }
    }
}

impl Shared {
    /// Nothing is known yet. Needs no runtime: what must run later runs on the runtime of who asks first.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            keys: Keys::new(options.jwks_roots, options.jwks_reach),
            limits: Arc::default(),
        }
    }
}
