//! `security.istio.io` AuthorizationPolicy, refused where Istio's webhook refuses it.
//!
//! Source: Istio AuthorizationPolicy; validation of `pkg/config/validation`.

mod condition;
mod rule;
mod target;
mod value;

pub(crate) use target::TARGET_KINDS;
pub(super) use target::targets;

use yaml::{
    Cursor, Error, Object,
    scalar::{checked, word},
};

use super::{field, labels};
use crate::objects::{Action, AuthorizationPolicy, Meta, PolicyRule};

const FIELDS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];

const SPEC_FIELDS: &[&str] = &[
    "action",
    "provider",
    "rules",
    "selector",
    "targetRef",
    "targetRefs",
];

const RULES: &str = "a list of rules";

/// Reads a policy. A `spec` that is missing is an empty one: an ALLOW policy that allows nothing.
///
/// # Errors
/// Istio's webhook would refuse it.
pub(crate) fn authorization_policy(
    at: &Cursor<'_>,
    meta: Meta,
) -> Result<AuthorizationPolicy, Error> {
    let object = at.object("an AuthorizationPolicy", FIELDS)?;
    let spec = object.nullable("spec", spec)?.unwrap_or_default();
    Ok(AuthorizationPolicy { meta, ..spec })
}

/// Everything but the metadata.
fn spec(at: &Cursor<'_>) -> Result<AuthorizationPolicy, Error> {
    let object = at.object("a mapping with rules", SPEC_FIELDS)?;
    let action = object.nullable("action", action)?.unwrap_or_default();
    let rules = object.nullable("rules", |at| at.list(RULES, rule::rule))?;
    let selector = object.nullable("selector", labels::workload_selector)?;
    let targets = targets(&object)?;
    if selector.is_some() && !targets.is_empty() {
        return field::refuse(&object, "selector", "either this or targetRefs");
    }
    let provider = provider(&object, action)?;
    has_rules(&object, action, rules.as_deref())?;
    if action == Action::Custom {
        rule::fits_custom(&object)?;
    }
    Ok(AuthorizationPolicy {
        meta: Meta::default(),
        selector,
        targets,
        action,
        provider,
        rules: rules.unwrap_or_default(),
    })
}

fn action(at: &Cursor<'_>) -> Result<Action, Error> {
    word(
        at,
        &[
            ("ALLOW", Action::Allow),
            ("DENY", Action::Deny),
            ("AUDIT", Action::Audit),
            ("CUSTOM", Action::Custom),
        ],
    )
}

/// `provider.name`, which CUSTOM needs and nothing else may have.
fn provider(object: &Object<'_>, action: Action) -> Result<String, Error> {
    const PROVIDER: &str = "a mapping with the name of one of the mesh's extensionProviders";
    let name = object.nullable("provider", |at| {
        let provider = at.object(PROVIDER, &["name"])?;
        provider.required("name", PROVIDER, |at| {
            checked(at, PROVIDER, |name| !name.is_empty()).map(str::to_owned)
        })
    })?;
    match (action, name) {
        (Action::Custom, None) => Err(object.missing("provider", PROVIDER)),
        (Action::Custom, Some(name)) => Ok(name),
        (Action::Allow | Action::Deny | Action::Audit, None) => Ok(String::new()),
        (Action::Allow | Action::Deny | Action::Audit, Some(_)) => {
            field::refuse(object, "provider", "none with another action than CUSTOM")
        }
    }
}

/// Without rules, these actions never come about: that cannot have been meant.
fn has_rules(
    object: &Object<'_>,
    action: Action,
    rules: Option<&[PolicyRule]>,
) -> Result<(), Error> {
    match (action, rules) {
        (Action::Deny | Action::Custom, None) => Err(object.missing(
            "rules",
            "rules, without which this action never comes about; [{}] is a rule for everything",
        )),
        (Action::Deny | Action::Custom | Action::Audit, Some([])) => {
            let warn = |at: &Cursor<'_>| {
                at.warn("without a rule this policy has no effect");
                Ok(())
            };
            object.nullable("rules", warn).map(|_| ())
        }
        (Action::Allow | Action::Audit, None)
        | (Action::Allow | Action::Deny | Action::Custom | Action::Audit, Some(_)) => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
