//! What is known of a connection, laid out once so that ten thousand conditions can be asked of it.
//!
//! In: a certified identity or none, addresses; where a waypoint has said for whom it comes, that identity as well.
//! Out: [`Query`]. Never: knows a policy.

use std::net::{IpAddr, SocketAddr};

use super::key::{Attribute, END, Key, Text, head};
use crate::spiffe::SpiffeId;

/// A connection as policies see it.
///
/// IPv4-mapped IPv6 addresses are taken for the IPv4 addresses that they map, so that the shape of a socket
/// never changes an answer.
///
/// **Shape:** with a client behind the peer, whatever is about the source's identity has two texts. A condition holds if it holds
/// for one of them; so `not` holds only if it holds for neither.
#[derive(Debug)]
pub struct Query {
    bytes: Vec<u8>,
    /// Where in `bytes` each attribute is; none where the connection does not have it.
    places: Places,
    /// The same for the client behind the peer, of whom only the identity is told.
    behind: Option<Box<Places>>,
}

type Places = [Option<Place>; Attribute::COUNT];

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
            behind: None,
        };
        if let Some(identity) = identity {
            query.push_identity(identity);
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

    /// Lays out as well for whom the peer comes, as it said itself and may say.
    #[must_use]
    pub fn behind(mut self, client: &SpiffeId) -> Self {
        let places = std::mem::replace(&mut self.places, [None; Attribute::COUNT]);
        self.push_identity(client);
        self.behind = Some(Box::new(std::mem::replace(&mut self.places, places)));
        self
    }

    fn push_identity(&mut self, identity: &SpiffeId) {
        let SpiffeId {
            trust_domain,
            namespace,
            service_account,
        } = identity;
        let principal = [trust_domain, "/ns/", namespace, "/sa/", service_account];
        self.push(
            Attribute::Principal,
            principal.iter().flat_map(|part| part.bytes()).chain([END]),
        );
        self.push(
            Attribute::PrincipalReversed,
            principal
                .iter()
                .rev()
                .flat_map(|part| part.bytes().rev())
                .chain([END]),
        );
        self.push(Attribute::Namespace, namespace.bytes().chain([END]));
        self.push(
            Attribute::NamespaceReversed,
            namespace.bytes().rev().chain([END]),
        );
        if !namespace.is_empty() {
            self.push(Attribute::NamespacePresent, []);
        }
        self.push(
            Attribute::ServiceAccount,
            namespace
                .bytes()
                .chain([END])
                .chain(service_account.bytes())
                .chain([END]),
        );
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

    /// An attribute, where the connection has it: the peer's, then that of the client behind it.
    pub(super) fn texts(&self, attribute: Attribute) -> impl Iterator<Item = Text<'_>> {
        let of = move |places: &Places| {
            let Place { start, end, head } = places[attribute.index()]?;
            Some(Text {
                head,
                bytes: &self.bytes[start..end],
            })
        };
        let behind = self.behind.as_deref().and_then(of);
        of(&self.places).into_iter().chain(behind)
    }

    /// Whether a condition holds. What is not there satisfies none.
    pub(super) fn satisfies(&self, key: &Key) -> bool {
        self.texts(key.attribute).any(|text| key.begins(text))
    }
}
