//! For whom requests and connections of a session go to an endpoint.
//!
//! In: where the client is, by the word of those who may speak for others ([`crate::request::client`]). Out: who sends, and for whom. Never: an
//! identity from anywhere but the certificate.

use std::net::{IpAddr, SocketAddr};

use super::Session;
use crate::upstream::{By, Client};

impl Session {
    /// Sends for its client, which is at `client`.
    ///
    /// The PROXY header with which the connection began tells the port, and what was asked for before it, where it is that header that
    /// told of the client; the tunnel's peer has a port of its own. Of an address out of `x-forwarded-for` no port is known: 0.
    #[must_use]
    pub fn on_behalf(&self, client: IpAddr) -> By<'_> {
        let proxied = self.proxied.as_ref();
        let proxied = proxied.filter(|proxied| is_alike(proxied.source, client));
        let source = match proxied {
            Some(proxied) => proxied.source,
            None if is_alike(self.client, client) => self.client,
            None => SocketAddr::new(client, 0),
        };
        self.worker.on_behalf(Client {
            identity: self.identity(),
            source,
            destination: proxied
                .and_then(|proxied| proxied.destination)
                .or(self.destination),
        })
    }
}

fn is_alike(address: SocketAddr, ip: IpAddr) -> bool {
    address.ip().to_canonical() == ip.to_canonical()
}
