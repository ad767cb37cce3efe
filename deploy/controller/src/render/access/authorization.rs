//! AuthorizationPolicy to `ambit.waypoint.v1.AuthorizationPolicy` (AZ-01 to AZ-05, AZ-11).
//!
//! A rule is `from` AND `to` AND each `when`, and `from` and `to` are ORs: so it is one clause for each of them. Trust domain
//! aliases and the keys of `when` are resolved into fields.
//!
//! Source: Istio AuthorizationPolicy.

mod condition;
mod custom;
mod field;
mod part;
mod remarks;

pub use remarks::{concerns_port, remarks};

use wire::proto::waypoint::{
    AuthorizationAction, AuthorizationPolicy as Wire, AuthorizationRule, Clause,
    ExternalAuthorization, Field, Match,
};

use super::Unenforceable;
use crate::{
    objects::{Action, AuthorizationPolicy, PolicyRule},
    render::policy::{self, Scoping},
};

/// What a part of a rule is rendered for.
#[derive(Clone, Copy, Debug)]
struct Context<'a> {
    /// The policy's namespace.
    namespace: &'a str,
    /// The mesh.
    scoping: &'a Scoping<'a>,
}

/// A policy as waypoints take it. `external` is whom CUSTOM asks, and `None` for other actions.
///
/// # Errors
/// It cannot be enforced as it is written.
pub fn authorization(
    policy: &AuthorizationPolicy,
    scoping: &Scoping<'_>,
    external: Option<ExternalAuthorization>,
) -> Result<Wire, Unenforceable> {
    let dry_run = policy::is_dry_run(policy);
    let action = match policy.action {
        Action::Allow => AuthorizationAction::Allow,
        Action::Deny => AuthorizationAction::Deny,
        Action::Audit => AuthorizationAction::Audit,
        Action::Custom if dry_run => return Err(Unenforceable::DryRunOfCustom),
        Action::Custom => AuthorizationAction::Custom,
    };
    let context = Context {
        namespace: &policy.meta.namespace,
        scoping,
    };
    let rules = policy.rules.iter().enumerate().map(|(index, it)| {
        let decidable = match policy.action {
            Action::Custom => custom::decidable(it),
            Action::Allow | Action::Deny | Action::Audit => Ok(()),
        };
        let rule = decidable.and_then(|()| rule(it, &context));
        rule.map_err(|error| error.within(format_args!("rules[{index}]")))
    });
    Ok(Wire {
        namespace: policy.meta.namespace.to_string(),
        name: policy.meta.name.to_string(),
        action: action.into(),
        dry_run,
        rules: rules.collect::<Result<_, _>>()?,
        external,
    })
}

/// Whether a policy, were it not enforced, would let something in that it was to keep out: one that only looks on does not.
#[must_use]
pub fn can_close(policy: &AuthorizationPolicy) -> bool {
    policy.action != Action::Audit && !policy::is_dry_run(policy)
}

fn rule(rule: &PolicyRule, context: &Context<'_>) -> Result<AuthorizationRule, Unenforceable> {
    let from = rule.from.iter().enumerate().map(|(index, it)| {
        let fields = part::source(it, context);
        some("source", fields).map_err(|error| error.within(format_args!("from[{index}]")))
    });
    let from = from.collect::<Result<Vec<_>, _>>()?;
    let to = rule.to.iter().enumerate().map(|(index, it)| {
        let fields = part::operation(it);
        some("operation", fields).map_err(|error| error.within(format_args!("to[{index}]")))
    });
    let to = to.collect::<Result<Vec<_>, _>>()?;
    let mut clauses: Vec<Clause> = [from, to]
        .into_iter()
        .filter(|matches| !matches.is_empty())
        .map(|matches| Clause { matches })
        .collect();
    for (index, it) in rule.when.iter().enumerate() {
        let fields = condition::condition(it, context).and_then(|it| some("values", it));
        let one = fields.map_err(|error| error.within(format_args!("when[{index}]")))?;
        clauses.push(Clause { matches: vec![one] });
    }
    Ok(AuthorizationRule { clauses })
}

/// Fields of which there is at least one: none would hold always.
fn some(of: &str, fields: Vec<Field>) -> Result<Match, Unenforceable> {
    if fields.is_empty() {
        return Err(Unenforceable::field(of, "", "at least one field"));
    }
    Ok(Match { fields })
}

#[cfg(test)]
mod tests;
