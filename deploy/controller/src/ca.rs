//! The certificate authority: who gets which certificate, signed by what, believed through which roots.
//!
//! In: requests over gRPC, the state folder, perhaps an authority from elsewhere. Out: certificates of
//! workloads, this server's own, the bundle of roots, the list of revoked certificates.
//! Never: takes a name, a purpose or a life from a request; makes a new root where one was.
//!
//! Reading order: [`service`] (who may ask for what), [`request`] (what a request proves), [`authority`] (the
//! process' one authority), [`signer`] (what signs), then where it comes from: [`own`] with [`root`],
//! [`rotation`] and [`kept`], or [`plugged`]; [`revocation`], [`serving`], [`state`] (the folder).

mod authority;
pub(crate) mod digest;
mod kept;
mod own;
mod plugged;
mod request;
mod revocation;
mod root;
mod rotation;
mod service;
mod serving;
mod signed;
mod signer;
pub(crate) mod state;

use std::time::SystemTime;

pub use authority::{Authority, AuthorityError, Options};
pub use kept::KeptError;
pub use own::{RotateError, request_rotation};
pub use plugged::PluggedError;
pub use request::{CertificateRequest, MAX_REQUEST_BYTES, RequestError};
pub use revocation::{CrlError, RevokeError, revoke};
pub use root::RootError;
pub use service::{IssueError, Residents, Service};
pub use signer::{Issued, SignerError};
pub use state::StateError;

/// A time for people.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .and_then(|time| time.round(jiff::Unit::Second))
        .map_or_else(|_| "(no date)".to_owned(), |time| time.to_string())
}

#[cfg(test)]
pub(crate) mod testkit;
