//! Namespaces, nodes and MeshConfig: where things are.

use std::sync::Arc;

use super::{Dirty, Store, User};
use crate::{
    objects::{MeshConfig, Namespace, Node},
    render::workload,
};

impl Store {
    pub(super) fn change_namespace(
        &mut self,
        name: &Arc<str>,
        new: Option<Arc<Namespace>>,
        dirty: &mut Dirty,
    ) {
        let old = self.space(name).and_then(|space| space.object.clone());
        if old == new {
            return;
        }
        let user = User::Namespace(Arc::clone(name));
        if let Some(old) = &old {
            self.remove_user(name, &old.meta.labels, &user);
        }
        if let Some(new) = &new {
            self.add_user(name, &new.meta.labels, &user);
        }
        let gone = new.is_none();
        self.space_mut(name).object = new;
        self.mark_namespace(name, dirty);
        if gone {
            dirty.shrunk.insert(Arc::clone(name));
        }
        self.refresh_network(dirty);
    }

    pub(super) fn change_node(
        &mut self,
        name: &Arc<str>,
        new: Option<Arc<Node>>,
        dirty: &mut Dirty,
    ) {
        let place = self.nodes.entry(Arc::clone(name)).or_default();
        let locality = |node: &Option<Arc<Node>>| {
            let node = node.as_ref();
            node.and_then(|node| workload::locality(&node.meta))
        };
        if locality(&place.object) != locality(&new) {
            dirty.pods.extend(place.pods.iter());
            dirty.slices.extend(place.slices.iter());
        }
        place.object = new;
        self.prune_node(name);
    }

    /// Forgets a node that nothing is known of any more.
    pub(super) fn prune_node(&mut self, name: &str) {
        let is_empty = self.nodes.get(name).is_some_and(|place| {
            place.object.is_none() && place.pods.is_empty() && place.slices.is_empty()
        });
        if is_empty {
            self.nodes.remove(name);
        }
    }

    pub(super) fn change_config(&mut self, new: Arc<MeshConfig>, dirty: &mut Dirty) {
        if self.config == new {
            return;
        }
        // What a policy reaches depends on which namespace is the root.
        self.unlink_policies();
        self.config = new;
        self.link_policies();
        self.follow_unread(dirty);
        self.refresh_network(dirty);
        self.mark_all(dirty);
    }

    /// The network of the cluster is a label of the root namespace.
    fn refresh_network(&mut self, dirty: &mut Dirty) {
        let root = self.space(&self.config.root_namespace);
        let label = root
            .and_then(|space| space.object.as_ref()?.meta.label(workload::NETWORK))
            .unwrap_or(&self.options.network);
        if *label != *self.network {
            self.network = label.into();
            self.mark_all(dirty);
        }
    }
}
