//! EndpointSlices.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use super::{Dirty, Id, Store, before};
use crate::objects::{EndpointSlice, Kind, ObjectKey, SliceEndpoint};

const SERVICE_NAME: &str = "kubernetes.io/service-name";

impl Store {
    pub(super) fn change_slice(
        &mut self,
        namespace: &Arc<str>,
        name: &Arc<str>,
        new: Option<Arc<EndpointSlice>>,
        dirty: &mut Dirty,
    ) {
        let Ok(old) = before(&self.slices, (namespace, name), new.as_deref()) else {
            return;
        };
        let old_slice = old.as_ref().map(|(_, it)| &**it);
        self.mark_difference(old_slice, new.as_deref(), dirty);
        let was = old_slice.and_then(service_name);
        let is = new.as_deref().and_then(service_name);
        if let Some((id, old)) = &old {
            self.unlink_slice(*id, old, dirty);
            if let Some(was) = was.filter(|was| Some(*was) != is) {
                self.leave_service(*id, namespace, was, dirty);
            }
        }
        if let Some(new) = new {
            let id = self.slices.put(namespace, name, Arc::clone(&new));
            self.link_slice(id, &new);
            if let Some(is) = service_name(&new).filter(|is| Some(*is) != was) {
                self.join_service(id, namespace, is, dirty);
            }
            dirty.slices.insert(id);
        } else if let Some((_, told)) = self.slices.remove(namespace, name) {
            let key = ObjectKey::new(Kind::EndpointSlice, Arc::clone(namespace), Arc::clone(name));
            dirty.forget(key, told, String::new);
        }
    }

    /// The first slice of a Service takes the place of its selector.
    fn join_service(&mut self, id: Id, namespace: &Arc<str>, service: &str, dirty: &mut Dirty) {
        let slices = &mut self.space_mut(namespace).slices_by_service;
        let is_first = !slices.contains(service);
        slices.insert(service.into(), id);
        if is_first {
            self.mark_selected_by_service(namespace, service, dirty);
        }
    }

    /// Without its last slice, a Service has its selector again.
    fn leave_service(&mut self, id: Id, namespace: &Arc<str>, service: &str, dirty: &mut Dirty) {
        let slices = &mut self.space_mut(namespace).slices_by_service;
        slices.remove(service, id);
        if !slices.contains(service) {
            self.mark_selected_by_service(namespace, service, dirty);
        }
    }

    fn link_slice(&mut self, id: Id, slice: &EndpointSlice) {
        for endpoint in &slice.endpoints {
            match &endpoint.pod {
                Some((namespace, pod)) => {
                    let space = self.space_mut(namespace);
                    space.slices_by_pod.insert(Arc::clone(pod), id);
                }
                None => {
                    for address in &endpoint.addresses {
                        self.slices_by_address.insert(*address, id);
                    }
                }
            }
            if !endpoint.node.is_empty() {
                let place = self.nodes.entry(Arc::clone(&endpoint.node)).or_default();
                place.slices.insert(id);
            }
        }
    }

    fn unlink_slice(&mut self, id: Id, slice: &EndpointSlice, dirty: &mut Dirty) {
        for endpoint in &slice.endpoints {
            match &endpoint.pod {
                Some((namespace, pod)) => {
                    self.space_mut(namespace).slices_by_pod.remove(pod, id);
                    dirty.shrunk.insert(Arc::clone(namespace));
                }
                None => {
                    for address in &endpoint.addresses {
                        self.slices_by_address.remove(address, id);
                    }
                }
            }
            if let Some(place) = self.nodes.get_mut(&endpoint.node) {
                place.slices.remove(id);
                self.prune_node(&endpoint.node);
            }
        }
    }

    /// Marks the pods that a slice lists otherwise than before: of a thousand endpoints, mostly one.
    fn mark_difference(
        &self,
        old: Option<&EndpointSlice>,
        new: Option<&EndpointSlice>,
        dirty: &mut Dirty,
    ) {
        let before = old.map_or(&[][..], |it| &it.endpoints);
        let now = new.map_or(&[][..], |it| &it.endpoints);
        let is_same = match (old, new) {
            (Some(old), Some(new)) => {
                service_name(old) == service_name(new) && old.ports == new.ports
            }
            (Some(_), None) | (None, _) => false,
        };
        if !is_same {
            self.mark_listed(before.iter().chain(now), dirty);
            return;
        }
        let known: HashSet<_> = before.iter().map(parts).collect();
        let wanted: HashSet<_> = now.iter().map(parts).collect();
        let lost = before.iter().filter(|it| !wanted.contains(&parts(it)));
        let come = now.iter().filter(|it| !known.contains(&parts(it)));
        self.mark_listed(lost.chain(come), dirty);
    }

    /// Marks the pods that these endpoints are.
    pub(super) fn mark_listed<'a>(
        &self,
        endpoints: impl IntoIterator<Item = &'a SliceEndpoint>,
        dirty: &mut Dirty,
    ) {
        for endpoint in endpoints {
            match &endpoint.pod {
                Some((namespace, name)) => dirty.pods.extend(self.pods.find(namespace, name)),
                None => {
                    for address in &endpoint.addresses {
                        dirty.pods.extend(self.pods_by_address.get(address));
                    }
                }
            }
        }
    }
}

/// The Service that a slice belongs to.
pub(in crate::index) fn service_name(slice: &EndpointSlice) -> Option<&str> {
    slice
        .meta
        .label(SERVICE_NAME)
        .filter(|name| !name.is_empty())
}

type Parts<'a> = (&'a [IpAddr], bool, bool, Option<(&'a str, &'a str)>);

fn parts(endpoint: &SliceEndpoint) -> Parts<'_> {
    let pod = endpoint
        .pod
        .as_ref()
        .map(|(namespace, name)| (&**namespace, &**name));
    (
        &endpoint.addresses,
        endpoint.ready,
        endpoint.terminating,
        pod,
    )
}
