//! `ambit.dev/v1alpha1 TrafficPolicy`. What it is: `objects::traffic_policy`.
//!
//! A field that is not known refuses the object: half a policy is not what was asked for, and what a newer version
//! of the kind means is not known here.

mod client;
mod health;
mod key;
mod limit;

pub(super) use client::trusted_proxies;
pub(super) use limit::{MAX_INTERVAL, MIN_INTERVAL};

use yaml::{Cursor, Error, Object, scalar::checked};

use super::{field, name};
use crate::objects::{Meta, TargetRef, TrafficPolicy};

const FIELDS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];

/// Source: GEP-713 policies of Gateway API, `targetRefs`.
const MAX_TARGETS: usize = 16;

const SPEC: &str = "a mapping with targetRefs and one of healthCheck, rateLimits, clientAddress";
const TARGETS: &str = "a list of at least one reference";
const TARGET: &str = "a reference with kind and name";

/// Reads a policy.
///
/// # Errors
/// Anything in `spec` is not known or not possible.
pub(super) fn traffic_policy(at: &Cursor<'_>, meta: Meta) -> Result<TrafficPolicy, Error> {
    let object = at.exact_object("a TrafficPolicy", FIELDS)?;
    object.required("spec", SPEC, |at| {
        let object = at.exact_object(
            SPEC,
            &["clientAddress", "healthCheck", "rateLimits", "targetRefs"],
        )?;
        let targets = targets(&object)?;
        let health_check = object.nullable("healthCheck", health::health_check)?;
        let rate_limits = limit::rate_limits(&object)?;
        let client_address = object.nullable("clientAddress", client::client_address)?;
        if health_check.is_none() && rate_limits.is_empty() && client_address.is_none() {
            let expected = "something to do: this, rateLimits or clientAddress";
            return Err(object.missing("healthCheck", expected));
        }
        if health_check.is_some() && targets.iter().any(|it| it.kind == "Gateway") {
            let expected = "none with a Gateway among targetRefs, which has no endpoints to ask";
            return field::refuse(&object, "healthCheck", expected);
        }
        Ok(TrafficPolicy {
            meta,
            targets,
            health_check,
            rate_limits,
            client_address,
        })
    })
}

fn targets(object: &Object<'_>) -> Result<Vec<TargetRef>, Error> {
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
    Ok(targets)
}

/// The kinds that a policy can be attached to, with their groups.
const KINDS: &[(&str, &str)] = &[
    ("", "Service"),
    ("networking.istio.io", "ServiceEntry"),
    ("gateway.networking.k8s.io", "Gateway"),
];

fn target(at: &Cursor<'_>) -> Result<TargetRef, Error> {
    const KIND: &str =
        "Service, ServiceEntry of networking.istio.io, or Gateway of gateway.networking.k8s.io";
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
