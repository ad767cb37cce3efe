//! What is known of a connection, laid out once so that ten thousand conditions can be asked of it.
//!
//! In: a certified identity or none, addresses. Out: [`Query`]. Never: knows a policy.

use std::net::{IpAddr, SocketAddr};

use super::key::{Attribute, END, Key, Text, head};
use crate::spiffe::SpiffeId;

/// A connection as policies see it.
///
/// IPv4-mapped IPv6 addresses are taken for the IPv4 addresses that they map, so that the shape of a socket
/// never changes an answer.
#[derive(Debug)]
pub struct Query {
    bytes: Vec<u8>,
    /// Where in `bytes` each attribute is; none where the connection does not have it.
    places: [Option<Place>; Attribute::COUNT],
}

#[derive(Clone, Copy, Debug)]
struct Place {
    start: usize,
    end: usize,
    head: u64,
}

impl Query {
    /// Lays out a connection.
    ///
    /// `identity` is the peer's by certificate, never by address; `destination` is the address and port of the
    /// workload itself, behind any tunnel.
    #[must_use]
    pub fn new(identity: Option<&SpiffeId>, source: IpAddr, destination: SocketAddr) -> Self {
        let mut query = Self {
            bytes: Vec::with_capacity(384),
            places: [None; Attribute::COUNT],
        };
        if let Some(SpiffeId {
            trust_domain,
            namespace,
            service_account,
        }) = identity
        {
            let principal = [trust_domain, "/ns/", namespace, "/sa/", service_account];
            query.push(
                Attribute::Principal,
                principal.iter().flat_map(|part| part.bytes()).chain([END]),
            );
            query.push(
                Attribute::PrincipalReversed,
                principal
                    .iter()
                    .rev()
                    .flat_map(|part| part.bytes().rev())
                    .chain([END]),
            );
            query.push(Attribute::Namespace, namespace.bytes().chain([END]));
            query.push(
                Attribute::NamespaceReversed,
                namespace.bytes().rev().chain([END]),
            );
            if !namespace.is_empty() {
                query.push(Attribute::NamespacePresent, []);
            }
            query.push(
                Attribute::ServiceAccount,
                namespace
                    .bytes()
                    .chain([END])
                    .chain(service_account.bytes())
                    .chain([END]),
            );
        }
        query.push_address(Attribute::SourceV4, Attribute::SourceV6, source);
        query.push_address(
            Attribute::DestinationV4,
            Attribute::DestinationV6,
            destination.ip(),
        );
        query.push(Attribute::Port, destination.port().to_be_bytes());
        query
    }

    fn push(&mut self, attribute: Attribute, bytes: impl IntoIterator<Item = u8>) {
        let start = self.bytes.len();
        self.bytes.extend(bytes);
        let (end, head) = (self.bytes.len(), head(&self.bytes[start..]));
        self.places[attribute.index()] = Some(Place { start, end, head });
    }

    fn push_address(&mut self, v4: Attribute, v6: Attribute, address: IpAddr) {
        match address.to_canonical() {
            IpAddr::V4(address) => self.push(v4, address.octets()),
            IpAddr::V6(address) => self.push(v6, address.octets()),
        }
    }

    /// An attribute, where the connection has it.
    pub(super) fn text(&self, attribute: Attribute) -> Option<Text<'_>> {
        let Place { start, end, head } = self.places[attribute.index()]?;
        Some(Text {
            head,
            bytes: &self.bytes[start..end],
        })
    }

    /// Whether a condition holds. What is not there satisfies none.
    pub(super) fn satisfies(&self, key: &Key) -> bool {
        self.text(key.attribute)
            .is_some_and(|text| key.begins(text))
    }
}
