//! What people are told about a policy that is not enforced as it is written.
//!
//! Source: istiod's condition `ZtunnelAccepted`: reasons and the first sentences of messages are its own.

use std::collections::BTreeSet;

use wire::proto::security;

pub(crate) use crate::status::UNSUPPORTED_VALUE;
use crate::{objects::Action, status::Condition};

/// The condition about what node proxies enforce of an object.
pub(crate) const ZTUNNEL_ACCEPTED: &str = "ZtunnelAccepted";

/// Rules that one message names; the first ones tell enough.
const MAX_NAMED_RULES: usize = 10;

/// What was found while a policy was rendered.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Attributes that are not those of a connection.
    http: BTreeSet<String>,
    /// Trust domains of the form `*x`.
    domains: BTreeSet<String>,
    /// Rules that nothing is left of.
    idle: Vec<usize>,
}

impl Notes {
    /// Notes an attribute that is not that of a connection.
    pub(super) fn http(&mut self, attribute: &str) {
        if !self.http.contains(attribute) {
            self.http.insert(attribute.to_owned());
        }
    }

    /// Notes a trust domain that cannot be compared.
    pub(super) fn domain(&mut self, value: &str) {
        self.domains.insert(value.to_owned());
    }

    /// Notes that nothing is left of (a part of) the rule.
    pub(super) fn idle(&mut self, rule: usize) {
        if self.idle.last() != Some(&rule) {
            self.idle.push(rule);
        }
    }

    /// The condition of a policy; `is_empty` where none of its rules is left.
    pub(super) fn condition(&self, action: security::Action, is_empty: bool) -> Condition {
        let mut sentences = Vec::new();
        if !self.http.is_empty() {
            let found = Vec::from_iter(self.http.iter().map(String::as_str)).join(", ");
            let outcome = match action {
                security::Action::Allow => {
                    "Within an ALLOW policy, rules matching HTTP attributes are omitted."
                }
                security::Action::Deny => {
                    "DENY policy with HTTP attributes is enforced without the HTTP rules."
                }
            };
            sentences.push(format!(
                "ztunnel does not support HTTP attributes (found: {found}). In ambient mode you must use a waypoint \
                 proxy to enforce HTTP rules. {outcome} This will be more restrictive than requested."
            ));
        }
        if !self.domains.is_empty() {
            let found = Vec::from_iter(self.domains.iter().map(String::as_str)).join(", ");
            sentences.push(format!(
                "ztunnel cannot compare the end of a trust domain (found: {found}). Only the mesh's own trust domains \
                 are told apart by it. This will be more restrictive than requested."
            ));
        }
        if !self.idle.is_empty() {
            let named = self.idle.iter().take(MAX_NAMED_RULES);
            let mut named = Vec::from_iter(named.map(|index| format!("rules[{index}]"))).join(", ");
            if self.idle.len() > MAX_NAMED_RULES {
                named.push_str(", ...");
            }
            sentences.push(format!(
                "What has no other attributes is not enforced at all ({named})."
            ));
        }
        let (reason, message) = if sentences.is_empty() {
            ("Accepted", "attached to ztunnel".to_owned())
        } else {
            (UNSUPPORTED_VALUE, sentences.join(" "))
        };
        Condition {
            kind: ZTUNNEL_ACCEPTED,
            status: self.idle.is_empty() || !is_empty,
            reason,
            message,
        }
    }
}

/// The condition of a policy whose action node proxies do not know.
pub(super) fn action(action: Action) -> Condition {
    let name = match action {
        Action::Allow => "ALLOW",
        Action::Deny => "DENY",
        Action::Audit => "AUDIT",
        Action::Custom => "CUSTOM",
    };
    Condition {
        kind: ZTUNNEL_ACCEPTED,
        status: false,
        reason: UNSUPPORTED_VALUE,
        message: format!("ztunnel does not support the {name} action"),
    }
}
