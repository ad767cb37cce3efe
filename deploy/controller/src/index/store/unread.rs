//! Policies of which the manifests cannot be read.
//!
//! In: what stands in for them. Out: what they close, and their conditions. Never: closes what a policy that can be read would not
//! have been attached to.
//!
//! A stand-in and a policy of the same key are not there together: whichever comes last counts.

use std::sync::Arc;

use super::{Dirty, Store};
use crate::{
    index::{routing::Key, tell::Told, unenforced},
    objects::{Kind, ObjectKey, TargetRef, UnreadPolicy},
    render::routing::WAYPOINT_ACCEPTED,
    status::Condition,
};

/// A stand-in, and what was told of it.
#[derive(Debug)]
pub(super) struct Unread {
    policy: Arc<UnreadPolicy>,
    told: Told,
}

impl Store {
    /// Puts a stand-in in the place of a policy.
    pub(super) fn put_unread(
        &mut self,
        key: ObjectKey,
        policy: Arc<UnreadPolicy>,
        dirty: &mut Dirty,
    ) {
        if self.unread.get(&key).is_some_and(|it| it.policy == policy) {
            return;
        }
        let (namespace, name) = (&key.namespace, &key.name);
        if key.kind == Kind::AuthorizationPolicy {
            self.change_authorization(namespace, name, None, dirty);
        } else {
            self.change_routing(key.kind, namespace, name, None, dirty);
        }
        let told = self.unread.remove(&key).map(|it| it.told);
        let told = told.unwrap_or_default();
        self.close_for(&policy, dirty);
        self.unread.insert(key.clone(), Unread { policy, told });
        dirty.unread.insert(key);
    }

    /// Takes the stand-in of a key away, if there is one.
    pub(super) fn remove_unread(&mut self, key: &ObjectKey, dirty: &mut Dirty) {
        let Some(Unread { policy, told }) = self.unread.remove(key) else {
            return;
        };
        let name = unenforced::name(policy.kind, &policy.meta);
        self.note_closed(&name, None, dirty);
        if told.has_conditions() {
            dirty.cleared.push(key.clone());
        }
    }

    /// Closes again, after something has changed by which it is known what that is.
    pub(super) fn follow_unread(&mut self, dirty: &mut Dirty) {
        let policies: Vec<_> = self
            .unread
            .values()
            .map(|it| Arc::clone(&it.policy))
            .collect();
        for policy in policies {
            self.close_for(&policy, dirty);
        }
        dirty.unread.extend(self.unread.keys().cloned());
    }

    fn close_for(&mut self, policy: &UnreadPolicy, dirty: &mut Dirty) {
        let keys = self.closed_by(policy);
        let name = unenforced::name(policy.kind, &policy.meta);
        self.note_closed(&name, Some((None, keys)), dirty);
    }

    fn closed_by(&self, policy: &UnreadPolicy) -> Vec<Key> {
        if !policy.closes {
            return Vec::new();
        }
        self.keys_in_force(&policy.meta, &policy.targets)
    }

    /// The condition of the stand-in of a key, and what was told of it; `None` where there is none.
    pub(in crate::index) fn condition_of_unread(
        &mut self,
        key: &ObjectKey,
    ) -> Option<(Vec<Condition>, &mut Told)> {
        let policy = Arc::clone(&self.unread.get(key)?.policy);
        let message = self.message(&policy);
        let condition = Condition {
            kind: WAYPOINT_ACCEPTED,
            status: false,
            reason: "Invalid",
            message,
        };
        let told = &mut self.unread.get_mut(key)?.told;
        Some((vec![condition], told))
    }

    fn message(&self, policy: &UnreadPolicy) -> String {
        let mut text = "the manifest cannot be read, and there is no earlier version: ".to_owned();
        let (closed, idle): (Vec<_>, Vec<_>) = policy.targets.iter().partition(|target| {
            let keys = self.keys_in_force(&policy.meta, std::slice::from_ref(target));
            policy.closes && !keys.is_empty()
        });
        let namespace = &policy.meta.namespace;
        let called = |targets: &[&TargetRef]| {
            let names = targets.iter().map(|target| match target.kind.as_str() {
                "GatewayClass" => format!("GatewayClass {}", target.name),
                kind => format!("{kind} {namespace}/{}", target.name),
            });
            names.collect::<Vec<_>>().join(", ")
        };
        if closed.is_empty() {
            text.push_str("nothing of it is enforced");
        } else {
            text.push_str(&format!(
                "where a waypoint stands before {}, every request is answered with 403 and every connection ended",
                called(&closed)
            ));
        }
        if policy.closes && !idle.is_empty() {
            text.push_str(&format!(
                "; it is not in force for {}: policies of the root namespace alone are",
                called(&idle)
            ));
        }
        if policy.has_others {
            text.push_str(
                "; it has targetRefs that cannot be read either: what they mean is not closed",
            );
        }
        text
    }
}

#[cfg(test)]
mod tests;
