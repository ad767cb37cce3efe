//! HBONE: TCP connections as HTTP/2 CONNECT streams in mutual TLS.
//!
//! In: TCP connections, TLS configurations, CONNECT heads. Out: [`Stream`]s that relay like sockets.
//! Never: decides who may talk to whom, chooses a destination, reads configuration.
//!
//! Reading order: [`tls`] (records), [`tunnel`] (what both sides of a connection share), [`client`] and
//! [`server`], [`pool`] (which tunnel carries a stream), [`early`] (what goes
//! ahead of the answer), [`stream`] (one relayed connection).
//!
//! The HTTP/2 engine is the `h2` crate. No type of it is in this crate's public face, and the socket buffers
//! are [`tls`]'s own, so that another engine can take its place.

#![forbid(unsafe_code)]

pub mod client;
pub mod early;
mod held;
pub mod pool;
pub mod server;
pub mod settings;
pub mod stream;
pub mod tls;
mod tunnel;
mod unsent;

pub use early::Early;
pub use pool::{OpenError, Pool, TunnelKey};
pub use settings::Settings;
pub use stream::Stream;
