//! The HTTP/1.1 endpoints of a process: admin, metrics and readiness.
//!
//! In: bound listeners. Out: answers; a request for shutdown, to whoever asked to hear of it.
//! Never: serves data-plane traffic, or lets one client's slowness reach another.
//!
//! **Tasks:** each `serve_*` future owns the tasks of its connections; dropping it ends them all. None holds
//! state that an end could break.
//!
//! Reading order: [`server`] (the loop and its limits), [`console`], [`scrape`], [`readiness`].

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;

pub(crate) mod console;
pub(crate) mod readiness;
pub(crate) mod scrape;
pub(crate) mod server;

pub use console::{Console, serve_admin};
pub use readiness::{Condition, Readiness, serve_readiness};
pub use scrape::serve_metrics;
pub use server::{Answer, Handler, not_found, of_type, reads, serve, text, wrong_method};

/// An address that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("failed to bind to address {address} of the {endpoint} endpoint (see {variable})")]
pub struct BindError {
    /// What was to be served there.
    pub endpoint: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// The environment variable or flag that sets it.
    pub variable: &'static str,
    /// Why.
    pub source: io::Error,
}

/// Binds the listener of an endpoint; `variable` is where its address can be set, for the error.
///
/// # Errors
/// When the address cannot be bound.
pub async fn bind(
    endpoint: &'static str,
    address: SocketAddr,
    variable: &'static str,
) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| BindError {
            endpoint,
            address,
            variable,
            source,
        })
}

#[cfg(test)]
mod tests;
