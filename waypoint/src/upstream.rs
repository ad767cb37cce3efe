//! From "send this to that backend" to bytes on a tunnel.
//!
//! In: a backend, a request or a connection. Out: an answer whose body streams, or an end to relay to.
//! Never: chooses a route; edits a message beyond what the version of HTTP asks for; tries anything again that an
//! endpoint may have acted on, but for an idempotent request without a body whose kept connection of HTTP/1.1 was closed
//! without an answer (RFC 9110 §9.2.2).
//!
//! ```text
//!   Clusters::get ─▶ Cluster::request ─▶ Cluster::pick ─┬─▶ Cluster::send ────▶ http1 | http2 ─┐
//!   (by backend)     (breaker)           (endpoint)     └─▶ Cluster::connect ──────────────────┴─▶ dial ─▶ tunnel
//! ```
//! Reading order: [`clusters`] (all backends, and how they follow the mesh), [`cluster`] (one backend), [`hosts`] and
//! [`host`] (its endpoints), [`breaker`], [`behalf`] (for whom) and [`lanes`], [`send`], [`pool`] (which connection), [`http1`] and [`http2`] (one exchange),
//! [`response`], [`dial`], [`error`].
//!
//! What is counted and judged belongs to the process and is atomic; connections belong to a worker and never leave it.

use std::sync::Arc;

use net::drain::Draining;

pub mod behalf;
pub mod breaker;
pub mod cluster;
pub mod clusters;
pub mod dial;
pub mod error;
pub mod health;
pub mod host;
pub mod hosts;
mod http1;
mod http2;
mod judge;
mod lanes;
mod names;
pub mod pool;
mod ports;
pub mod response;
pub mod send;
mod socket;
mod state;

pub use behalf::{By, Client};
pub use breaker::{Overflow, RequestPermit, RetryPermit};
pub use cluster::{Ask, Cluster, Pick};
pub use clusters::Clusters;
pub use dial::Connected;
pub use error::{NoHost, Reset, SendError};
pub use host::Host;
pub use response::UpstreamBody;
pub use send::Sent;

/// What one worker has of its own: its tunnels, and a number by which every endpoint keeps its connections.
#[derive(Debug)]
pub struct Worker {
    /// Its number, from 0.
    pub index: usize,
    tunnels: Arc<hbone::Pool>,
}

impl Worker {
    /// A worker without a connection. `index` is below the count that [`Clusters::new`] was told.
    #[must_use]
    pub fn new(index: usize, settings: Arc<hbone::Settings>, draining: Draining) -> Arc<Self> {
        Arc::new(Self {
            index,
            tunnels: hbone::Pool::new(settings, draining),
        })
    }

    /// Its tunnels.
    #[must_use]
    pub fn tunnels(&self) -> &Arc<hbone::Pool> {
        &self.tunnels
    }
}

#[cfg(test)]
mod tests;
