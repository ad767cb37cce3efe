//! Services that own one thing together: a VIP, a range of VIPs, a hostname.
//!
//! In: services that come and go. Out: the one that a client means.

use std::{cmp::Ordering, hash::Hash, sync::Arc};

use crate::{
    name::Namespace,
    pmap::PersistentMap,
    service::{Service, Visibility},
};

/// At least one service.
#[derive(Clone)]
pub(super) struct Owners {
    /// By namespace; within one, canonical ones first, then by hostname.
    services: Arc<Vec<Arc<Service>>>,
    /// What a client gets whose own namespace has none: canonical ones first, then by namespace and hostname.
    public: Option<Arc<Service>>,
}

fn order(a: &Service, b: &Service) -> Ordering {
    (&a.namespace, !a.canonical, &a.hostname).cmp(&(&b.namespace, !b.canonical, &b.hostname))
}

fn order_public(a: &Service, b: &Service) -> Ordering {
    (!a.canonical, &a.namespace, &a.hostname).cmp(&(!b.canonical, &b.namespace, &b.hostname))
}

impl Owners {
    /// All of them, by namespace.
    pub(super) fn all(&self) -> &[Arc<Service>] {
        &self.services
    }

    /// The one of the client's own namespace.
    pub(super) fn own(&self, namespace: &Namespace) -> Option<&Arc<Service>> {
        let first = self
            .services
            .partition_point(|service| service.namespace < *namespace);
        self.services
            .get(first)
            .filter(|service| service.namespace == *namespace)
    }

    /// The one for clients of other namespaces, if any may see one.
    pub(super) fn public(&self) -> Option<&Arc<Service>> {
        self.public.as_ref()
    }

    /// Adds a service to the owners of `key`, which it is not one of.
    pub(super) fn add<K: Hash + Eq + Clone>(
        map: &mut PersistentMap<K, Self>,
        key: K,
        service: &Arc<Service>,
    ) {
        if let Some(owners) = map.get_mut(&key) {
            owners.insert(service);
        } else {
            let public = (service.visibility == Visibility::Public).then(|| Arc::clone(service));
            map.insert(
                key,
                Self {
                    services: Arc::new(vec![Arc::clone(service)]),
                    public,
                },
            );
        }
    }

    /// Takes a service from the owners of `key`; says whether it was the last one.
    pub(super) fn take<K: Hash + Eq + Clone>(
        map: &mut PersistentMap<K, Self>,
        key: &K,
        service: &Service,
    ) -> bool {
        let Some(owners) = map.get_mut(key) else {
            return false;
        };
        owners.remove(service);
        let last = owners.services.is_empty();
        if last {
            map.remove(key);
        }
        last
    }

    fn insert(&mut self, service: &Arc<Service>) {
        let services = Arc::make_mut(&mut self.services);
        let position = services.partition_point(|present| order(present, service).is_lt());
        services.insert(position, Arc::clone(service));
        if service.visibility == Visibility::Public
            && self
                .public
                .as_ref()
                .is_none_or(|public| order_public(service, public).is_lt())
        {
            self.public = Some(Arc::clone(service));
        }
    }

    fn remove(&mut self, service: &Service) {
        let services = Arc::make_mut(&mut self.services);
        let same = |other: &Service| {
            other.namespace == service.namespace && other.hostname == service.hostname
        };
        if let Ok(position) = services.binary_search_by(|present| order(present, service)) {
            services.remove(position);
        }
        if self.public.as_ref().is_some_and(|public| same(public)) {
            self.public = services
                .iter()
                .filter(|service| service.visibility == Visibility::Public)
                .min_by(|a, b| order_public(a, b))
                .cloned();
        }
    }
}
