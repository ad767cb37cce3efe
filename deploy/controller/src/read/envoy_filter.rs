//! `networking.istio.io EnvoyFilter`: the two shapes that have a meaning without Envoy. What they are: `objects::envoy_filter`.
//!
//! Never: an object of which a part is left out. What is not one of the two shapes to the last field refuses the object.
//!
//! Source: Istio EnvoyFilter; Envoy's API for what is inserted. Fields of Envoy are spelt as its documentation spells them.

mod listener;
mod local_rate_limit;
mod place;

use yaml::{
    Cursor, Error, Object,
    scalar::{checked, word},
};

use super::{field, name};
use crate::objects::{EnvoyFilter, Meta, Patch, TargetRef};

const FIELDS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];

/// Source: Istio, `targetRefs`.
const MAX_TARGETS: usize = 16;
/// Every request looks at each limit.
const MAX_PATCHES: usize = 32;

const SPEC: &str = "a mapping with targetRefs and configPatches";
const TARGETS: &str = "a list of at least one Gateway of gateway.networking.k8s.io";
const PATCHES: &str = "a list of at least one patch";
const PATCH: &str = "a mapping with applyTo, match and patch";

/// What is patched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ApplyTo {
    HttpFilter,
    Listener,
}

/// Reads a filter.
///
/// # Errors
/// Anything of it is not one of the two shapes.
pub(super) fn envoy_filter(at: &Cursor<'_>, meta: Meta) -> Result<EnvoyFilter, Error> {
    let object = at.exact_object("an EnvoyFilter", FIELDS)?;
    object.required("spec", SPEC, |at| {
        let object = at.exact_object(SPEC, &["configPatches", "targetRefs", "workloadSelector"])?;
        if field::is_there(&object, "workloadSelector")? {
            let expected =
                "none: waypoints are named by targetRefs, and no other proxy takes an EnvoyFilter";
            return field::refuse(&object, "workloadSelector", expected);
        }
        let targets = targets(&object)?;
        let patches = object.required("configPatches", PATCHES, |at| {
            some(at, PATCHES, MAX_PATCHES, patch)
        })?;
        Ok(EnvoyFilter {
            meta,
            targets,
            patches,
        })
    })
}

/// A list that is not empty.
fn some<T>(
    at: &Cursor<'_>,
    expected: &'static str,
    max: usize,
    read: impl FnMut(&Cursor<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let items = field::items_up_to(at, expected, max, read)?;
    if items.is_empty() {
        return Err(at.unexpected(expected));
    }
    Ok(items)
}

fn targets(object: &Object<'_>) -> Result<Vec<TargetRef>, Error> {
    let mut targets: Vec<TargetRef> = Vec::new();
    object.required("targetRefs", TARGETS, |at| {
        some(at, TARGETS, MAX_TARGETS, |at| {
            let target = target(at)?;
            if targets.contains(&target) {
                return Err(at.unexpected("each target once"));
            }
            targets.push(target);
            Ok(())
        })
    })?;
    Ok(targets)
}

fn target(at: &Cursor<'_>) -> Result<TargetRef, Error> {
    const TARGET: &str = "a reference with group, kind and name";
    const GROUP: &str = "gateway.networking.k8s.io";
    let object = at.exact_object(TARGET, &["group", "kind", "name"])?;
    let group = object.required("group", TARGET, |at| this(at, GROUP))?;
    let kind = object.required("kind", TARGET, |at| this(at, "Gateway"))?;
    Ok(TargetRef {
        name: object.required("name", TARGET, |at| name::subdomain(at).map(str::to_owned))?,
        group,
        kind,
    })
}

/// One text and no other.
fn this(at: &Cursor<'_>, wanted: &'static str) -> Result<String, Error> {
    checked(at, wanted, |text| text == wanted).map(str::to_owned)
}

fn patch(at: &Cursor<'_>) -> Result<Patch, Error> {
    let object = at.exact_object(PATCH, &["applyTo", "match", "patch"])?;
    let kinds = [
        ("HTTP_FILTER", ApplyTo::HttpFilter),
        ("LISTENER", ApplyTo::Listener),
    ];
    let apply_to = object.required("applyTo", PATCH, |at| word(at, &kinds))?;
    match apply_to {
        ApplyTo::HttpFilter => {
            let place = object.nullable("match", place::filter)?.unwrap_or_default();
            object.required("patch", PATCH, |at| {
                let patch = at.exact_object(OPERATION, &["operation", "value"])?;
                patch.required("operation", OPERATION, |at| place::operation(at, place))?;
                let limit = patch.required("value", OPERATION, local_rate_limit::filter)?;
                Ok(Patch::LocalRateLimit(limit))
            })
        }
        ApplyTo::Listener => {
            object.nullable("match", place::listener)?;
            object.required("patch", PATCH, |at| {
                let patch = at.exact_object(OPERATION, &["operation", "value"])?;
                patch.required("operation", OPERATION, |at| this(at, "MERGE"))?;
                patch.required("value", OPERATION, listener::listener)?;
                Ok(Patch::ProxyProtocol)
            })
        }
    }
}

const OPERATION: &str = "a mapping with operation and value";

#[cfg(test)]
mod tests;
