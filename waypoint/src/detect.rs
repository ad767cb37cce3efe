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

pub use peeked::{Peeked, UntrustedHeader};

use client_hello::Hello;
use sniff::Sniffed;

/// What is looked at before the verdict must be there. A ClientHello with a large post-quantum share and a long list of
/// extensions fits; TLS allows 64 KiB, which nobody sends. Units: bytes.
pub const MAX_PEEKED_BYTES: usize = 16 * 1024;

/// How often a connection is looked at before the verdict must be there. Reason: each look costs what is there, so a client that sends
/// byte by byte must not have as many as it sends; a request line comes in a few pieces.
const MAX_LOOKS: usize = 1024;

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
/// Where rules for HTTP hold, time is no way around them: a client that is silent is waited for, as between two requests.
///
/// # Errors
/// When the connection fails before its first bytes are there. One that ends before them is TCP, where no rules for HTTP hold.
pub async fn detect<D: Duplex>(
    connection: &mut Peeked<D>,
    declared: Declared,
    timeout: Option<Duration>,
    undecided: Undecided,
) -> io::Result<Found> {
    let timeout = match declared {
        Declared::Unknown | Declared::Tls => timeout,
        Declared::Http | Declared::Tcp => None,
    };
    let Some(timeout) = timeout else {
        return look(connection, declared, undecided).await;
    };
    loop {
        let look = look(connection, declared, undecided);
        match tokio::time::timeout(timeout, look).await {
            Ok(found) => return found,
            Err(_elapsed) if undecided == Undecided::Tcp || declared == Declared::Tls => {
                return Ok(Found::just(match declared {
                    Declared::Tls => Protocol::Tls,
                    Declared::Unknown | Declared::Http | Declared::Tcp => Protocol::Tcp,
                }));
            }
            // The engine has its own time for heads, and its own words.
            Err(_elapsed) if !connection.peeked().is_empty() => {
                return Ok(Found::just(Protocol::Http1));
            }
            Err(_elapsed) => connection.peek_more().await?,
        }
    }
}

async fn look<D: Duplex>(
    connection: &mut Peeked<D>,
    declared: Declared,
    undecided: Undecided,
) -> io::Result<Found> {
    if declared == Declared::Tcp {
        return Ok(Found::just(Protocol::Tcp));
    }
    let (mut looks, mut wanted) = (0, 0);
    loop {
        let bytes = connection.peeked();
        let rest = if connection.has_ended() {
            Rest::Ended(undecided)
        } else if bytes.len() >= MAX_PEEKED_BYTES || looks >= MAX_LOOKS {
            Rest::Enough
        } else {
            Rest::Coming
        };
        if bytes.len() >= wanted || rest != Rest::Coming {
            looks += 1;
            match judge(bytes, declared, rest) {
                Ok(found) => return Ok(found),
                Err(More(more)) => wanted = bytes.len() + more,
            }
        }
        connection.peek_more().await?;
    }
}

/// What there is besides what is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// More of it may come.
    Coming,
    /// Nothing; what it is if that leaves it open.
    Ended(Undecided),
    /// It does not matter: the verdict must be there.
    Enough,
}

/// So many more bytes are needed, at least.
struct More(usize);

/// The verdict on what is there. Only while more is coming there may be none.
fn judge(bytes: &[u8], declared: Declared, rest: Rest) -> Result<Found, More> {
    let just = |protocol| Ok(Found::just(protocol));
    match declared {
        Declared::Tcp => just(Protocol::Tcp),
        Declared::Http => match (sniff::preface(bytes), rest) {
            (Some(true), _) => just(Protocol::Http2),
            (None, Rest::Coming) => Err(More(1)),
            (Some(false), _) | (None, Rest::Ended(_) | Rest::Enough) => just(Protocol::Http1),
        },
        Declared::Tls => hello(bytes, rest),
        Declared::Unknown => match sniff::sniff(bytes) {
            Sniffed::Http1 => just(Protocol::Http1),
            Sniffed::Http2 => just(Protocol::Http2),
            Sniffed::Tls => hello(bytes, rest),
            Sniffed::Other => just(Protocol::Tcp),
            Sniffed::More => match rest {
                Rest::Coming => Err(More(1)),
                Rest::Ended(Undecided::Tcp) => just(Protocol::Tcp),
                // More text than any request line has, or in more pieces, and still one: HTTP says how that is refused.
                Rest::Ended(Undecided::Http) | Rest::Enough => just(Protocol::Http1),
            },
        },
    }
}

fn hello(bytes: &[u8], rest: Rest) -> Result<Found, More> {
    let sni = match client_hello::server_name(bytes) {
        Hello::Named(name) => Some(Arc::from(name)),
        Hello::Unnamed | Hello::Invalid => None,
        Hello::More(more) if rest == Rest::Coming => return Err(More(more)),
        Hello::More(_) => None,
    };
    Ok(Found {
        protocol: Protocol::Tls,
        sni,
    })
}

#[cfg(test)]
mod tests;
