//! WorkloadEntries and ServiceEntries.

use std::sync::Arc;

use super::{Dirty, Id, Store, User, before};
use crate::{
    objects::{EntryPort, Kind, Labels, ObjectKey, ServiceEntry, WorkloadEntry},
    render::mesh::uid,
};

impl Store {
    pub(super) fn change_workload_entry(
        &mut self,
        namespace: &Arc<str>,
        name: &Arc<str>,
        new: Option<Arc<WorkloadEntry>>,
        dirty: &mut Dirty,
    ) {
        let Ok(old) = before(&self.workload_entries, (namespace, name), new.as_deref()) else {
            return;
        };
        if let Some((id, old)) = &old {
            let labels = &old.endpoint.labels;
            let space = self.space_mut(namespace);
            space.workload_entries.remove(*id);
            space.workload_entry_labels.remove(*id, labels);
            self.remove_user(namespace, labels, &User::WorkloadEntry(*id));
        }
        if let Some(new) = new {
            let id = self.workload_entries.put(namespace, name, Arc::clone(&new));
            let labels = &new.endpoint.labels;
            let space = self.space_mut(namespace);
            space.workload_entries.insert(id);
            space.workload_entry_labels.insert(id, labels);
            self.add_user(namespace, labels, &User::WorkloadEntry(id));
            dirty.workload_entries.insert(id);
        } else if let Some((_, told)) = self.workload_entries.remove(namespace, name) {
            let key = ObjectKey::new(Kind::WorkloadEntry, Arc::clone(namespace), Arc::clone(name));
            let mesh = self.mesh();
            dirty.forget(key, told, || uid::workload_entry(&mesh, namespace, name));
        }
    }

    pub(super) fn change_service_entry(
        &mut self,
        namespace: &Arc<str>,
        name: &Arc<str>,
        new: Option<Arc<ServiceEntry>>,
        dirty: &mut Dirty,
    ) {
        let Ok(old) = before(&self.service_entries, (namespace, name), new.as_deref()) else {
            return;
        };
        let old_entry = old.as_ref().map(|(_, it)| &**it);
        let changes_members = old_entry.map(membership) != new.as_deref().map(membership);
        if let Some((id, old)) = &old {
            if changes_members {
                self.mark_entry(old, dirty);
            }
            self.mark_hosts(old, dirty);
            self.unlink_service_entry(*id, old);
        }
        if let Some(new) = new {
            let id = self.service_entries.put(namespace, name, Arc::clone(&new));
            self.link_service_entry(id, &new);
            dirty.service_entries.insert(id);
            self.mark_hosts(&new, dirty);
            if changes_members {
                self.mark_entry(&new, dirty);
            }
        } else if let Some((id, told)) = self.service_entries.remove(namespace, name) {
            self.waypoint_of_entry.remove(&id);
            let key = ObjectKey::new(Kind::ServiceEntry, Arc::clone(namespace), Arc::clone(name));
            dirty.forget(key, told, String::new);
        }
    }

    fn link_service_entry(&mut self, id: Id, entry: &ServiceEntry) {
        let namespace = &entry.meta.namespace;
        let space = self.space_mut(namespace);
        space.service_entries.insert(id);
        space.service_entry_selectors.insert(id, selector(entry));
        for host in &entry.hosts {
            space.hosts.insert(host.as_str().into(), id);
        }
        for host in &entry.hosts {
            if host.starts_with('*') {
                self.wildcard_entries.insert(id);
            } else {
                self.entries_by_host.insert(host.as_str().into(), id);
            }
        }
        let space = self.space_mut(namespace);
        for endpoint in &entry.endpoints {
            space.endpoint_labels.insert(id, &endpoint.labels);
        }
        for labels in label_sets(entry) {
            self.add_user(namespace, labels, &User::ServiceEntry(id));
        }
    }

    fn unlink_service_entry(&mut self, id: Id, entry: &ServiceEntry) {
        let namespace = &entry.meta.namespace;
        let space = self.space_mut(namespace);
        space.service_entries.remove(id);
        space.service_entry_selectors.remove(id, selector(entry));
        for host in &entry.hosts {
            space.hosts.remove(host.as_str(), id);
        }
        for host in &entry.hosts {
            self.entries_by_host.remove(host.as_str(), id);
        }
        self.wildcard_entries.remove(id);
        let space = self.space_mut(namespace);
        for endpoint in &entry.endpoints {
            space.endpoint_labels.remove(id, &endpoint.labels);
        }
        for labels in label_sets(entry) {
            self.remove_user(namespace, labels, &User::ServiceEntry(id));
        }
    }

    /// Marks what is about the hosts of a ServiceEntry, or names them.
    fn mark_hosts(&self, entry: &ServiceEntry, dirty: &mut Dirty) {
        for host in &entry.hosts {
            self.mark_hostname(host, Some(entry), dirty);
        }
    }

    /// Marks what serves a ServiceEntry.
    pub(super) fn mark_entry_members(&self, entry: &ServiceEntry, dirty: &mut Dirty) {
        self.mark_selected(&entry.meta.namespace, selector(entry), dirty);
    }

    /// Marks what a ServiceEntry selects, and whoever claims one of its hosts.
    fn mark_entry(&self, entry: &ServiceEntry, dirty: &mut Dirty) {
        let namespace = &entry.meta.namespace;
        self.mark_selected(namespace, selector(entry), dirty);
        for host in &entry.hosts {
            self.mark_claimants(namespace, host, dirty);
        }
    }

    /// Marks the ServiceEntries that claim a host, and what they select: which of them has it may have changed.
    pub(super) fn mark_claimants(&self, namespace: &str, host: &str, dirty: &mut Dirty) {
        let Some(space) = self.space(namespace) else {
            return;
        };
        for id in space.hosts.get(host) {
            dirty.service_entries.insert(id);
            if let Some(entry) = self.service_entries.get(id) {
                self.mark_selected(namespace, selector(entry), dirty);
                self.mark_naming_entry(entry, dirty);
            }
        }
    }
}

/// The part of a ServiceEntry that its workloads carry, and that decides who has a host.
fn membership(entry: &ServiceEntry) -> (&[String], &[EntryPort], &Labels, i64) {
    (
        &entry.hosts,
        &entry.ports,
        selector(entry),
        entry.meta.created,
    )
}

/// An empty selector selects nothing.
fn selector(entry: &ServiceEntry) -> &Labels {
    static NOTHING: Labels = Labels::new();
    entry.selector.as_ref().map_or(&NOTHING, |it| &it.0)
}

/// Its own labels, and those of its endpoints.
fn label_sets(entry: &ServiceEntry) -> impl Iterator<Item = &Labels> {
    let endpoints = entry.endpoints.iter().map(|it| &it.labels);
    std::iter::once(&entry.meta.labels).chain(endpoints)
}
