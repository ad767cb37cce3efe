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

/// The deciding facts, borrowed. Addresses of what is unknown are 0.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Facts<'a> {
    source: usize,
    destination: usize,
    service: usize,
    source_identity: Option<&'a SpiffeId>,
    destination_identity: Option<&'a SpiffeId>,
    direction: Direction,
    security: Security,
    passthrough: bool,
}

/// What has deciding facts: a connection, and the key that remembers one. A map of keys is asked with a
/// connection, so that finding a series clones nothing.
pub(super) trait Known {
    fn facts(&self) -> Facts<'_>;
}

impl Known for Connection {
    fn facts(&self) -> Facts<'_> {
        Facts {
            source: self
                .source
                .as_ref()
                .map_or(0, |shared| Arc::as_ptr(shared).addr()),
            destination: self
                .destination
                .as_ref()
                .map_or(0, |shared| Arc::as_ptr(shared).addr()),
            service: self
                .service
                .as_ref()
                .map_or(0, |shared| Arc::as_ptr(shared).addr()),
            source_identity: self.source_identity.as_ref(),
            destination_identity: self.destination_identity.as_ref(),
            direction: self.direction,
            security: self.security,
            passthrough: self.passthrough,
        }
    }
}

/// The facts of a connection, remembered.
#[derive(Debug)]
pub(super) struct Key {
    source: Option<Weak<Workload>>,
    destination: Option<Weak<Workload>>,
    service: Option<Weak<Service>>,
    uids: [Option<Uid>; 2],
    source_identity: Option<SpiffeId>,
    destination_identity: Option<SpiffeId>,
    direction: Direction,
    security: Security,
    passthrough: bool,
}

impl Key {
    pub(super) fn of(connection: &Connection) -> Self {
        let Connection {
            source,
            destination,
            service,
            ..
        } = connection;
        Self {
            source: source.as_ref().map(Arc::downgrade),
            destination: destination.as_ref().map(Arc::downgrade),
            service: service.as_ref().map(Arc::downgrade),
            uids: [source, destination]
                .map(|workload| workload.as_ref().map(|workload| workload.uid.clone())),
            source_identity: connection.source_identity.clone(),
            destination_identity: connection.destination_identity.clone(),
            direction: connection.direction,
            security: connection.security,
            passthrough: connection.passthrough,
        }
    }

    /// Whether all that it names still exists in that version, so that a connection may come to ask for it.
    pub(super) fn is_current(&self) -> bool {
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
            destination_identity: self.destination_identity.as_ref(),
            direction: self.direction,
            security: self.security,
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
