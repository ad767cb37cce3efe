//! What a PROXY header said before the first byte of a connection.

use std::net::SocketAddr;

/// Whom a load balancer spoke for. Its word, not a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// The client; the tunnel's peer where the header says that it speaks for itself, or does not know.
    pub source: SocketAddr,
    /// What the client was connected to; `None` where the header does not say. For logs and PROXY headers of ours: which policies hold is
    /// decided by what the CONNECT asked for.
    pub destination: Option<SocketAddr>,
}
