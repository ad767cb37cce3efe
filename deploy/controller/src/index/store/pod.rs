//! Pods.

use std::sync::Arc;

use super::{Dirty, Id, Store, User, before};
use crate::{
    objects::{Kind, ObjectKey, Phase, Pod},
    output::Resident,
    render::{mesh::uid, workload},
};

impl Store {
    pub(super) fn change_pod(
        &mut self,
        namespace: &Arc<str>,
        name: &Arc<str>,
        new: Option<Arc<Pod>>,
        dirty: &mut Dirty,
    ) {
        let Ok(old) = before(&self.pods, (namespace, name), new.as_deref()) else {
            return;
        };
        if let Some((id, old)) = &old {
            self.unlink_pod(*id, old, dirty);
        }
        if let Some(new) = new {
            let id = self.pods.put(namespace, name, Arc::clone(&new));
            self.link_pod(id, &new, dirty);
        } else if let Some((_, told)) = self.pods.remove(namespace, name) {
            let key = ObjectKey::new(Kind::Pod, Arc::clone(namespace), Arc::clone(name));
            let mesh = self.mesh();
            dirty.forget(key, told, || uid::pod(&mesh, namespace, name));
        }
    }

    fn link_pod(&mut self, id: Id, pod: &Pod, dirty: &mut Dirty) {
        let meta = &pod.meta;
        let space = self.space_mut(&meta.namespace);
        space.pods.insert(id);
        space.pod_labels.insert(id, &meta.labels);
        if !pod.node.is_empty() {
            let place = self.nodes.entry(Arc::clone(&pod.node)).or_default();
            place.pods.insert(id);
        }
        for address in own_addresses(pod) {
            self.pods_by_address.insert(*address, id);
        }
        self.add_user(&meta.namespace, &meta.labels, &User::Pod(id));
        if let Some(resident) = resident(pod) {
            self.residents.add(resident);
        }
        self.mark_pod(id, pod, dirty);
    }

    fn unlink_pod(&mut self, id: Id, pod: &Pod, dirty: &mut Dirty) {
        self.mark_pod(id, pod, dirty);
        let meta = &pod.meta;
        let space = self.space_mut(&meta.namespace);
        space.pods.remove(id);
        space.pod_labels.remove(id, &meta.labels);
        if let Some(place) = self.nodes.get_mut(&pod.node) {
            place.pods.remove(id);
            self.prune_node(&pod.node);
        }
        for address in own_addresses(pod) {
            self.pods_by_address.remove(address, id);
        }
        self.remove_user(&meta.namespace, &meta.labels, &User::Pod(id));
        if let Some(resident) = resident(pod) {
            self.residents.subtract(resident);
        }
    }

    /// Marks a pod, the others that claim an address of it, and slices that list such an address.
    fn mark_pod(&self, id: Id, pod: &Pod, dirty: &mut Dirty) {
        dirty.pods.insert(id);
        for address in own_addresses(pod) {
            dirty.pods.extend(self.pods_by_address.get(address));
            dirty.slices.extend(self.slices_by_address.get(address));
        }
    }
}

/// The addresses that no other pod should have.
fn own_addresses(pod: &Pod) -> impl Iterator<Item = &std::net::IpAddr> {
    let owns = !pod.host_network && workload::is_alive(pod);
    pod.ips.iter().filter(move |_| owns)
}

/// What the CA believes of a node: a pod that runs there, or is about to and has its address already.
fn resident(pod: &Pod) -> Option<Resident> {
    let runs = match pod.phase {
        Phase::Running => true,
        Phase::Pending => !pod.ips.is_empty(),
        Phase::Succeeded | Phase::Failed | Phase::Unknown => false,
    };
    (runs && !pod.node.is_empty()).then(|| Resident {
        node: Arc::clone(&pod.node),
        namespace: Arc::clone(&pod.meta.namespace),
        service_account: Arc::clone(&pod.service_account),
    })
}
