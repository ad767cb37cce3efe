//! `security.istio.io` RequestAuthentication, refused where Istio's webhook refuses it.
//!
//! What it lets pass and no waypoint can do is read all the same: what it is attached to is closed then, which a policy that is
//! left out would not do.
//!
//! Source: Istio RequestAuthentication; validation of `pkg/config/validation`.

mod rule;

use yaml::{Cursor, Error};

use super::{authorization, field, labels};
use crate::objects::{Meta, RequestAuthentication};

const FIELDS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];
const SPEC_FIELDS: &[&str] = &["jwtRules", "selector", "targetRef", "targetRefs"];

/// Each is tried for every token.
const MAX_RULES: usize = 256;

/// Reads a policy. A `spec` that is missing is an empty one, which asks nothing.
///
/// # Errors
/// Istio's webhook would refuse it.
pub(super) fn request_authentication(
    at: &Cursor<'_>,
    meta: Meta,
) -> Result<RequestAuthentication, Error> {
    let object = at.object("a RequestAuthentication", FIELDS)?;
    let mut policy = RequestAuthentication {
        meta,
        ..RequestAuthentication::default()
    };
    object.nullable("spec", |at| {
        let object = at.object("a mapping with jwtRules", SPEC_FIELDS)?;
        policy.selector = object.nullable("selector", labels::workload_selector)?;
        policy.targets = authorization::targets(&object)?;
        if policy.selector.is_some() && !policy.targets.is_empty() {
            return field::refuse(&object, "selector", "either this or targetRefs");
        }
        policy.rules = field::list_up_to(
            &object,
            "jwtRules",
            "a list of rules",
            MAX_RULES,
            rule::rule,
        )?;
        Ok(())
    })?;
    if policy.targets.is_empty() {
        at.warn("without targetRefs it has no effect: ztunnels do not look into requests");
    }
    Ok(policy)
}

#[cfg(test)]
mod tests;
