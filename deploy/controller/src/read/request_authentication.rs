//! `security.istio.io` RequestAuthentication: what it is attached to. Its rules are not read, since nothing enforces them
//! yet; what has one is refused as a whole, so that nothing depends on them.
//!
//! Source: Istio RequestAuthentication.

use yaml::{Cursor, Error};

use super::{authorization, field, labels};
use crate::objects::{Meta, RequestAuthentication};

const FIELDS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];
const SPEC_FIELDS: &[&str] = &["jwtRules", "selector", "targetRef", "targetRefs"];

/// Reads a policy. A `spec` that is missing is an empty one.
///
/// # Errors
/// It cannot be told what it is attached to.
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
        Ok(())
    })?;
    at.warn("not enforced by this controller yet: a waypoint refuses requests to its targets");
    Ok(policy)
}

#[cfg(test)]
mod tests;
