//! Who a workload is: its certificate, how it is renewed, and how a peer's is checked.
//!
//! In: a certificate authority that signs requests, and the identities that this node needs.
//! Out: [`Credential`]s with ready TLS configurations, and the identity of a peer after a handshake.
//! Never: decides who may talk to whom, lets a private key out of the process.
//!
//! Reading order: [`authority`] (what a certificate authority is asked), [`file_ca`] (one that lives in two
//! files), [`remote_ca`] (one that a controller runs), [`credential`] (one identity's key and certificate),
//! [`tls`] and [`verify`] (what is spoken and whom we believe), [`trust`] and [`crl`] (until when),
//! [`mod@introduce`] (two credentials of ours), [`refusal`] (why not), [`store`] (one credential per identity, kept fresh), [`dump`].
//!
//! Every TLS configuration names its cryptography provider ([`tls::provider`]); there is no process default.

#![forbid(unsafe_code)]

pub mod authority;
pub mod clock;
pub mod credential;
pub mod crl;
mod der;
pub mod dump;
pub mod file_ca;
pub mod introduce;
mod key;
pub mod pem;
pub mod refusal;
pub mod remote_ca;
pub mod store;
pub mod tls;
pub mod trust;
pub mod verify;
mod x509;

pub use authority::{BoxFuture, CaError, CertificateAuthority, Issued, SigningRequest};
pub use clock::Clock;
pub use credential::{AnswerError, Credential};
pub use crl::{CrlError, CrlFile, CrlStats};
pub use file_ca::{FileCa, FileCaError};
pub use introduce::{Introduced, NotIntroduced, introduce};
pub use refusal::PeerRefusal;
pub use remote_ca::RemoteCa;
pub use store::{Config, Error, Store};
pub use tls::{AlpnMissing, check_alpn};
pub use x509::{PeerCertificate, asn1, peer_identity, wall};

#[cfg(test)]
mod testkit;
