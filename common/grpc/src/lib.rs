//! gRPC to the control plane: the services' stubs, and the channel that a client speaks them over.
//!
//! In: an [`Endpoint`], that is an address, whom to believe there, and who we say we are.
//! Out: a [`Channel`], one HTTP/2 connection that the generated clients of [`service`] use.
//! Never: retries, keeps an answer, knows what is asked; who asks paces itself with a [`Backoff`].
//!
//! Reading order: [`endpoint`] (the setting), [`roots`] (whom we believe), [`connect`] (TCP, TLS, HTTP/2),
//! [`channel`] (requests over it), [`token`] (who we are), [`status`] (what went wrong, in words), [`backoff`].

#![forbid(unsafe_code)]

pub mod backoff;
pub mod channel;
pub mod connect;
pub mod endpoint;
mod file;
pub mod roots;
pub mod service;
pub mod status;
pub mod token;

pub use backoff::Backoff;
pub use channel::{Answer, CallError, Channel};
pub use connect::ConnectError;
pub use endpoint::Endpoint;
pub use roots::{Roots, RootsError};
pub use token::TokenError;

#[cfg(test)]
mod testkit;
