//! Policies of layer 7 that cannot be enforced: what they close.
//!
//! In: what is closed by which policy. Out: the names that close routes and backends. Never: leaves a target open of which a
//! waypoint of ours could have enforced something.

use super::super::{ids::Id, routing::Key, store::Store};
use super::gateways_of;
use crate::{
    objects::ServiceEntry,
    render::{routing::ServiceFacts, waypoint::Binding},
};

impl Store {
    /// The policies that close a Gateway or its class.
    pub(super) fn unenforced_of_gateway(&self, id: Id) -> Vec<String> {
        let Some(gateway) = self.gateways.get(id) else {
            return Vec::new();
        };
        let of_gateway = Key::gateway(&gateway.meta);
        let of_class = Key::Class(gateway.class.as_str().into());
        let closing = |key| self.unenforced().closing(key);
        closing(&of_gateway).chain(closing(&of_class)).collect()
    }

    /// The policies that close a service behind waypoints: its own, and those of the Gateways.
    pub(super) fn unenforced_behind(&self, key: &Key, binding: &Binding) -> Vec<String> {
        let mut names: Vec<_> = self.unenforced().closing(key).collect();
        let gateways = gateways_of(binding)
            .filter_map(|(namespace, name)| self.gateways.find(namespace, name));
        names.extend(gateways.flat_map(|id| self.unenforced_of_gateway(id)));
        names
    }

    /// The policies that close a service. What leads to it by another service's routes must not pass them by.
    pub(super) fn unenforced_for(&self, service: &ServiceFacts<'_>) -> Vec<String> {
        let entry = self.entry_of(service);
        let binding = match entry {
            Some(entry) => self.binding_of_entry(entry),
            None => self
                .services
                .find(service.namespace, service.name)
                .and_then(|id| self.services.get(id))
                .map_or(Binding::Unbound, |it| self.binding_of_service(it)),
        };
        if self.audience(&binding).is_empty() {
            // Where no waypoint of ours stands before it, nothing of it is enforced, and a route to it changes nothing.
            return Vec::new();
        }
        self.unenforced_behind(&key_of(service, entry), &binding)
    }
}

/// What policies for a service are attached to: the object. A ServiceEntry with a host that is a Service's is none.
pub(super) fn key_of(service: &ServiceFacts<'_>, entry: Option<&ServiceEntry>) -> Key {
    match entry {
        Some(entry) => Key::entry(&entry.meta),
        None => Key::Host((*service.hostname).into()),
    }
}
