//! What objects of routing name, found in the [`Store`].

use std::sync::Arc;

use super::super::{
    routing::Key,
    store::{Store, split},
};
use crate::{
    objects::{ServiceEntry, ServiceType, route::GrantFrom},
    render::routing::{self as render, Lookup, ServiceFacts, Usability},
};

impl Lookup for Store {
    fn service(&self, namespace: &str, name: &str) -> Option<ServiceFacts<'_>> {
        let service = self.services.get(self.services.find(namespace, name)?)?;
        (service.kind != ServiceType::ExternalName)
            .then(|| self.service_facts(service, &self.binding_of_service(service)))
    }

    fn entry(&self, namespace: &str, name: &str) -> Option<ServiceFacts<'_>> {
        let id = self.service_entries.find(namespace, name)?;
        let entry = self.service_entries.get(id)?;
        let (hosts, _lost) = self.hosts(id, entry);
        let binding = self.binding_of_entry(entry);
        Some(self.entry_facts(entry, hosts.first()?, &binding))
    }

    fn host(&self, hostname: &str, namespace: &str) -> Option<ServiceFacts<'_>> {
        if let Some((name, of)) = split(hostname, self.mesh().domain)
            && let Some(found) = self.service(of, name)
        {
            return Some(found);
        }
        // Its own namespace's before others, a name before a pattern, then the oldest.
        let mut entries: Vec<_> = self
            .entries_of(hostname)
            .into_iter()
            .filter_map(|id| Some((id, self.service_entries.get(id)?)))
            .filter(|(_, entry)| self.is_visible(entry, namespace))
            .collect();
        entries.sort_by_key(|(_, entry)| {
            let exact = entry.hosts.iter().any(|host| host == hostname);
            let meta = &entry.meta;
            (
                *meta.namespace != *namespace,
                !exact,
                meta.created,
                Arc::clone(&meta.namespace),
                Arc::clone(&meta.name),
            )
        });
        entries.into_iter().find_map(|(id, entry)| {
            let (hosts, _lost) = self.hosts(id, entry);
            let host = hosts
                .iter()
                .find(|host| **host == hostname)
                .or_else(|| hosts.iter().find(|host| render::covers(host, hostname)))?;
            Some(self.entry_facts(entry, host, &self.binding_of_entry(entry)))
        })
    }

    fn backend(&self, service: &ServiceFacts<'_>, port: u16, subset: &str) -> Usability {
        if let Some(policy) = self.unenforced_for(service).into_iter().next() {
            return Usability::Unenforced(policy);
        }
        let effective = self.effective_of(service, self.entry_of(service));
        match effective {
            Some(effective) => effective.usability(port, subset),
            None if subset.is_empty() => Usability::Usable,
            None => Usability::Unknown,
        }
    }

    fn is_granted(&self, from: &GrantFrom, to: (&str, &str), namespace: &str, name: &str) -> bool {
        self.about(&Key::Grants(namespace.into()))
            .filter_map(|id| self.routing().get(id))
            .filter_map(|object| object.reference_grant())
            .any(|grant| grant.allows(from, to, name))
    }
}

impl Store {
    /// Whether a namespace may know of a ServiceEntry (EG-08).
    fn is_visible(&self, entry: &ServiceEntry, namespace: &str) -> bool {
        let own = &entry.meta.namespace;
        let object = self.space(own).and_then(|space| space.object.as_deref());
        **own == *namespace || !self.mesh().has_private_entries(own, object)
    }
}
