//! Gateways and their classes.

use std::sync::Arc;

use super::{Dirty, Id, Key, Store, User, before};
use crate::{
    objects::{Gateway, GatewayClass, Kind, ObjectKey},
    output::Account,
    render::waypoint::{self, Class, Found, GATEWAY_NAME},
};

impl Store {
    /// A Gateway and its class.
    pub(in crate::index) fn found(&self, id: Id) -> Option<Found<'_>> {
        let gateway = self.gateways.get(id)?;
        let class = self.classes.get(gateway.class.as_str());
        Some(Found {
            gateway,
            class: class.map(|it| &**it),
        })
    }

    /// A GatewayClass, where there is an object for it.
    pub(in crate::index) fn class(&self, name: &str) -> Option<&GatewayClass> {
        self.classes.get(name).map(|it| &**it)
    }

    pub(super) fn change_gateway(
        &mut self,
        namespace: &Arc<str>,
        name: &Arc<str>,
        new: Option<Arc<Gateway>>,
        dirty: &mut Dirty,
    ) {
        let Ok(old) = before(&self.gateways, (namespace, name), new.as_deref()) else {
            return;
        };
        let mut services = Vec::new();
        if let Some((id, old)) = &old {
            dirty.gateways_gone.extend([
                Key::Gateway((**namespace).into(), (**name).into()),
                Key::Class(old.class.as_str().into()),
            ]);
            self.unlink_gateway(*id);
            services.push(waypoint::service_name(old).into());
        }
        if let Some(new) = new {
            services.push(waypoint::service_name(&new).into());
            let id = self.gateways.put(namespace, name, new);
            self.link_gateway(id);
        } else if let Some((_, told)) = self.gateways.remove(namespace, name) {
            let key = ObjectKey::new(Kind::Gateway, Arc::clone(namespace), Arc::clone(name));
            dirty.forget(key, told, String::new);
        }
        for service in services {
            self.refresh_service(namespace, &service, dirty);
        }
        dirty.gateways.extend(self.gateways.find(namespace, name));
        self.mark_gateway(namespace, name, dirty);
    }

    pub(super) fn change_class(
        &mut self,
        name: &Arc<str>,
        new: Option<Arc<GatewayClass>>,
        dirty: &mut Dirty,
    ) {
        if self.classes.get(name) == new.as_ref() {
            return;
        }
        let gateways = self.gateways.iter();
        let of_class: Vec<_> = gateways
            .filter(|(_, gateway)| *gateway.class == **name)
            .map(|(id, gateway)| (id, Arc::clone(gateway)))
            .collect();
        for (id, _) in &of_class {
            self.unlink_gateway(*id);
        }
        match new {
            Some(new) => self.classes.insert(Arc::clone(name), new),
            None => self.classes.remove(name),
        };
        // What is attached to it may find no Gateway of it.
        dirty.gateways_gone.insert(Key::Class((**name).into()));
        for (id, gateway) in of_class {
            self.link_gateway(id);
            let meta = &gateway.meta;
            let service = waypoint::service_name(&gateway).into();
            self.refresh_service(&meta.namespace, &service, dirty);
            dirty.gateways.insert(id);
            self.mark_gateway(&meta.namespace, &meta.name, dirty);
        }
    }

    fn link_gateway(&mut self, id: Id) {
        let Some(gateway) = self.gateways.get(id).cloned() else {
            return;
        };
        if let Some(account) = self.waypoint_account(id) {
            self.waypoints.add(account);
        }
        let services = &mut self.space_mut(&gateway.meta.namespace).gateways_by_service;
        services.insert(waypoint::service_name(&gateway).into(), id);
    }

    fn unlink_gateway(&mut self, id: Id) {
        let Some(gateway) = self.gateways.get(id).cloned() else {
            return;
        };
        if let Some(account) = self.waypoint_account(id) {
            self.waypoints.subtract(account);
        }
        let services = &mut self.space_mut(&gateway.meta.namespace).gateways_by_service;
        services.remove(waypoint::service_name(&gateway), id);
    }

    /// Under which identity a waypoint runs.
    fn waypoint_account(&self, id: Id) -> Option<Account> {
        let found = self.found(id)?;
        match waypoint::class(found) {
            Class::Waypoint => Some(Account {
                namespace: Arc::clone(&found.gateway.meta.namespace),
                name: waypoint::account(found.gateway).into(),
            }),
            Class::EastWest | Class::Other => None,
        }
    }

    /// Marks what uses a Gateway as its waypoint, and the Gateway's own pods.
    fn mark_gateway(&self, namespace: &str, name: &str, dirty: &mut Dirty) {
        if let Some(space) = self.space(namespace) {
            dirty.pods.extend(space.pod_labels.with(GATEWAY_NAME, name));
        }
        let users = self.users.get(namespace).and_then(|names| names.get(name));
        for user in users.into_iter().flatten() {
            match user {
                User::Namespace(namespace) => self.mark_namespace(namespace, dirty),
                User::Pod(id) => drop(dirty.pods.insert(*id)),
                User::Service(id) => drop(dirty.services.insert(*id)),
                User::WorkloadEntry(id) => drop(dirty.workload_entries.insert(*id)),
                User::ServiceEntry(id) => drop(dirty.service_entries.insert(*id)),
            }
        }
    }
}
