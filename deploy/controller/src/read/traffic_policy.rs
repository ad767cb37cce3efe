//! `ambit.dev/v1alpha1 TrafficPolicy`. What it is: `objects::traffic_policy`.
//!
//! A field that is not known refuses the object: half a policy is not what was asked for, and what a newer version
//! of the kind means is not known here.

mod health;

use yaml::{Cursor, Error, scalar::checked};

use super::{field, name};
use crate::objects::{Meta, TargetRef, TrafficPolicy};

const FIELDS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];

/// Source: GEP-713 policies of Gateway API, `targetRefs`.
const MAX_TARGETS: usize = 16;

const SPEC: &str = "a mapping with targetRefs and healthCheck";
const TARGETS: &str = "a list of at least one reference";
const TARGET: &str = "a reference with kind and name";

/// Reads a policy.
///
/// # Errors
/// Anything in `spec` is not known or not possible.
pub(super) fn traffic_policy(at: &Cursor<'_>, meta: Meta) -> Result<TrafficPolicy, Error> {
    let object = at.exact_object("a TrafficPolicy", FIELDS)?;
    object.required("spec", SPEC, |at| {
        let object = at.exact_object(SPEC, &["healthCheck", "targetRefs"])?;
        let mut targets = Vec::new();
        object.required("targetRefs", TARGETS, |at| {
            field::items_up_to(at, TARGETS, MAX_TARGETS, |at| {
                let target = target(at)?;
                if targets.contains(&target) {
                    return Err(at.unexpected("each target once"));
                }
                targets.push(target);
                Ok(())
            })
            .and_then(|all| {
                if all.is_empty() {
                    return Err(at.unexpected(TARGETS));
                }
                Ok(())
            })
        })?;
        let health_check = object.nullable("healthCheck", health::health_check)?;
        if health_check.is_none() {
            return Err(object.missing("healthCheck", "something to do"));
        }
        Ok(TrafficPolicy {
            meta,
            targets,
            health_check,
        })
    })
}

/// The kinds that a policy can be attached to, with their groups.
const KINDS: &[(&str, &str)] = &[("", "Service"), ("networking.istio.io", "ServiceEntry")];

fn target(at: &Cursor<'_>) -> Result<TargetRef, Error> {
    const KIND: &str = "Service, or ServiceEntry of networking.istio.io";
    let object = at.exact_object(TARGET, &["group", "kind", "name"])?;
    let group = field::text(&object, "group", yaml::scalar::text)?.unwrap_or_default();
    let group = if group == "core" {
        String::new()
    } else {
        group
    };
    let kind = object.required("kind", KIND, |at| {
        checked(at, KIND, |kind| KINDS.contains(&(&group, kind))).map(str::to_owned)
    })?;
    Ok(TargetRef {
        name: object.required("name", TARGET, |at| name::subdomain(at).map(str::to_owned))?,
        group,
        kind,
    })
}

#[cfg(test)]
mod tests;
