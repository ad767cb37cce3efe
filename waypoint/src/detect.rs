//! What a connection speaks, by what was declared and by its first bytes (RT-01).
//!
//! In: a connection, what its port is declared as. Out: the protocol, the server name of its TLS, and the same connection with
//! nothing taken away. Never: waits longer than it was told, looks at more than
//! [`MAX_PEEKED_BYTES`] and what came along with the last of them, answers a byte.
//!
//! Reading order: [`sniff`] (a verdict on bytes, pure), [`client_hello`] (the server name, pure), `peeked` (looking ahead).

use std::{io, sync::Arc, time::Duration};

use mesh::service::AppProtocol;
use net::relay::Duplex;

pub mod client_hello;
mod peeked;
pub mod sniff;

pub use peeked::Peeked;

use client_hello::Hello;
use sniff::Sniffed;

/// What is looked at before the verdict must be there. A ClientHello with a large post-quantum share and a long list of
/// extensions fits; TLS allows 64 KiB, which nobody sends. Units: bytes.
pub const MAX_PEEKED_BYTES: usize = 16 * 1024;

/// What a connection speaks, as far as the waypoint cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 in plain text.
    Http2,
    /// TLS of the client's own, which is passed on.
    Tls,
    /// Bytes.
    Tcp,
}

/// How a connection is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    /// HTTP, of a version that the client chooses. Source: Envoy's automatic codec.
    Http,
    /// Nothing: by its first bytes.
    Unknown,
    /// TLS.
    Tls,
    /// Bytes. It is not looked at, so that a server may speak first.
    Tcp,
}

impl From<AppProtocol> for Declared {
    fn from(protocol: AppProtocol) -> Self {
        match protocol {
            AppProtocol::Http11 | AppProtocol::Http2 | AppProtocol::Grpc => Self::Http,
            AppProtocol::Unknown => Self::Unknown,
            AppProtocol::Tls => Self::Tls,
            AppProtocol::Tcp => Self::Tcp,
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it speaks.
    pub protocol: Protocol,
    /// The server name that its TLS asks for, in lower case.
    pub sni: Option<Arc<str>>,
}

impl Found {
    fn just(protocol: Protocol) -> Self {
        Self {
            protocol,
            sni: None,
        }
    }
}

/// What is done with a client that has begun something which could still become HTTP when the time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecided {
    /// It is TCP.
    Tcp,
    /// It is HTTP: rules for HTTP hold on this port, and being slow must be no way around them.
    Http,
}

/// Looks at the first bytes of a connection, if that is asked for. `timeout`: for a connection that nobody declared; `None`: for ever.
///
/// # Errors
/// When the connection fails before its first bytes are there. One that ends before them is TCP.
pub async fn detect<D: Duplex>(
    connection: &mut Peeked<D>,
    declared: Declared,
    timeout: Option<Duration>,
    undecided: Undecided,
) -> io::Result<Found> {
    let look = look(connection, declared);
    let timeout = match declared {
        Declared::Unknown | Declared::Tls => timeout,
        Declared::Http | Declared::Tcp => None,
    };
    let Some(timeout) = timeout else {
        return look.await;
    };
    match tokio::time::timeout(timeout, look).await {
        Ok(found) => found,
        Err(_elapsed) => {
            let nothing = connection.peeked().is_empty();
            Ok(Found::just(match (declared, undecided) {
                (Declared::Unknown, Undecided::Http) if !nothing => Protocol::Http1,
                (Declared::Tls, _) => Protocol::Tls,
                (Declared::Unknown | Declared::Http | Declared::Tcp, _) => Protocol::Tcp,
            }))
        }
    }
}

async fn look<D: Duplex>(connection: &mut Peeked<D>, declared: Declared) -> io::Result<Found> {
    if declared == Declared::Tcp {
        return Ok(Found::just(Protocol::Tcp));
    }
    loop {
        let bytes = connection.peeked();
        let last = connection.has_ended() || bytes.len() >= MAX_PEEKED_BYTES;
        if let Some(found) = judge(bytes, declared, last) {
            return Ok(found);
        }
        connection.peek_more().await?;
    }
}

/// The verdict on what is there. `last`: no more will be.
fn judge(bytes: &[u8], declared: Declared, last: bool) -> Option<Found> {
    match declared {
        Declared::Tcp => Some(Found::just(Protocol::Tcp)),
        Declared::Http => match sniff::preface(bytes) {
            Some(true) => Some(Found::just(Protocol::Http2)),
            Some(false) => Some(Found::just(Protocol::Http1)),
            None => last.then(|| Found::just(Protocol::Http1)),
        },
        Declared::Tls => hello(bytes, last),
        Declared::Unknown => match sniff::sniff(bytes) {
            Sniffed::Http1 => Some(Found::just(Protocol::Http1)),
            Sniffed::Http2 => Some(Found::just(Protocol::Http2)),
            Sniffed::Tls => hello(bytes, last),
            Sniffed::Other => Some(Found::just(Protocol::Tcp)),
            // More text than any request line has, and still one: HTTP says how that is refused.
            Sniffed::More if bytes.len() >= MAX_PEEKED_BYTES => Some(Found::just(Protocol::Http1)),
            Sniffed::More => last.then(|| Found::just(Protocol::Tcp)),
        },
    }
}

fn hello(bytes: &[u8], last: bool) -> Option<Found> {
    let sni = match client_hello::server_name(bytes) {
        Hello::Named(name) => Some(Arc::from(name)),
        Hello::Unnamed | Hello::Invalid => None,
        Hello::More if last => None,
        Hello::More => return None,
    };
    Some(Found {
        protocol: Protocol::Tls,
        sni,
    })
}

#[cfg(test)]
mod tests;
