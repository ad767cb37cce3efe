//! What a policy is attached to: `targetRefs`, and `targetRef`, its older form.

use yaml::{
    Cursor, Error, Object,
    scalar::{checked, text},
};

use crate::{
    objects::TargetRef,
    read::{field, name},
};

const FIELDS: &[&str] = &["group", "kind", "name", "namespace"];

const TARGET: &str = "a reference with group, kind and name";

/// The groups and kinds of what a policy can be attached to, whether it can be read or not. Source: Istio, `targetRefs`.
pub(crate) const TARGET_KINDS: &[(&str, &str)] = &[
    ("", "Service"),
    ("networking.istio.io", "ServiceEntry"),
    ("gateway.networking.k8s.io", "Gateway"),
    ("gateway.networking.k8s.io", "GatewayClass"),
];

/// All targets of a `spec`.
pub(in crate::read) fn targets(object: &Object<'_>) -> Result<Vec<TargetRef>, Error> {
    let one = object.nullable("targetRef", target)?;
    let mut targets = field::list(object, "targetRefs", "a list of references", target)?;
    match one {
        Some(_) if !targets.is_empty() => {
            field::refuse(object, "targetRef", "either this or targetRefs")
        }
        one => {
            targets.extend(one);
            Ok(targets)
        }
    }
}

fn target(at: &Cursor<'_>) -> Result<TargetRef, Error> {
    let object = at.object(TARGET, FIELDS)?;
    let group = field::text(&object, "group", text)?.unwrap_or_default();
    // The core group has two spellings.
    let group = if group == "core" {
        String::new()
    } else {
        group
    };
    let kind = object.required("kind", TARGET, |at| {
        let expected = "Service, ServiceEntry of networking.istio.io, or Gateway or GatewayClass of \
                        gateway.networking.k8s.io";
        checked(at, expected, |kind| TARGET_KINDS.contains(&(&group, kind))).map(str::to_owned)
    })?;
    if field::text(&object, "namespace", text)?.is_some() {
        let expected = "none: a policy is attached within its own namespace";
        return field::refuse(&object, "namespace", expected);
    }
    Ok(TargetRef {
        kind,
        name: object.required("name", TARGET, |at| name::subdomain(at).map(str::to_owned))?,
        group,
    })
}
