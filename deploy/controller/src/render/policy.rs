//! AuthorizationPolicy to `istio.security.Authorization`: what a node proxy can enforce of it.
//!
//! In: one policy and the settings of the mesh. Out: the resource and a condition. Never: looks for other objects.
//!
//! How the index uses it: [`selection`] tells which workloads list the policy (`<namespace>/<name>`); [`authorization`]
//! renders it, `None` exactly where the selection is [`Selection::Nothing`].
//!
//! A node proxy knows the peer's identity and the addresses, nothing of HTTP. What follows never lets in more than was
//! asked for:
//!
//! * An ALLOW rule that names anything else is left out. A policy that has lost all its rules stays: it allows nothing.
//! * A DENY rule is enforced without these attributes. Read as the OR of each source with each operation, what is left
//!   of each is enforced; where nothing is left, it has no effect, and the condition says so.
//!
//! Sources: Istio AuthorizationPolicy; L4 attributes and wording of conditions as istiod's.

mod condition;
#[cfg(test)]
pub(crate) mod evaluate;
mod part;
pub(crate) mod pattern;
mod rule;

use wire::proto::security::{self, Authorization, Scope};

use crate::{
    objects::{Action, AuthorizationPolicy, Selector},
    status::Condition,
};

pub(crate) use condition::{UNSUPPORTED_VALUE, ZTUNNEL_ACCEPTED};
pub(crate) use pattern::presence;

/// The annotation of a policy that is evaluated and logged only.
const DRY_RUN: &str = "istio.io/dry-run";

/// What of the mesh's settings policies depend on. Source: MeshConfig.
#[derive(Clone, Copy, Debug)]
pub struct Scoping<'a> {
    /// `rootNamespace`.
    pub root_namespace: &'a str,
    /// `trustDomain`.
    pub trust_domain: &'a str,
    /// `trustDomainAliases`.
    pub trust_domain_aliases: &'a [String],
}

/// Which workloads a policy is for, and how they come by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection<'a> {
    /// All of the mesh; nobody lists it.
    Mesh,
    /// All of the policy's namespace; nobody lists it.
    Namespace,
    /// Those of the policy's namespace with such labels, which list it.
    Workloads(&'a Selector),
    /// Those of all namespaces with such labels, which list it: a selector in the root namespace.
    WorkloadsOfMesh(&'a Selector),
    /// None: node proxies are not sent it (`targetRefs`, `CUSTOM`, `AUDIT`).
    Nothing,
}

/// Which workloads a policy is for. An empty selector is none.
#[must_use]
pub fn selection<'a>(policy: &'a AuthorizationPolicy, root_namespace: &str) -> Selection<'a> {
    if !policy.targets.is_empty() || enforced(policy.action).is_none() {
        return Selection::Nothing;
    }
    let in_root = *policy.meta.namespace == *root_namespace;
    match policy.selector.as_ref().filter(|it| !it.0.is_empty()) {
        None if in_root => Selection::Mesh,
        None => Selection::Namespace,
        Some(selector) if in_root => Selection::WorkloadsOfMesh(selector),
        Some(selector) => Selection::Workloads(selector),
    }
}

/// The resource, and the condition `ZtunnelAccepted`. Both are absent for policies with `targetRefs`, which are a
/// waypoint's; `CUSTOM` and `AUDIT` have the condition only.
#[must_use]
pub fn authorization(
    policy: &AuthorizationPolicy,
    scoping: &Scoping<'_>,
) -> (Option<Authorization>, Vec<Condition>) {
    if !policy.targets.is_empty() {
        return (None, Vec::new());
    }
    let Some(action) = enforced(policy.action) else {
        return (None, vec![condition::action(policy.action)]);
    };
    let mut notes = condition::Notes::default();
    let context = part::Context {
        action,
        namespace: &policy.meta.namespace,
        scoping,
    };
    let rules: Vec<_> = policy
        .rules
        .iter()
        .enumerate()
        .flat_map(|(index, it)| rule::rules(it, index, &context, &mut notes))
        .collect();
    let without_effect =
        action == security::Action::Deny && rules.is_empty() && !policy.rules.is_empty();
    let scope = match selection(policy, scoping.root_namespace) {
        Selection::Mesh => Scope::Global,
        Selection::Namespace => Scope::Namespace,
        Selection::Workloads(_) | Selection::WorkloadsOfMesh(_) | Selection::Nothing => {
            Scope::WorkloadSelector
        }
    };
    let resource = Authorization {
        name: policy.meta.name.to_string(),
        namespace: policy.meta.namespace.to_string(),
        scope: scope.into(),
        action: action.into(),
        rules,
        dry_run: is_dry_run(policy),
        extensions: Vec::new(),
    };
    (
        Some(resource),
        vec![notes.condition(action, without_effect)],
    )
}

/// The condition of a policy that is to be evaluated and logged only, where that is switched off.
#[must_use]
pub fn dry_run_is_off() -> Condition {
    Condition {
        kind: ZTUNNEL_ACCEPTED,
        status: false,
        reason: "DryRunDisabled",
        message: "dry-run policies are not sent to ztunnels: AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY is not set"
            .to_owned(),
    }
}

/// The actions that node proxies know.
fn enforced(action: Action) -> Option<security::Action> {
    match action {
        Action::Allow => Some(security::Action::Allow),
        Action::Deny => Some(security::Action::Deny),
        Action::Audit | Action::Custom => None,
    }
}

/// Whether it is to be logged only. Anything but a clear yes is a no: it is then enforced. Source: Go's `ParseBool`.
#[must_use]
pub fn is_dry_run(policy: &AuthorizationPolicy) -> bool {
    let value = policy.meta.annotation(DRY_RUN);
    value.is_some_and(|it| matches!(it, "1" | "t" | "T" | "true" | "TRUE" | "True"))
}

#[cfg(test)]
mod tests;
