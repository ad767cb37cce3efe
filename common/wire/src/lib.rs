//! Bytes to values and back, for every format that a peer of ours writes.
//!
//! In: bytes, header values, request heads.
//! Out: small typed values, or an error that names the field and what was expected.
//! Never: I/O, tasks, clocks, randomness, a lookup in the mesh, a decision.
//!
//! Reading order: [`connect`] (the head of an HBONE tunnel) and what it is made of, [`authority`],
//! [`baggage`], [`forwarded`], [`principal`] and [`traceparent`]; [`proxy_protocol`]; then [`zds`] (the node agent's packets); then [`proto`] and
//! [`xds`] (what the control plane sends).
//!
//! A parser here never panics, never allocates more than a small multiple of what it was given, and
//! is a target of `tests/fuzz`.

#![forbid(unsafe_code)]

pub mod authority;
pub mod baggage;
pub mod connect;
pub mod forwarded;
mod header;
pub mod principal;
pub mod proto;
pub mod proxy_protocol;
pub mod traceparent;
pub mod xds;
pub mod zds;

pub use authority::{Authority, DnsName};
pub use baggage::Baggage;
pub use forwarded::Forwarded;
pub use traceparent::Traceparent;
