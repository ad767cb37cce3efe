//! The policies of a rulebook by what they do, for requests or for connections of which none is read.
//!
//! In: policies. Out: sets of their rules. Never: decides what a match means (that is `decision::access`).

use std::sync::Arc;

use super::{
    super::{Action, Field, Match, Policy, Rule as Written},
    index::Index,
    query::Query,
    rule::{Compiler, Rule},
};
use crate::access::external::ExternalAuthorization;

/// Which policies are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Set {
    /// DENY.
    Deny,
    /// ALLOW.
    Allow,
    /// AUDIT, with dry run or without.
    Audit,
    /// DENY, as a dry run.
    DryRunDeny,
    /// ALLOW, as a dry run.
    DryRunAllow,
}

/// All policies of a rulebook.
#[derive(Debug, Default)]
pub(super) struct Sets {
    deny: Option<Index>,
    allow: Option<Index>,
    audit: Option<Index>,
    dry_run_deny: Option<Index>,
    dry_run_allow: Option<Index>,
    /// Each authorizer once, sorted by the names of providers.
    custom: Vec<(Arc<ExternalAuthorization>, Index)>,
}

/// What is made of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    Http,
    /// As AZ-05 says.
    Tcp,
}

impl Sets {
    pub(super) fn new(policies: &[Policy], layer: Layer) -> Self {
        let set = |wanted: Set| {
            let mut chosen = policies
                .iter()
                .enumerate()
                .filter(|(_, policy)| set_of(policy) == Some(wanted))
                .peekable();
            chosen.peek()?;
            Some(index(chosen, layer))
        };
        Self {
            deny: set(Set::Deny),
            allow: set(Set::Allow),
            audit: set(Set::Audit),
            dry_run_deny: set(Set::DryRunDeny),
            dry_run_allow: set(Set::DryRunAllow),
            custom: custom(policies, layer),
        }
    }

    pub(super) fn get(&self, set: Set) -> Option<&Index> {
        match set {
            Set::Deny => self.deny.as_ref(),
            Set::Allow => self.allow.as_ref(),
            Set::Audit => self.audit.as_ref(),
            Set::DryRunDeny => self.dry_run_deny.as_ref(),
            Set::DryRunAllow => self.dry_run_allow.as_ref(),
        }
    }

    pub(super) fn custom(&self) -> &[(Arc<ExternalAuthorization>, Index)] {
        &self.custom
    }

    /// The rules that are looked at.
    pub(super) fn candidates(&self, query: &Query<'_>) -> Vec<&Rule> {
        let sets = [
            &self.deny,
            &self.allow,
            &self.audit,
            &self.dry_run_deny,
            &self.dry_run_allow,
        ];
        let sets = sets.into_iter().filter_map(Option::as_ref);
        self.custom
            .iter()
            .map(|(_, index)| index)
            .chain(sets)
            .flat_map(|index| index.candidates(query))
            .collect()
    }
}

/// The set of a policy; `None`: it asks somebody else.
fn set_of(policy: &Policy) -> Option<Set> {
    match (&policy.action, policy.dry_run) {
        (Action::Deny, false) => Some(Set::Deny),
        (Action::Deny, true) => Some(Set::DryRunDeny),
        (Action::Allow, false) => Some(Set::Allow),
        (Action::Allow, true) => Some(Set::DryRunAllow),
        (Action::Audit, _) => Some(Set::Audit),
        (Action::Custom(_), _) => None,
    }
}

fn custom(policies: &[Policy], layer: Layer) -> Vec<(Arc<ExternalAuthorization>, Index)> {
    let mut asked: Vec<&Arc<ExternalAuthorization>> = Vec::new();
    for policy in policies {
        if let Action::Custom(external) = &policy.action
            && !asked.contains(&external)
        {
            asked.push(external);
        }
    }
    asked.sort_by(|a, b| a.provider.cmp(&b.provider));
    asked
        .into_iter()
        .map(|external| {
            let of = |policy: &Policy| match &policy.action {
                Action::Custom(other) => other == external,
                Action::Allow | Action::Deny | Action::Audit => false,
            };
            let chosen = policies.iter().enumerate().filter(|(_, policy)| of(policy));
            (Arc::clone(external), index(chosen, layer))
        })
        .collect()
}

fn index<'p>(policies: impl Iterator<Item = (usize, &'p Policy)>, layer: Layer) -> Index {
    let mut compiler = Compiler::default();
    let mut rules: Vec<(&Policy, Rule)> = Vec::new();
    for (number, policy) in policies {
        for (place, rule) in policy.rules.iter().enumerate() {
            let rule = match layer {
                Layer::Http => compiler.rule(number, place, rule),
                Layer::Tcp => without_request(&policy.action, rule)
                    .and_then(|rule| compiler.rule(number, place, &rule)),
            };
            rules.extend(rule.map(|rule| (policy, rule)));
        }
    }
    rules.sort_by(|(policy, rule), (other_policy, other)| {
        super::order((&policy.key, rule.place), (&other_policy.key, other.place))
    });
    let rules = rules.into_iter().map(|(_, rule)| rule).collect();
    Index::new(rules, compiler)
}

/// A rule where no request is read: one that allows is gone if it looks at a request, one that does anything else is taken without
/// what looks at it, and so means more. Source: Istio, AuthorizationPolicy on TCP ports.
fn without_request(action: &Action, rule: &Written) -> Option<Written> {
    let is_http = |field: &Field| field.test.is_http();
    match action {
        Action::Allow => {
            let mut fields = rule
                .clauses
                .iter()
                .flat_map(|clause| &clause.matches)
                .flat_map(|one| &one.fields);
            (!fields.any(is_http)).then(|| rule.clone())
        }
        Action::Deny | Action::Audit | Action::Custom(_) => {
            let mut rule = rule.clone();
            for Match { fields } in rule
                .clauses
                .iter_mut()
                .flat_map(|clause| &mut clause.matches)
            {
                fields.retain(|field| !is_http(field));
            }
            Some(rule)
        }
    }
}
