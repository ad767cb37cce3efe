//! AuthorizationPolicies and PeerAuthentications.

use std::sync::Arc;

use super::{Dirty, Id, Store, before};
use crate::{
    index::space::Ranked,
    objects::{AuthorizationPolicy, Kind, Labels, ObjectKey, PeerAuthentication},
    render::{
        authentication::{self, Mode, Reach},
        policy::{self, Selection},
    },
};

impl Store {
    pub(super) fn change_authorization(
        &mut self,
        namespace: &Arc<str>,
        name: &Arc<str>,
        new: Option<Arc<AuthorizationPolicy>>,
        dirty: &mut Dirty,
    ) {
        let Ok(old) = before(&self.authorizations, (namespace, name), new.as_deref()) else {
            return;
        };
        let root = self.config.root_namespace.as_str();
        let selection = |it| policy::selection(it, root);
        let selected_before = old.as_ref().map(|(_, it)| selection(it));
        // An edit of the rules is none of the workloads' business.
        let differs = selected_before != new.as_deref().map(selection);
        if let Some((id, old)) = &old {
            if differs {
                self.mark_selection(old, dirty);
            }
            self.mark_targets(old, dirty);
            self.unlink_authorization(*id, old);
        }
        if let Some(new) = new {
            let id = self.authorizations.put(namespace, name, Arc::clone(&new));
            self.link_authorization(id, &new);
            dirty.authorizations.insert(id);
            self.mark_targets(&new, dirty);
            if differs {
                self.mark_selection(&new, dirty);
            }
        } else if let Some((_, told)) = self.authorizations.remove(namespace, name) {
            let kind = Kind::AuthorizationPolicy;
            if let Some((_, old)) = &old {
                self.note_flaw(kind, &old.meta, None, dirty);
            }
            let key = ObjectKey::new(kind, Arc::clone(namespace), Arc::clone(name));
            dirty.forget(key, told, String::new);
        }
    }

    fn link_authorization(&mut self, id: Id, policy: &AuthorizationPolicy) {
        self.link_targets(id, policy);
        let config = Arc::clone(&self.config);
        match policy::selection(policy, &config.root_namespace) {
            Selection::Mesh | Selection::Namespace | Selection::Nothing => {}
            Selection::Workloads(selector) => {
                let space = self.space_mut(&policy.meta.namespace);
                space.authorization_selectors.insert(id, &selector.0);
            }
            Selection::WorkloadsOfMesh(selector) => {
                self.authorization_selectors.insert(id, &selector.0);
            }
        }
    }

    fn unlink_authorization(&mut self, id: Id, policy: &AuthorizationPolicy) {
        self.unlink_targets(id, policy);
        let config = Arc::clone(&self.config);
        match policy::selection(policy, &config.root_namespace) {
            Selection::Mesh | Selection::Namespace | Selection::Nothing => {}
            Selection::Workloads(selector) => {
                let space = self.space_mut(&policy.meta.namespace);
                space.authorization_selectors.remove(id, &selector.0);
            }
            Selection::WorkloadsOfMesh(selector) => {
                self.authorization_selectors.remove(id, &selector.0);
            }
        }
    }

    /// Marks the workloads that list a policy.
    fn mark_selection(&self, policy: &AuthorizationPolicy, dirty: &mut Dirty) {
        match policy::selection(policy, &self.config.root_namespace) {
            Selection::Mesh | Selection::Namespace | Selection::Nothing => {}
            Selection::Workloads(selector) => {
                self.mark_selected_by_policy(&policy.meta.namespace, &selector.0, dirty);
            }
            Selection::WorkloadsOfMesh(selector) => {
                for namespace in self.spaces.keys() {
                    self.mark_selected_by_policy(namespace, &selector.0, dirty);
                }
            }
        }
    }

    pub(super) fn change_authentication(
        &mut self,
        namespace: &Arc<str>,
        name: &Arc<str>,
        new: Option<Arc<PeerAuthentication>>,
        dirty: &mut Dirty,
    ) {
        let Ok(old) = before(&self.authentications, (namespace, name), new.as_deref()) else {
            return;
        };
        let inherited_before = (self.inherited_of_mesh(), self.inherited(namespace));
        if let Some((id, old)) = &old {
            self.mark_reached(old, dirty);
            self.unlink_authentication(*id, old);
        }
        if let Some(new) = new {
            let id = self.authentications.put(namespace, name, Arc::clone(&new));
            self.link_authentication(id, &new);
            self.mark_reached(&new, dirty);
            dirty.authentications.insert(id);
        } else if let Some((_, told)) = self.authentications.remove(namespace, name) {
            let kind = Kind::PeerAuthentication;
            let key = ObjectKey::new(kind, Arc::clone(namespace), Arc::clone(name));
            dirty.forget(key, told, String::new);
        }
        dirty.static_strict = true;
        let (mesh_before, namespace_before) = inherited_before;
        if self.inherited_of_mesh() != mesh_before {
            for space in self.spaces.values() {
                self.mark_workloads(space, dirty);
                let ids = space.selecting_authentications.iter();
                dirty.authentications.extend(ids);
            }
        } else if self.inherited(namespace) != namespace_before
            && let Some(space) = self.space(namespace)
        {
            self.mark_workloads(space, dirty);
            let ids = space.selecting_authentications.iter();
            dirty.authentications.extend(ids);
        }
    }

    fn link_authentication(&mut self, id: Id, object: &PeerAuthentication) {
        let config = Arc::clone(&self.config);
        let meta = &object.meta;
        let rank = (meta.created, Arc::clone(&meta.name), id);
        match authentication::reach(object, &config.root_namespace) {
            Reach::Nothing => {}
            Reach::Mesh => {
                self.mesh_authentications.insert(rank);
            }
            Reach::Namespace => {
                self.space_mut(&meta.namespace).authentications.insert(rank);
            }
            Reach::Workloads(selector) => {
                let space = self.space_mut(&meta.namespace);
                space.selecting_authentications.insert(id);
                space.authentication_selectors.insert(id, &selector.0);
            }
        }
    }

    fn unlink_authentication(&mut self, id: Id, object: &PeerAuthentication) {
        let config = Arc::clone(&self.config);
        let meta = &object.meta;
        let rank = (meta.created, Arc::clone(&meta.name), id);
        match authentication::reach(object, &config.root_namespace) {
            Reach::Nothing => {}
            Reach::Mesh => {
                self.mesh_authentications.remove(&rank);
            }
            Reach::Namespace => {
                self.space_mut(&meta.namespace)
                    .authentications
                    .remove(&rank);
            }
            Reach::Workloads(selector) => {
                let space = self.space_mut(&meta.namespace);
                space.selecting_authentications.remove(id);
                space.authentication_selectors.remove(id, &selector.0);
            }
        }
    }

    /// Marks the workloads that an object with a selector selects.
    fn mark_reached(&self, object: &PeerAuthentication, dirty: &mut Dirty) {
        let reach = authentication::reach(object, &self.config.root_namespace);
        let labels: Option<&Labels> = match reach {
            Reach::Workloads(selector) => Some(&selector.0),
            Reach::Nothing | Reach::Mesh | Reach::Namespace => None,
        };
        if let Some(labels) = labels {
            self.mark_selected_by_policy(&object.meta.namespace, labels, dirty);
        }
    }

    /// What the workloads of a namespace inherit.
    pub(in crate::index) fn inherited(&self, namespace: &str) -> Mode {
        let own = self.space(namespace);
        let own = own.and_then(|space| self.first(&space.authentications));
        authentication::inherited(self.first(&self.mesh_authentications), own)
    }

    fn inherited_of_mesh(&self) -> Mode {
        authentication::inherited(self.first(&self.mesh_authentications), None)
    }

    fn first(&self, ranked: &Ranked) -> Option<&PeerAuthentication> {
        let (_, _, id) = ranked.first()?;
        self.authentications.get(*id).map(|it| &**it)
    }

    /// Undoes the relations of all policies, before the root namespace changes.
    pub(super) fn unlink_policies(&mut self) {
        for (id, policy) in all(&self.authorizations) {
            self.unlink_authorization(id, &policy);
        }
        for (id, object) in all(&self.authentications) {
            self.unlink_authentication(id, &object);
        }
    }

    /// Makes them again, after it has changed.
    pub(super) fn link_policies(&mut self) {
        for (id, policy) in all(&self.authorizations) {
            self.link_authorization(id, &policy);
        }
        for (id, object) in all(&self.authentications) {
            self.link_authentication(id, &object);
        }
    }
}

fn all<T>(table: &super::Table<T>) -> Vec<(Id, Arc<T>)> {
    table.iter().map(|(id, it)| (id, Arc::clone(it))).collect()
}
