//! For whom something is sent, and what the endpoint is told of that when its connection begins.
//!
//! In: the client of a request or connection, the rules of its backend. Out: a [`Lane`]: whose connections alone will do, and how each
//! of them begins. Never: two clients on one lane; a lane where nobody is told anything, which is where connections are shared.
//!
//! | rules | for a client | for the waypoint itself |
//! |---|---|---|
//! | none | shared | shared |
//! | the client is named (`tell_client`), and there is a tunnel | a lane: identity and address; `x-ambit-client-principal` on the CONNECT | shared |
//! | a PROXY header | a lane: identity, address, port and what it asked for; the header goes first | a lane; `LOCAL` goes first |
//!
//! The name is the waypoint's word, taken from the client's certificate; see SECURITY.md. A name without a tunnel would be in the
//! clear, and is not sent.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, header::InvalidHeaderValue};
use mesh::{SpiffeId, backend::ProxyVersion};
use wire::{
    principal,
    proxy_protocol::{self, Addresses, Version},
};

use crate::upstream::{Worker, host::Way};

/// For whom something is sent.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Who it is by its certificate.
    pub identity: &'a SpiffeId,
    /// Where it is, by the word of those who may speak for others. Port 0: it is not known.
    pub source: SocketAddr,
    /// What it asked for; `None`: it has no address, and the endpoint's stands for it.
    pub destination: Option<SocketAddr>,
}

/// Who sends, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    pub(super) worker: &'a Arc<Worker>,
    /// `None`: the waypoint itself.
    pub(super) client: Option<Client<'a>>,
}

impl Worker {
    /// Sends what nobody has asked for: questions of the waypoint's own.
    #[must_use]
    pub fn itself(self: &Arc<Self>) -> By<'_> {
        By {
            worker: self,
            client: None,
        }
    }

    /// Sends for a client.
    #[must_use]
    pub fn on_behalf<'a>(self: &'a Arc<Self>, client: Client<'a>) -> By<'a> {
        By {
            worker: self,
            client: Some(client),
        }
    }
}

/// What the endpoints of a backend are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Telling {
    /// The CONNECT names the client.
    pub(super) name: bool,
    /// A PROXY header goes first.
    pub(super) proxy: Option<ProxyVersion>,
}

/// Whose connections alone will do. Those of one lane are never used for another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lane {
    telling: Telling,
    /// `None`: the waypoint itself.
    client: Option<Known>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Known {
    identity: SpiffeId,
    /// Without a port where no port is told.
    source: SocketAddr,
    destination: Option<SocketAddr>,
}

impl Telling {
    /// The lane of what is sent; `None`: any connection will do that begins with nothing.
    pub(super) fn lane(self, client: Option<&Client<'_>>, way: &Way) -> Option<Lane> {
        let has_tunnel = match way {
            Way::Hbone { .. } => true,
            Way::Plain => false,
        };
        let telling = Self {
            name: self.name && has_tunnel && client.is_some(),
            ..self
        };
        if telling == Self::default() {
            return None;
        }
        let known = |client: &Client<'_>| match telling.proxy {
            Some(_) => Known {
                identity: client.identity.clone(),
                source: client.source,
                destination: client.destination,
            },
            None => Known {
                identity: client.identity.clone(),
                source: SocketAddr::new(client.source.ip(), 0),
                destination: None,
            },
        };
        Some(Lane {
            telling,
            client: client.map(known),
        })
    }
}

impl Lane {
    /// What the CONNECT says of the client; `None`: nothing.
    ///
    /// # Errors
    /// When it cannot be said; nothing is to be sent then.
    pub(super) fn name(&self) -> Result<Option<HeaderValue>, InvalidHeaderValue> {
        let named = self.client.as_ref().filter(|_| self.telling.name);
        named.map(|it| principal::value(&it.identity)).transpose()
    }

    /// What goes before the first byte to an endpoint; `None`: nothing.
    pub(super) fn header(&self, endpoint: SocketAddr) -> Option<Bytes> {
        let version = match self.telling.proxy? {
            ProxyVersion::V1 => Version::V1,
            ProxyVersion::V2 => Version::V2,
        };
        Some(match &self.client {
            Some(client) => Addresses {
                source: client.source,
                destination: client.destination.unwrap_or(endpoint),
            }
            .header(version),
            None => proxy_protocol::local(version),
        })
    }
}

#[cfg(test)]
mod tests;
