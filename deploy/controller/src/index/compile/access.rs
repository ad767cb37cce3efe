//! What is asked of who comes to a service or to a waypoint: the policies that are attached to it, and their conditions.
//!
//! In: keys of what policies are attached to. Out: [`Policies`], and the names of those that close. Never: passes over a policy
//! that could have kept something out.

use std::collections::BTreeMap;

use wire::proto::waypoint::{
    AuthorizationPolicy as WirePolicy, Policies, RequestAuthentication as WireTokens,
};

use super::{
    super::{
        ids::Id,
        routing::{self, Key},
        store::Store,
        unenforced,
    },
    gateways_of, readable,
};
use crate::{
    objects::{
        Action, AuthorizationPolicy, Authorizer, AuthorizerProtocol, Kind, Meta,
        RequestAuthentication, ServiceEntry, ServiceType, TargetRef,
    },
    render::{
        access::{
            self, Unenforceable,
            status::{self, Attachment, Subject},
        },
        policy::Scoping,
        routing::Lookup as _,
        waypoint::{self, Binding, Class},
    },
    status::Condition,
};

/// What is asked of who comes to something.
#[derive(Debug, Default)]
pub(super) struct Access {
    /// `None`: nothing.
    pub(super) policies: Option<Policies>,
    /// The names of policies that close it, since they cannot be enforced.
    pub(super) unenforced: Vec<String>,
}

/// The same of the targets of a policy that stand before many services, in one sentence: which ports these have is not looked up.
fn closed_of_gateways(policy: &AuthorizationPolicy) -> Option<String> {
    let is_gateway = |it: &&TargetRef| matches!(it.kind.as_str(), "Gateway" | "GatewayClass");
    let gateways = policy.targets.iter().filter(is_gateway);
    let called: Vec<_> = gateways
        .map(|it| format!("{} {}", it.kind, it.name))
        .collect();
    (!called.is_empty() && !policy.rules.is_empty()).then(|| {
        format!(
            "connections to ports behind {} that do not speak HTTP, and that a rule matches, are closed: provider {:?} is asked by HTTP, and only about requests",
            called.join(", "),
            policy.provider
        )
    })
}

impl Store {
    /// What is asked of who comes to what these keys stand for. Policies are in the order of their names.
    pub(super) fn access(&self, keys: &[Key]) -> Access {
        let mut access = Access::default();
        let mut policies = Policies::default();
        let guards = keys
            .iter()
            .flat_map(|key| self.guards(key).map(move |id| (key, id)))
            .filter_map(|(key, id)| Some((key, &**self.authorizations.get(id)?)));
        for policy in self.in_force(guards, |it| &it.meta) {
            match self.authorization(policy) {
                Ok(policy) => policies.authorization.push(policy),
                Err(_) if access::can_close(policy) => {
                    let name = unenforced::name(Kind::AuthorizationPolicy, &policy.meta);
                    access.unenforced.push(name);
                }
                Err(_) => {}
            }
        }
        let about = keys
            .iter()
            .flat_map(|key| self.about(key).map(move |id| (key, id)))
            .filter_map(|(key, id)| Some((key, self.routing().get(id)?.request_authentication()?)));
        for policy in self.in_force(about, |it| &it.meta) {
            match self.tokens(policy) {
                // Without rules it asks nothing.
                Ok(policy) if policy.rules.is_empty() => {}
                Ok(policy) => policies.authentication.push(policy),
                Err(_) => {
                    let name = unenforced::name(Kind::RequestAuthentication, &policy.meta);
                    access.unenforced.push(name);
                }
            }
        }
        access.policies = (policies != Policies::default()).then_some(policies);
        access
    }

    /// Each once, by name, of those that hold for what they are attached to.
    fn in_force<'a, T>(
        &self,
        all: impl Iterator<Item = (&'a Key, &'a T)>,
        meta: impl Fn(&T) -> &Meta,
    ) -> Vec<&'a T> {
        let mut by_name = BTreeMap::new();
        for (key, policy) in all {
            let of = meta(policy);
            if self.is_in_force(key, &of.namespace) {
                by_name.insert((of.namespace.to_string(), of.name.to_string()), policy);
            }
        }
        by_name.into_values().collect()
    }

    /// Whether a policy of a namespace holds for what it is attached to: for a class that of the root namespace alone.
    fn is_in_force(&self, key: &Key, namespace: &str) -> bool {
        match key {
            Key::Class(_) => *namespace == *self.mesh().config.root_namespace,
            Key::Host(_) | Key::Pattern | Key::Entry(..) | Key::Grants(_) | Key::Gateway(..) => {
                true
            }
        }
    }

    /// An AuthorizationPolicy as waypoints take it, or why it cannot be enforced.
    fn authorization(&self, policy: &AuthorizationPolicy) -> Result<WirePolicy, Unenforceable> {
        let config = self.mesh().config;
        let scoping = Scoping {
            root_namespace: &config.root_namespace,
            trust_domain: &config.trust_domain,
            trust_domain_aliases: &config.trust_domain_aliases,
        };
        let external = match policy.action {
            Action::Custom => Some(self.authorizer(&policy.provider)?),
            Action::Allow | Action::Deny | Action::Audit => None,
        };
        let policy = access::authorization(policy, &scoping, external)?;
        readable::authorization(&policy)?;
        Ok(policy)
    }

    /// A RequestAuthentication as waypoints take it, or why it cannot be enforced.
    fn tokens(&self, policy: &RequestAuthentication) -> Result<WireTokens, Unenforceable> {
        let policy = access::authentication(policy)?;
        readable::authentication(&policy)?;
        Ok(policy)
    }

    /// Why an AuthorizationPolicy that is attached to something is not enforced, if it is not; and what that closes.
    pub(in crate::index) fn flaw_of_authorization(
        &self,
        policy: &AuthorizationPolicy,
    ) -> Option<(Unenforceable, Vec<Key>)> {
        if policy.targets.is_empty() {
            return None;
        }
        let why = self.authorization(policy).err()?;
        let closes = access::can_close(policy);
        let keys = self.keys_in_force(&policy.meta, &policy.targets);
        Some((why, if closes { keys } else { Vec::new() }))
    }

    /// The same of a RequestAuthentication.
    pub(in crate::index) fn flaw_of_authentication(
        &self,
        policy: &RequestAuthentication,
    ) -> Option<(Unenforceable, Vec<Key>)> {
        if policy.targets.is_empty() {
            return None;
        }
        let why = self.tokens(policy).err()?;
        Some((why, self.keys_in_force(&policy.meta, &policy.targets)))
    }

    /// What the targets of a policy are, as far as it holds for them.
    pub(in crate::index) fn keys_in_force(&self, meta: &Meta, targets: &[TargetRef]) -> Vec<Key> {
        let mut keys = routing::targets(targets, &meta.namespace, &self.mesh());
        keys.retain(|key| self.is_in_force(key, &meta.namespace));
        keys
    }

    /// The condition of an AuthorizationPolicy; none where it is attached to nothing.
    pub(in crate::index) fn condition_of_authorization(
        &self,
        policy: &AuthorizationPolicy,
    ) -> Option<Condition> {
        let kind = Kind::AuthorizationPolicy;
        let closes = access::can_close(policy);
        let mut remarks = access::remarks(policy);
        if self.is_asked_by_http(policy) {
            remarks.extend(closed_of_gateways(policy));
            remarks.extend(self.closed_ports(policy));
        }
        self.condition_of(kind, &policy.meta, &policy.targets, closes, &remarks)
    }

    /// Whether a policy asks an authorizer that can only be asked about requests.
    fn is_asked_by_http(&self, policy: &AuthorizationPolicy) -> bool {
        let authorizers = &self.mesh().config.authorizers;
        policy.action == Action::Custom
            && matches!(
                authorizers.get(&policy.provider),
                Some(Ok(Authorizer {
                    protocol: AuthorizerProtocol::Http(_),
                    ..
                }))
            )
    }

    /// The ports whose connections a policy closes, since its authorizer can only be asked about requests. Those of which nobody said what
    /// they speak are not among them.
    fn closed_ports(&self, policy: &AuthorizationPolicy) -> Vec<String> {
        let namespace = &*policy.meta.namespace;
        let mut closed = Vec::new();
        for target in &policy.targets {
            let found = match target.kind.as_str() {
                "Service" => self.service(namespace, &target.name),
                "ServiceEntry" => self.entry(namespace, &target.name),
                _gateways => None,
            };
            for port in found.iter().flat_map(|it| &it.ports) {
                let number = port.number;
                let is_asked = || {
                    let mut rules = policy.rules.iter();
                    rules.any(|it| access::concerns_port(it, number))
                };
                if !port.may_be_http() && is_asked() {
                    closed.push(format!(
                        "connections to port {number} of {} {namespace}/{} that a rule matches are closed: provider {:?} is asked by HTTP, and only about requests",
                        target.kind, target.name, policy.provider
                    ));
                }
            }
        }
        closed
    }

    /// The condition of a RequestAuthentication; none where it is attached to nothing.
    pub(super) fn condition_of_authentication(
        &self,
        policy: &RequestAuthentication,
    ) -> Option<Condition> {
        let kind = Kind::RequestAuthentication;
        self.condition_of(kind, &policy.meta, &policy.targets, true, &[])
    }

    fn condition_of(
        &self,
        kind: Kind,
        meta: &Meta,
        targets: &[TargetRef],
        closes: bool,
        remarks: &[String],
    ) -> Option<Condition> {
        let targets: Vec<_> = targets
            .iter()
            .map(|target| (target, self.attachment(target, &meta.namespace)))
            .collect();
        let problem = self.unenforced().why(&unenforced::name(kind, meta));
        let subject = Subject {
            kind: kind.name(),
            namespace: &meta.namespace,
            problem: problem.map(|why| (why, closes)),
            remarks,
        };
        status::condition(subject, &targets)
    }

    /// What a policy of a namespace finds where it is attached.
    pub(super) fn attachment(&self, target: &TargetRef, namespace: &str) -> Attachment {
        let name = target.name.as_str();
        match target.kind.as_str() {
            "GatewayClass" => self.attachment_to_class(name, namespace),
            "Gateway" => {
                let Some(id) = self.gateways.find(namespace, name) else {
                    return Attachment::NotFound;
                };
                let is_waypoint = self
                    .found(id)
                    .is_some_and(|found| waypoint::class(found) == Class::Waypoint);
                if self.served_account(id).is_some() {
                    Attachment::Bound(format!("{namespace}/{name}"))
                } else if is_waypoint {
                    Attachment::NotOurs
                } else {
                    Attachment::NoWaypoint
                }
            }
            "ServiceEntry" => {
                let id = self.service_entries.find(namespace, name);
                match id.and_then(|id| Some((id, self.service_entries.get(id)?))) {
                    Some((id, entry)) => self.attachment_to_entry(id, entry),
                    None => Attachment::NotFound,
                }
            }
            _service => {
                let id = self.services.find(namespace, name);
                match id.and_then(|id| self.services.get(id)) {
                    Some(it) if it.kind == ServiceType::ExternalName => Attachment::NoWaypoint,
                    Some(service) => self.attachment_behind(&self.binding_of_service(service)),
                    None => Attachment::NotFound,
                }
            }
        }
    }

    /// What a policy finds at a ServiceEntry, as far as its hosts are its own.
    fn attachment_to_entry(&self, id: Id, entry: &ServiceEntry) -> Attachment {
        let (own, lost) = self.hosts(id, entry);
        let lost: Vec<_> = lost
            .iter()
            .map(|(host, by)| format!("{host} is that of {by}"))
            .collect();
        if own.is_empty() && !lost.is_empty() {
            return Attachment::HostsLost(lost.join(", "));
        }
        let attachment = self.attachment_behind(&self.binding_of_entry(entry));
        if let Attachment::Bound(to) = &attachment
            && !lost.is_empty()
        {
            return Attachment::Bound(format!("{to}, but {}", lost.join(", ")));
        }
        attachment
    }

    fn attachment_to_class(&self, name: &str, namespace: &str) -> Attachment {
        let root = &self.mesh().config.root_namespace;
        if *namespace != **root {
            return Attachment::NotOfRoot { root: root.clone() };
        }
        let object = self.class(name);
        match waypoint::class_of(name, object) {
            Class::Waypoint if self.serves_class(name) => Attachment::Bound(name.to_owned()),
            Class::Waypoint => Attachment::NotOurs,
            Class::Other if object.is_none() => Attachment::NotFound,
            Class::EastWest | Class::Other => Attachment::NotOfWaypoints,
        }
    }

    /// What stands before something.
    fn attachment_behind(&self, binding: &Binding) -> Attachment {
        let mut is_bound = false;
        let mut ours = Vec::new();
        for (namespace, name) in gateways_of(binding) {
            is_bound = true;
            let id = self.gateways.find(namespace, name);
            if id.is_some_and(|id| self.served_account(id).is_some()) {
                ours.push(format!("{namespace}/{name}"));
            }
        }
        match (is_bound, ours.is_empty()) {
            (false, _) => Attachment::NoWaypoint,
            (true, true) => Attachment::NotOurs,
            (true, false) => Attachment::Bound(ours.join(", ")),
        }
    }
}
