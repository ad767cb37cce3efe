//! Policies of layer 7, and what a change of them, or of what they are attached to, touches.
//!
//! A policy is a part of what its target is told, and of nothing else. One that cannot be enforced closes its target for
//! whatever leads there, so that what is closed is kept, and followed.

use super::{Dirty, Id, Store};
use crate::{
    index::{
        routing::{self, Key},
        unenforced::{self, Unenforced},
    },
    objects::{Action, AuthorizationPolicy, Kind, Meta},
    render::access::Unenforceable,
};

impl Store {
    /// Notes what a policy of layer 7 is attached to.
    pub(super) fn link_targets(&mut self, id: Id, policy: &AuthorizationPolicy) {
        for key in routing::targets(&policy.targets, &policy.meta.namespace, &self.mesh()) {
            self.guarded.insert(key, id);
        }
        if policy.action == Action::Custom && !policy.targets.is_empty() {
            self.customs.insert(id);
        }
    }

    pub(super) fn unlink_targets(&mut self, id: Id, policy: &AuthorizationPolicy) {
        for key in routing::targets(&policy.targets, &policy.meta.namespace, &self.mesh()) {
            self.guarded.remove(&key, id);
        }
        self.customs.remove(id);
    }

    pub(super) fn mark_targets(&self, policy: &AuthorizationPolicy, dirty: &mut Dirty) {
        for key in routing::targets(&policy.targets, &policy.meta.namespace, &self.mesh()) {
            self.touch(&key, dirty);
        }
    }

    /// Finds out whether an AuthorizationPolicy can be enforced, and marks what it closes, or closes no more.
    pub(in crate::index) fn follow_authorization(&mut self, id: Id, dirty: &mut Dirty) {
        let Some(policy) = self.authorizations.get(id).cloned() else {
            return;
        };
        let flaw = self.flaw_of_authorization(&policy);
        self.note_flaw(Kind::AuthorizationPolicy, &policy.meta, flaw, dirty);
    }

    /// As [`Self::follow_authorization`], of a RequestAuthentication; other objects of routing are passed over.
    pub(in crate::index) fn follow_authentication(&mut self, id: Id, dirty: &mut Dirty) {
        let Some(object) = self.routing.get(id).cloned() else {
            return;
        };
        let Some(policy) = object.request_authentication() else {
            return;
        };
        let flaw = self.flaw_of_authentication(policy);
        self.note_flaw(Kind::RequestAuthentication, &policy.meta, flaw, dirty);
    }

    /// Notes why a policy is not enforced and what it closes for that, or that it is.
    pub(super) fn note_flaw(
        &mut self,
        kind: Kind,
        meta: &Meta,
        flaw: Option<(Unenforceable, Vec<Key>)>,
        dirty: &mut Dirty,
    ) {
        let flaw = flaw.map(|(why, keys)| (Some(why), keys));
        self.note_closed(&unenforced::name(kind, meta), flaw, dirty);
    }

    /// The same by the name that waypoints hear, also of a policy that could not be read.
    pub(super) fn note_closed(
        &mut self,
        name: &str,
        flaw: Option<(Option<Unenforceable>, Vec<Key>)>,
        dirty: &mut Dirty,
    ) {
        let flaw = flaw.map(|(why, keys)| (why, keys.into_iter().collect()));
        let changed = self.unenforced.note(name, flaw);
        for key in changed {
            self.touch(&key, dirty);
            self.mark_routes_to(&key, dirty);
            match key {
                // What is closed for a Gateway is closed for all that it stands before.
                Key::Gateway(..) | Key::Class(_) => self.touch_all(dirty),
                Key::Host(_) | Key::Pattern | Key::Entry(..) | Key::Grants(_) => {}
            }
        }
    }

    /// Policies that cannot be enforced.
    pub(in crate::index) fn unenforced(&self) -> &Unenforced {
        &self.unenforced
    }

    /// Whether an authorizer of the mesh has this hostname.
    pub(super) fn is_authorizer(&self, hostname: &str) -> bool {
        let mut authorizers = self.config.authorizers.values().flatten();
        authorizers.any(|it| it.service.hostname == hostname)
    }

    /// Marks the policies that ask somebody else, and what they are attached to.
    pub(super) fn mark_customs(&self, dirty: &mut Dirty) {
        for id in self.customs.iter() {
            dirty.authorizations.insert(id);
            if let Some(policy) = self.authorizations.get(id) {
                self.mark_targets(policy, dirty);
            }
        }
    }

    /// Marks the conditions of what is about services and Gateways that are marked: whether a waypoint stands there is of
    /// interest to them.
    pub(in crate::index) fn mark_attached(&self, dirty: &mut Dirty) {
        let mut keys = Vec::new();
        for id in &dirty.services {
            if let Some(object) = self.services.get(*id) {
                let meta = &object.meta;
                let hostname = self.mesh().hostname(&meta.namespace, &meta.name);
                dirty.routing.extend(self.routing_about(&hostname, None));
                keys.push(Key::Host(hostname.into()));
            }
        }
        for id in &dirty.service_entries {
            if let Some(entry) = self.service_entries.get(*id) {
                for host in &entry.hosts {
                    dirty.routing.extend(self.routing_about(host, Some(entry)));
                }
                keys.push(Key::entry(&entry.meta));
            }
        }
        for id in &dirty.gateways {
            if let Some(gateway) = self.gateways.get(*id) {
                keys.push(Key::gateway(&gateway.meta));
                keys.push(Key::Class(gateway.class.as_str().into()));
            }
        }
        // A Gateway that went may have been the last of its class, or the target itself.
        let gone = dirty.gateways_gone.iter();
        keys.extend(gone.cloned());
        for key in keys {
            dirty.authorizations.extend(self.guarded.get(&key));
            dirty.routing.extend(self.about.get(&key));
        }
    }

    /// The policies, by slot, that are attached to what a key stands for.
    pub(in crate::index) fn guards(&self, key: &Key) -> impl Iterator<Item = Id> {
        self.guarded.get(key)
    }
}
