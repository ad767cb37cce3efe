//! Objects of routing, and what a change of them, or of what they name, touches.
//!
//! A service's routes follow from the objects that are about it and from what those name: a backend that comes, a
//! subset of another service, a permission. So each change looks up who is about the thing, and who names it, and marks
//! the services that those are about. What is about a pattern of hostnames touches all services.

use std::{collections::HashMap, sync::Arc};

use super::{Dirty, Id, Store};
use crate::{
    index::{
        routing::{Key, Routing},
        table::Table,
    },
    objects::{Kind, ObjectKey, ServiceEntry},
    render::routing as render,
};

impl Store {
    pub(super) fn change_routing(
        &mut self,
        kind: Kind,
        namespace: &Arc<str>,
        name: &Arc<str>,
        new: Option<Routing>,
        dirty: &mut Dirty,
    ) {
        let place: Arc<str> = format!("{kind}/{name}").into();
        let old = self.routing.find(namespace, &place);
        let old = old.and_then(|id| Some((id, Arc::clone(self.routing.get(id)?))));
        if old.as_ref().map(|(_, it)| &**it) == new.as_ref() {
            return;
        }
        if let Some((id, old)) = &old {
            self.mark_routing(old, dirty);
            self.unlink_routing(*id, old);
        }
        if let Some(new) = new {
            let new = Arc::new(new);
            let id = self.routing.put(namespace, &place, Arc::clone(&new));
            self.link_routing(id, &new);
            self.mark_routing(&new, dirty);
            dirty.routing.insert(id);
        } else if let Some((_, told)) = self.routing.remove(namespace, &place) {
            if let Some((_, old)) = &old
                && kind == Kind::RequestAuthentication
            {
                self.note_flaw(kind, old.meta(), None, dirty);
            }
            let key = ObjectKey::new(kind, Arc::clone(namespace), Arc::clone(name));
            dirty.forget(key, told, String::new);
        }
    }

    fn link_routing(&mut self, id: Id, object: &Routing) {
        for key in object.about(&self.mesh()) {
            self.about.insert(key, id);
        }
        for key in object.names(&self.mesh()) {
            self.named.insert(key, id);
        }
    }

    fn unlink_routing(&mut self, id: Id, object: &Routing) {
        for key in object.about(&self.mesh()) {
            self.about.remove(&key, id);
        }
        for key in object.names(&self.mesh()) {
            self.named.remove(&key, id);
        }
    }

    /// Marks what an object touches by coming, going or changing.
    fn mark_routing(&self, object: &Routing, dirty: &mut Dirty) {
        for key in object.about(&self.mesh()) {
            self.touch(&key, dirty);
            match object {
                // Which subsets there are, and who belongs to them.
                Routing::DestinationRule(_) => {
                    self.mark_naming(&key, dirty);
                    self.mark_members_of(&key, dirty);
                }
                // A permission.
                Routing::ReferenceGrant(_) => self.mark_naming(&key, dirty),
                Routing::TrafficPolicy(_)
                | Routing::EnvoyFilter(_)
                | Routing::RequestAuthentication(_)
                | Routing::VirtualService(_)
                | Routing::HttpRoute(_)
                | Routing::GrpcRoute(_)
                | Routing::TlsRoute(_)
                | Routing::TcpRoute(_) => {}
            }
        }
    }

    /// What is about a service: by its hostname, by its ServiceEntry, or by a pattern.
    pub(in crate::index) fn routing_about(
        &self,
        hostname: &str,
        entry: Option<&ServiceEntry>,
    ) -> Vec<Id> {
        let mut ids: Vec<Id> = self.about.get(&Key::Host(hostname.into())).collect();
        ids.extend(self.about.get(&Key::Pattern));
        if let Some(entry) = entry {
            let key = Key::entry(&entry.meta);
            ids.extend(self.about.get(&key));
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Marks the routes of what a key stands for, and the conditions of what is about it.
    pub(super) fn touch(&self, key: &Key, dirty: &mut Dirty) {
        dirty.routing.extend(self.about.get(key));
        match key {
            Key::Host(hostname) => {
                dirty.tables.extend(self.service_id(hostname));
                dirty.service_entries.extend(self.entries_of(hostname));
            }
            Key::Pattern => self.touch_all(dirty),
            Key::Entry(namespace, name) => {
                dirty
                    .service_entries
                    .extend(self.service_entries.find(namespace, name));
            }
            Key::Gateway(namespace, name) => {
                dirty.gateways.extend(self.gateways.find(namespace, name));
            }
            Key::Class(name) => {
                let gateways = self.gateways.iter();
                let of_class = gateways.filter(|(_, gateway)| *gateway.class == **name);
                dirty.gateways.extend(of_class.map(|(id, _)| id));
            }
            // What names them is marked by `mark_naming`.
            Key::Grants(_) => {}
        }
    }

    /// Marks all routes, all conditions of routing, and what waypoints are told of themselves: their limits name services, too.
    pub(super) fn touch_all(&self, dirty: &mut Dirty) {
        let gateways = self.gateways.iter().map(|(id, _)| id);
        dirty.gateways.extend(gateways);
        dirty.tables.extend(self.services.iter().map(|(id, _)| id));
        let entries = self.service_entries.iter().map(|(id, _)| id);
        dirty.service_entries.extend(entries);
        dirty.routing.extend(self.routing.iter().map(|(id, _)| id));
    }

    /// Marks what names what a key stands for: objects of routing with the routes that come of them, and policies whose
    /// authorizer it is.
    fn mark_naming(&self, key: &Key, dirty: &mut Dirty) {
        let is_authorizer = match key {
            Key::Host(hostname) => self.is_authorizer(hostname),
            Key::Pattern => true,
            Key::Entry(..) | Key::Grants(_) | Key::Gateway(..) | Key::Class(_) => false,
        };
        if is_authorizer {
            self.mark_customs(dirty);
        }
        self.mark_routes_to(key, dirty);
    }

    /// Marks the objects of routing that name what a key stands for, and the routes that come of them.
    pub(super) fn mark_routes_to(&self, key: &Key, dirty: &mut Dirty) {
        if *key == Key::Pattern {
            return self.touch_all(dirty);
        }
        for id in self.named.get(key) {
            dirty.routing.insert(id);
            let Some(object) = self.routing.get(id) else {
                continue;
            };
            for key in object.about(&self.mesh()) {
                self.touch(&key, dirty);
            }
        }
    }

    /// Marks what names a ServiceEntry by its name.
    pub(super) fn mark_naming_entry(&self, entry: &ServiceEntry, dirty: &mut Dirty) {
        let key = Key::entry(&entry.meta);
        dirty.routing.extend(self.about.get(&key));
        self.mark_naming(&key, dirty);
    }

    /// A service came, went or changed: marks what is about it or names it. `entry`: the ServiceEntry whose it is.
    pub(super) fn mark_hostname(
        &self,
        hostname: &str,
        entry: Option<&ServiceEntry>,
        dirty: &mut Dirty,
    ) {
        // Whether it is there is of interest to what is attached to it.
        let host = Key::Host(hostname.into());
        dirty.authorizations.extend(self.guarded.get(&host));
        if let Some(entry) = entry {
            let key = Key::entry(&entry.meta);
            dirty.authorizations.extend(self.guarded.get(&key));
        }
        if hostname.starts_with('*') {
            // Names that it covers may be anybody's.
            return self.touch_all(dirty);
        }
        dirty.routing.extend(self.routing_about(hostname, entry));
        self.mark_naming(&host, dirty);
        if let Some(entry) = entry {
            self.mark_naming(&Key::entry(&entry.meta), dirty);
        }
    }

    /// Marks what serves the services of a key: its subsets may be others.
    fn mark_members_of(&self, key: &Key, dirty: &mut Dirty) {
        match key {
            Key::Host(hostname) => {
                if let Some(service) = self
                    .service_id(hostname)
                    .and_then(|id| self.services.get(id))
                {
                    self.mark_members(service, dirty);
                }
                for id in self.entries_of(hostname) {
                    if let Some(entry) = self.service_entries.get(id) {
                        self.mark_entry_members(entry, dirty);
                    }
                }
            }
            Key::Pattern => {
                dirty.pods.extend(self.pods.iter().map(|(id, _)| id));
                let entries = self.workload_entries.iter().map(|(id, _)| id);
                dirty.workload_entries.extend(entries);
                dirty.slices.extend(self.slices.iter().map(|(id, _)| id));
            }
            Key::Entry(..) | Key::Grants(_) | Key::Gateway(..) | Key::Class(_) => {}
        }
    }

    /// Notes the waypoints that stand before a Service now. If they are others, its members are marked, since the
    /// DestinationRules of other namespaces count, and what names it, since other policies hold for it.
    pub(in crate::index) fn note_waypoint_of_service(
        &mut self,
        id: Id,
        now: Option<Arc<str>>,
        dirty: &mut Dirty,
    ) {
        if note(&mut self.waypoint_of_service, id, now)
            && let Some(service) = self.services.get(id)
        {
            self.mark_members(service, dirty);
            let hostname = self
                .mesh()
                .hostname(&service.meta.namespace, &service.meta.name);
            self.mark_naming(&Key::Host(hostname.into()), dirty);
        }
    }

    /// As [`Self::note_waypoint_of_service`], of a ServiceEntry.
    pub(in crate::index) fn note_waypoint_of_entry(
        &mut self,
        id: Id,
        now: Option<Arc<str>>,
        dirty: &mut Dirty,
    ) {
        if note(&mut self.waypoint_of_entry, id, now)
            && let Some(entry) = self.service_entries.get(id)
        {
            self.mark_entry_members(entry, dirty);
            if entry.hosts.iter().any(|host| host.starts_with('*')) {
                self.touch_all(dirty);
            }
            for host in &entry.hosts {
                self.mark_naming(&Key::Host(host.as_str().into()), dirty);
            }
            self.mark_naming(&Key::entry(&entry.meta), dirty);
        }
    }

    /// The Service of a hostname.
    pub(in crate::index) fn service_id(&self, hostname: &str) -> Option<Id> {
        let (name, namespace) = split(hostname, &self.options.domain)?;
        self.services.find(namespace, name)
    }

    /// The ServiceEntries that have a host which is this, or covers it.
    pub(in crate::index) fn entries_of(&self, hostname: &str) -> Vec<Id> {
        let mut ids: Vec<Id> = self.entries_by_host.get(hostname).collect();
        for id in self.wildcard_entries.iter() {
            let entry = self.service_entries.get(id);
            let mut hosts = entry.into_iter().flat_map(|entry| &entry.hosts);
            if hosts.any(|host| render::covers(host, hostname)) && !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// The objects of routing.
    pub(in crate::index) fn routing(&self) -> &Table<Routing> {
        &self.routing
    }

    /// What was told of objects of routing.
    pub(in crate::index) fn routing_mut(&mut self) -> &mut Table<Routing> {
        &mut self.routing
    }

    /// What is about what a key stands for.
    pub(in crate::index) fn about(&self, key: &Key) -> impl Iterator<Item = Id> {
        self.about.get(key)
    }
}

/// Whether it was another before.
fn note(known: &mut HashMap<Id, Arc<str>>, id: Id, now: Option<Arc<str>>) -> bool {
    match now {
        None => known.remove(&id).is_some(),
        Some(now) => known.insert(id, Arc::clone(&now)) != Some(now),
    }
}

/// The name and namespace of a Service, from `<name>.<namespace>.svc.<domain>`.
pub(in crate::index) fn split<'a>(hostname: &'a str, domain: &str) -> Option<(&'a str, &'a str)> {
    let own = hostname.strip_suffix(domain)?.strip_suffix(".svc.")?;
    own.split_once('.')
        .filter(|(name, namespace)| !name.is_empty() && !namespace.contains('.'))
}
