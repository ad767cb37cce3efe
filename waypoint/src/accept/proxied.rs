//! PROXY headers of clients: who must send one, who must not, and what it says.
//!
//! In: the [`ClientAddress`] of what was asked for, the certified peer, the first bytes of its connection. Out: [`Proxied`], with the
//! header taken out of the connection; or why the connection is reset. Never: a header of a peer that the policy does not list;
//! a look at the bytes where none is expected: there they are the application's.
//!
//! ```text
//!   port expects headers   peer is listed
//!   no                     -                bytes are the application's, whatever they look like
//!   yes                    yes              a header, then the bytes; anything else is reset
//!   yes                    no               bytes are the application's; what begins as a header is reset
//! ```
//! In the mesh a load balancer is a captured pod: its header is the first thing in the CONNECT's stream, and other pods call the
//! same port without one. So it is not the port that says whether there is a header, nor the bytes, but the certificate.

use std::{io, net::SocketAddr, time::Duration};

use decision::waypoint::Target;
use mesh::{
    Snapshot, SpiffeId, access::ClientAddress, route::RouteKey, settings::WaypointSettings,
};
use net::relay::Duplex;
use wire::proxy_protocol::{self, Read};

use crate::{
    detect::{Peeked, UntrustedHeader},
    request::client::trusts,
    session::Proxied,
};

/// How long a header is waited for. Reason: who sends one sends it at once (§2 of its specification: before anything else), and
/// somebody who does not holds a stream.
const TIMEOUT_HEADER: Duration = Duration::from_secs(10);

/// What is asked of the first bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proxying {
    /// Nothing.
    None,
    /// That they are a header.
    Header,
    /// That they are none.
    Refused,
}

/// Why a connection is reset.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Header(#[from] proxy_protocol::Error),
    #[error("PROXY header: the connection ended after {bytes} bytes of it")]
    Ended { bytes: usize },
    #[error("PROXY header: not whole after {} s", TIMEOUT_HEADER.as_secs())]
    TimedOut,
    #[error("io error: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Untrusted(#[from] UntrustedHeader),
}

impl Proxying {
    /// What is asked of a peer that asks for `target`.
    pub(super) fn of(
        snapshot: &Snapshot,
        settings: &WaypointSettings,
        target: &Target,
        peer: &SpiffeId,
    ) -> Self {
        match policy(snapshot, settings, target) {
            Some(policy) if policy.proxy_protocol => match trusts(policy, peer) {
                true => Self::Header,
                false => Self::Refused,
            },
            Some(_) | None => Self::None,
        }
    }
}

/// Whose word counts for what was asked for.
fn policy<'s>(
    snapshot: &'s Snapshot,
    settings: &'s WaypointSettings,
    target: &Target,
) -> Option<&'s ClientAddress> {
    let of_port = match target {
        Target::Service { service, port } => snapshot.routes(&RouteKey::new(service.key(), *port)),
        Target::Workload { .. } => None,
    };
    of_port
        .and_then(|table| table.client_address.as_ref())
        .or(settings.client_address.as_ref())
}

/// Reads the header with which a connection begins, and takes it out.
pub(super) async fn read<D: Duplex>(
    connection: &mut Peeked<D>,
    peer: SocketAddr,
) -> Result<Proxied, Error> {
    let header = tokio::time::timeout(TIMEOUT_HEADER, whole(connection));
    let header = header.await.map_err(|_elapsed| Error::TimedOut)??;
    connection.skip(header.length);
    Ok(Proxied {
        source: header.addresses.map_or(peer, |said| said.source),
        destination: header.addresses.map(|said| said.destination),
    })
}

async fn whole<D: Duplex>(connection: &mut Peeked<D>) -> Result<proxy_protocol::Header, Error> {
    loop {
        let bytes = connection.peeked();
        // It is short: 107 bytes of text, or one length that says how much more there is.
        match proxy_protocol::read(bytes)? {
            Read::Whole(header) => return Ok(header),
            Read::More(_) if connection.has_ended() => {
                let bytes = bytes.len();
                return Err(Error::Ended { bytes });
            }
            Read::More(_) => connection.peek_more().await?,
        }
    }
}

/// What a failure to look at a connection means, if it is a header that may not be.
pub(super) fn refusal(error: &io::Error) -> Option<Error> {
    error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<UntrustedHeader>())
        .map(|untrusted| (*untrusted).into())
}

#[cfg(test)]
mod tests;
