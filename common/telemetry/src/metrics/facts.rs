//! What decides which series a connection counts in, in a form that is cheap to compare.
//!
//! Workloads and services are compared by address, not by value: a snapshot shares them, and a new version
//! of one is a new address. A key holds them weakly, which keeps an address from being used again for
//! another while the key lives, yet lets the value itself go.

use std::{
    borrow::Borrow,
    hash::{Hash, Hasher},
    sync::{Arc, Weak},
};

use mesh::{Service, SpiffeId, Uid, Workload};

use crate::event::{Connection, Direction, Security};

/// Between whom something is, borrowed: all that decides in which series it counts. **Shape:** what is unknown is `None`.
#[derive(Clone, Copy, Debug)]
pub struct Parties<'a> {
    /// Which way it goes.
    pub direction: Direction,
    /// What it is counted as.
    pub protocol: RequestProtocol,
    /// What protects it.
    pub security: Security,
    /// Who began it.
    pub source: Option<&'a Arc<Workload>>,
    /// Who it is taken to.
    pub destination: Option<&'a Arc<Workload>>,
    /// The service that was asked for.
    pub service: Option<&'a Arc<Service>>,
    /// The certified identity of the source: from a TLS handshake, never looked up by address.
    pub source_identity: Option<&'a SpiffeId>,
    /// For whom the source, a waypoint, says that it comes.
    pub client_identity: Option<&'a SpiffeId>,
    /// The certified identity of the destination: from a TLS handshake, never looked up by address.
    pub destination_identity: Option<&'a SpiffeId>,
    /// Whether nobody of the mesh was dialled.
    pub passthrough: bool,
}

impl Parties<'_> {
    /// Nobody known, through a waypoint.
    #[must_use]
    pub const fn unknown(protocol: RequestProtocol, security: Security) -> Self {
        Self {
            direction: Direction::Through,
            protocol,
            security,
            source: None,
            destination: None,
            service: None,
            source_identity: None,
            client_identity: None,
            destination_identity: None,
            passthrough: false,
        }
    }
}

impl<'a> From<&'a Connection> for Parties<'a> {
    fn from(connection: &'a Connection) -> Self {
        Self {
            direction: connection.direction,
            protocol: RequestProtocol::Tcp,
            security: connection.security,
            source: connection.source.as_ref(),
            destination: connection.destination.as_ref(),
            service: connection.service.as_ref(),
            source_identity: connection.source_identity.as_ref(),
            client_identity: connection.client_identity.as_deref(),
            destination_identity: connection.destination_identity.as_ref(),
            passthrough: connection.passthrough,
        }
    }
}

/// The values of the metric label `request_protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestProtocol {
    /// A connection of which the bytes are not looked at.
    Tcp,
    /// Requests of HTTP, of any version.
    Http,
    /// Calls of gRPC.
    Grpc,
}

impl RequestProtocol {
    /// The value of the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }
}

/// The deciding facts, borrowed. Addresses of what is unknown are 0.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Facts<'a> {
    source: usize,
    destination: usize,
    service: usize,
    source_identity: Option<&'a SpiffeId>,
    client_identity: Option<&'a SpiffeId>,
    destination_identity: Option<&'a SpiffeId>,
    direction: Direction,
    security: Security,
    protocol: RequestProtocol,
    passthrough: bool,
}

/// What has deciding facts: parties, and the key that remembers them. A map of keys is asked with parties, so
/// that finding a series clones nothing.
pub(super) trait Known {
    fn facts(&self) -> Facts<'_>;
}

impl Known for Parties<'_> {
    fn facts(&self) -> Facts<'_> {
        fn address<T>(shared: Option<&Arc<T>>) -> usize {
            shared.map_or(0, |shared| Arc::as_ptr(shared).addr())
        }
        Facts {
            source: address(self.source),
            destination: address(self.destination),
            service: address(self.service),
            source_identity: self.source_identity,
            client_identity: self.client_identity,
            destination_identity: self.destination_identity,
            direction: self.direction,
            security: self.security,
            protocol: self.protocol,
            passthrough: self.passthrough,
        }
    }
}

/// Parties, remembered.
#[derive(Debug)]
pub(crate) struct Key {
    source: Option<Weak<Workload>>,
    destination: Option<Weak<Workload>>,
    service: Option<Weak<Service>>,
    uids: [Option<Uid>; 2],
    source_identity: Option<SpiffeId>,
    client_identity: Option<SpiffeId>,
    destination_identity: Option<SpiffeId>,
    direction: Direction,
    security: Security,
    protocol: RequestProtocol,
    passthrough: bool,
}

impl Key {
    pub(crate) fn of(parties: &Parties<'_>) -> Self {
        Self {
            source: parties.source.map(Arc::downgrade),
            destination: parties.destination.map(Arc::downgrade),
            service: parties.service.map(Arc::downgrade),
            uids: [parties.source, parties.destination]
                .map(|workload| workload.map(|workload| workload.uid.clone())),
            source_identity: parties.source_identity.cloned(),
            client_identity: parties.client_identity.cloned(),
            destination_identity: parties.destination_identity.cloned(),
            direction: parties.direction,
            security: parties.security,
            protocol: parties.protocol,
            passthrough: parties.passthrough,
        }
    }

    /// Whether it remembers `parties`.
    pub(crate) fn is_of(&self, parties: &Parties<'_>) -> bool {
        self.facts() == parties.facts()
    }

    /// Whether all that it names still exists in that version, so that somebody may come to ask for it.
    pub(crate) fn is_current(&self) -> bool {
        fn lives<T>(shared: Option<&Weak<T>>) -> bool {
            shared.is_none_or(|shared| shared.strong_count() > 0)
        }
        lives(self.source.as_ref())
            && lives(self.destination.as_ref())
            && lives(self.service.as_ref())
    }

    /// Whether `is_gone` holds for one of its workloads.
    pub(super) fn names(&self, is_gone: impl Fn(&Uid) -> bool) -> bool {
        self.uids.iter().flatten().any(is_gone)
    }
}

impl Known for Key {
    fn facts(&self) -> Facts<'_> {
        Facts {
            source: self
                .source
                .as_ref()
                .map_or(0, |shared| shared.as_ptr().addr()),
            destination: self
                .destination
                .as_ref()
                .map_or(0, |shared| shared.as_ptr().addr()),
            service: self
                .service
                .as_ref()
                .map_or(0, |shared| shared.as_ptr().addr()),
            source_identity: self.source_identity.as_ref(),
            client_identity: self.client_identity.as_ref(),
            destination_identity: self.destination_identity.as_ref(),
            direction: self.direction,
            security: self.security,
            protocol: self.protocol,
            passthrough: self.passthrough,
        }
    }
}

impl<'a> Borrow<dyn Known + 'a> for Key {
    fn borrow(&self) -> &(dyn Known + 'a) {
        self
    }
}

impl Hash for dyn Known + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.facts().hash(state);
    }
}

impl PartialEq for dyn Known + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.facts() == other.facts()
    }
}

impl Eq for dyn Known + '_ {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.facts().hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.facts() == other.facts()
    }
}

impl Eq for Key {}
