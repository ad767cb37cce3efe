//! Services: those that are given, and those that waypoints have without being given one.

use std::sync::Arc;

use super::{Dirty, Id, Store, User};
use crate::{
    objects::{Kind, Labels, Meta, ObjectKey, Service, ServicePort, ServiceType},
    render::waypoint,
};

impl Store {
    /// The Service that is given, or that is given no more.
    pub(super) fn change_service(
        &mut self,
        namespace: &Arc<str>,
        name: &Arc<str>,
        new: Option<Arc<Service>>,
        dirty: &mut Dirty,
    ) {
        let given = new.is_some();
        let new = new.or_else(|| self.waypoint_service(namespace, name));
        self.set_service(namespace, name, new, given, dirty);
    }

    /// Follows a change of the Gateways whose Service has that name.
    pub(super) fn refresh_service(
        &mut self,
        namespace: &Arc<str>,
        name: &Arc<str>,
        dirty: &mut Dirty,
    ) {
        let id = self.services.find(namespace, name);
        match id.filter(|id| !self.synthesised.contains(id)) {
            // Whether it may have a waypoint depends on whether it is one's.
            Some(given) => {
                dirty.services.insert(given);
            }
            None => {
                let new = self.waypoint_service(namespace, name);
                self.set_service(namespace, name, new, false, dirty);
            }
        }
    }

    /// The Service that the first of the Gateways whose Service has that name has by itself.
    fn waypoint_service(&self, namespace: &str, name: &str) -> Option<Arc<Service>> {
        let ids = self.space(namespace)?.gateways_by_service.get(name);
        let services = ids.filter_map(|id| {
            let found = self.found(id)?;
            Some((&found.gateway.meta.name, waypoint::service(found)?))
        });
        let first = services.min_by(|one, other| one.0.cmp(other.0))?;
        Some(Arc::new(first.1))
    }

    fn set_service(
        &mut self,
        namespace: &Arc<str>,
        name: &Arc<str>,
        new: Option<Arc<Service>>,
        given: bool,
        dirty: &mut Dirty,
    ) {
        let id = self.services.find(namespace, name);
        let old = id.and_then(|id| Some((id, Arc::clone(self.services.get(id)?))));
        if old.as_ref().map(|(_, it)| it) != new.as_ref() {
            let old_service = old.as_ref().map(|(_, it)| &**it);
            let changes_members = old_service.map(membership) != new.as_deref().map(membership);
            self.mark_hostname(&self.mesh().hostname(namespace, name), None, dirty);
            if let Some((id, old)) = &old {
                if changes_members {
                    self.mark_members(old, dirty);
                }
                self.unlink_service(*id, old);
            }
            if let Some(new) = &new {
                let id = self.services.put(namespace, name, Arc::clone(new));
                self.link_service(id, new);
                dirty.services.insert(id);
                if changes_members {
                    self.mark_members(new, dirty);
                }
            } else if let Some((id, told)) = self.services.remove(namespace, name) {
                self.synthesised.remove(&id);
                self.waypoint_of_service.remove(&id);
                let key = ObjectKey::new(Kind::Service, Arc::clone(namespace), Arc::clone(name));
                let hostname = self.mesh().hostname(namespace, name);
                dirty.forget(key, told, || format!("{namespace}/{hostname}"));
            }
            if changes_members {
                // It wins its hostname over ServiceEntries.
                let hostname = self.mesh().hostname(namespace, name);
                self.mark_claimants(namespace, &hostname, dirty);
            }
        }
        if let Some(id) = self.services.find(namespace, name) {
            if given {
                self.synthesised.remove(&id);
            } else {
                self.synthesised.insert(id);
            }
        }
    }

    fn link_service(&mut self, id: Id, service: &Service) {
        let space = self.space_mut(&service.meta.namespace);
        space.services.insert(id);
        space.service_selectors.insert(id, selector(service));
        self.add_user(
            &service.meta.namespace,
            &service.meta.labels,
            &User::Service(id),
        );
    }

    fn unlink_service(&mut self, id: Id, service: &Service) {
        let space = self.space_mut(&service.meta.namespace);
        space.services.remove(id);
        space.service_selectors.remove(id, selector(service));
        self.remove_user(
            &service.meta.namespace,
            &service.meta.labels,
            &User::Service(id),
        );
    }

    /// Marks what serves a Service: by its selector, and by its slices.
    pub(super) fn mark_members(&self, service: &Service, dirty: &mut Dirty) {
        let Meta {
            namespace, name, ..
        } = &service.meta;
        self.mark_selected(namespace, selector(service), dirty);
        let Some(space) = self.space(namespace) else {
            return;
        };
        for id in space.slices_by_service.get(name) {
            dirty.slices.insert(id);
            if let Some(slice) = self.slices.get(id) {
                self.mark_listed(&slice.endpoints, dirty);
            }
        }
    }

    /// Marks what a Service with that name selects: with its first slice, or without its last, that counts no more.
    pub(super) fn mark_selected_by_service(&self, namespace: &str, name: &str, dirty: &mut Dirty) {
        let id = self.services.find(namespace, name);
        if let Some(service) = id.and_then(|id| self.services.get(id)) {
            self.mark_selected(namespace, selector(service), dirty);
        }
    }
}

/// The part of a Service that its workloads carry.
fn membership(service: &Service) -> (bool, &Labels, &[ServicePort], bool) {
    (
        service.kind == ServiceType::ExternalName,
        selector(service),
        &service.ports,
        service.publish_not_ready,
    )
}

/// An ExternalName selects nothing, and neither does an empty selector.
pub(super) fn selector(service: &Service) -> &Labels {
    static NOTHING: Labels = Labels::new();
    match (&service.selector, service.kind) {
        (None, _) | (Some(_), ServiceType::ExternalName) => &NOTHING,
        (
            Some(selector),
            ServiceType::ClusterIp | ServiceType::NodePort | ServiceType::LoadBalancer,
        ) => &selector.0,
    }
}
