//! Policies of layer 7, which waypoints do not enforce yet: what they close, and what is told of them.
//!
//! In: what policies are attached to. Out: the names that close routes, settings and backends, and conditions.
//! Never: leaves a target open of which a waypoint of ours could have enforced something.

use super::super::{
    ids::Id,
    routing::{Key, targets as targets_of},
    store::Store,
};
use super::gateways_of;
use crate::{
    objects::{Action, AuthorizationPolicy, Meta, ServiceEntry, TargetRef},
    render::{
        policy,
        routing::{ServiceFacts, WAYPOINT_ACCEPTED},
        waypoint::Binding,
    },
    status::{Condition, UNSUPPORTED_VALUE},
};

impl Store {
    /// The policies of layer 7 that are attached to what a key stands for; only those of a namespace, where one is given.
    pub(super) fn unenforced(&self, key: &Key, only: Option<&str>) -> Vec<String> {
        let counts = |meta: &&Meta| only.is_none_or(|only| only == &*meta.namespace);
        let named = |kind: &'static str| {
            move |meta: &Meta| format!("{kind} {}/{}", meta.namespace, meta.name)
        };
        let policies = self
            .guards(key)
            .filter_map(|id| self.authorizations.get(id))
            .filter(|it| denies(it))
            .map(|it| &it.meta)
            .filter(counts)
            .map(named("AuthorizationPolicy"));
        let authentications = self
            .about(key)
            .filter_map(|id| self.routing().get(id)?.request_authentication())
            .map(|it| &it.meta)
            .filter(counts)
            .map(named("RequestAuthentication"));
        let mut names: Vec<String> = policies.chain(authentications).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The policies of layer 7 of a Gateway and of its class.
    pub(super) fn unenforced_of_gateway(&self, id: Id) -> Vec<String> {
        let Some(gateway) = self.gateways.get(id) else {
            return Vec::new();
        };
        let root = &self.mesh().config.root_namespace;
        let mut names = self.unenforced(&Key::gateway(&gateway.meta), None);
        let class = Key::Class(gateway.class.as_str().into());
        names.extend(self.unenforced(&class, Some(root)));
        names
    }

    /// The policies of layer 7 that hold for a service behind waypoints: its own, and those of the Gateways.
    pub(super) fn unenforced_behind(
        &self,
        service: &ServiceFacts<'_>,
        entry: Option<&ServiceEntry>,
        binding: &Binding,
    ) -> Vec<String> {
        let mut names = self.unenforced(&Key::Host((*service.hostname).into()), None);
        if let Some(entry) = entry {
            names.extend(self.unenforced(&Key::entry(&entry.meta), None));
        }
        let gateways = gateways_of(binding)
            .filter_map(|(namespace, name)| self.gateways.find(namespace, name));
        names.extend(gateways.flat_map(|id| self.unenforced_of_gateway(id)));
        names
    }

    /// The policies of layer 7 that hold for a service. What leads to it by another service's routes must not pass them by.
    pub(super) fn unenforced_for(&self, service: &ServiceFacts<'_>) -> Vec<String> {
        let entry = self.entry_of(service);
        let binding = match entry {
            Some(entry) => self.binding_of_entry(entry),
            None => self
                .services
                .find(service.namespace, service.name)
                .and_then(|id| self.services.get(id))
                .map_or(Binding::Unbound, |it| self.binding_of_service(it)),
        };
        if self.audience(&binding).is_empty() {
            // Where no waypoint of ours stands before it, nothing of it is enforced, and a route to it changes nothing.
            return Vec::new();
        }
        self.unenforced_behind(service, entry, &binding)
    }

    /// The condition of an AuthorizationPolicy that is attached to something.
    pub(in crate::index) fn condition_of_policy(
        &self,
        policy: &AuthorizationPolicy,
    ) -> Option<Condition> {
        if denies(policy) {
            return self.not_enforced("AuthorizationPolicy", &policy.meta, &policy.targets);
        }
        (!policy.targets.is_empty()).then(|| Condition {
            kind: WAYPOINT_ACCEPTED,
            status: false,
            reason: UNSUPPORTED_VALUE,
            message: "waypoints evaluate neither dry runs nor AUDIT yet: it has no effect"
                .to_owned(),
        })
    }

    /// The condition of a policy that waypoints do not enforce yet: what it closes, and where it does nothing.
    pub(super) fn not_enforced(
        &self,
        kind: &str,
        meta: &Meta,
        targets: &[TargetRef],
    ) -> Option<Condition> {
        let mesh = self.mesh();
        let is_served = |target: &&TargetRef| {
            let keys = targets_of(std::slice::from_ref(*target), &meta.namespace, &mesh);
            keys.iter().any(|key| self.is_served(key, &meta.namespace))
        };
        let named = |targets: Vec<&TargetRef>| {
            let names = targets.iter().map(|it| format!("{} {}", it.kind, it.name));
            names.collect::<Vec<_>>().join(", ")
        };
        let (closed, open): (Vec<_>, Vec<_>) = targets.iter().partition(is_served);
        if targets.is_empty() {
            return None;
        }
        let mut messages = Vec::new();
        if !closed.is_empty() {
            messages.push(format!(
                "waypoints do not enforce a {kind} yet: {} answers every request with 403 and ends every connection",
                named(closed)
            ));
        }
        if !open.is_empty() {
            messages.push(format!(
                "no waypoint of this controller stands before {}: it is not enforced there",
                named(open)
            ));
        }
        Some(Condition {
            kind: WAYPOINT_ACCEPTED,
            status: false,
            reason: UNSUPPORTED_VALUE,
            message: messages.join("; "),
        })
    }

    /// Whether waypoints of ours stand before what a key stands for, or are it.
    fn is_served(&self, key: &Key, namespace: &str) -> bool {
        match key {
            Key::Host(hostname) => self
                .service_id(hostname)
                .and_then(|id| self.services.get(id))
                .is_some_and(|it| !self.audience(&self.binding_of_service(it)).is_empty()),
            Key::Entry(namespace, name) => self
                .service_entries
                .find(namespace, name)
                .and_then(|id| self.service_entries.get(id))
                .is_some_and(|it| !self.audience(&self.binding_of_entry(it)).is_empty()),
            Key::Gateway(namespace, name) => self
                .gateways
                .find(namespace, name)
                .is_some_and(|id| self.served_account(id).is_some()),
            Key::Class(name) => {
                let mut gateways = self.gateways.iter();
                let counts = *namespace == *self.mesh().config.root_namespace;
                counts
                    && gateways.any(|(id, gateway)| {
                        *gateway.class == **name && self.served_account(id).is_some()
                    })
            }
            Key::Pattern | Key::Grants(_) => false,
        }
    }
}

/// Whether a policy of layer 7 can deny something: one that only looks on closes nothing.
fn denies(policy: &AuthorizationPolicy) -> bool {
    policy.action != Action::Audit && !policy::is_dry_run(policy)
}
