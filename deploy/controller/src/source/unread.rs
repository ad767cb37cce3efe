//! What can still be told of a policy that cannot be read: what it is attached to, so that nobody gets there without it.
//!
//! In: the tree of a document. Out: stand-ins, by where they begin. Never: a target that the manifest does not name in full.
//!
//! It is read by hand and not by the reader of policies, which was the one that failed: whatever else is wrong, a reference that
//! is whole counts. A field that is given twice counts twice.

use std::{collections::HashMap, sync::Arc};

use yaml::{Node, Part, Position, Value};

use crate::{
    objects::{Kind, Meta, ObjectKey, TargetRef, UnreadPolicy},
    read::{authorization::TARGET_KINDS, name::is_subdomain},
};

/// The annotation of a dry run. Source: Istio AuthorizationPolicy.
const DRY_RUN: &str = "istio.io/dry-run";

/// Whether something stands in for an object of this kind that cannot be read.
pub(super) fn concerns(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::AuthorizationPolicy | Kind::RequestAuthentication
    )
}

/// The objects of a document by where they begin.
fn places(node: &Node) -> HashMap<(u64, u64), &Node> {
    let items = values(node, "items").flat_map(|items| match &items.value {
        Value::List(items) => items.as_slice(),
        Value::Null | Value::Scalar(_) | Value::Mapping(_) => &[],
    });
    let all = std::iter::once(node).chain(items);
    all.map(|node| (place(node.position), node)).collect()
}

/// Where something begins. **Shape**: line and column.
pub(super) fn place(position: Position) -> (u64, u64) {
    (position.line, position.column)
}

/// The stand-ins of the policies of a document that begin at these places.
pub(super) fn policies(
    part: &Part<'_>,
    refused: &[(ObjectKey, Position)],
) -> HashMap<(u64, u64), UnreadPolicy> {
    if refused.is_empty() {
        return HashMap::new();
    }
    let Ok(node) = part.parse() else {
        return HashMap::new();
    };
    let nodes = places(&node);
    let policies = refused.iter().filter_map(|(key, position)| {
        let place = place(*position);
        Some((place, policy(nodes.get(&place)?, key)?))
    });
    policies.collect()
}

/// What stands in for one policy; `None` where it is attached to nothing.
fn policy(node: &Node, key: &ObjectKey) -> Option<UnreadPolicy> {
    let mut targets: Vec<TargetRef> = Vec::new();
    let mut has_others = false;
    for spec in values(node, "spec") {
        let many = values(spec, "targetRefs").flat_map(|refs| match (&refs.value, &refs.tag) {
            (Value::List(refs), None) => refs.iter().map(Some).collect(),
            (Value::Null, None) => Vec::new(),
            (Value::Null | Value::List(_) | Value::Scalar(_) | Value::Mapping(_), _) => vec![None],
        });
        let one = values(spec, "targetRef")
            .filter(|it| !it.is_null())
            .map(Some);
        for reference in many.chain(one) {
            match reference.and_then(|it| target(it, &key.namespace)) {
                Some(target) if targets.contains(&target) => {}
                Some(target) => targets.push(target),
                None => has_others = true,
            }
        }
    }
    (has_others || !targets.is_empty()).then(|| UnreadPolicy {
        kind: key.kind,
        meta: Meta {
            name: Arc::clone(&key.name),
            namespace: Arc::clone(&key.namespace),
            ..Meta::default()
        },
        targets,
        has_others,
        closes: key.kind == Kind::RequestAuthentication || !only_looks_on(node),
    })
}

/// A reference, if all of it can be read.
fn target(node: &Node, own_namespace: &str) -> Option<TargetRef> {
    let group = match one(node, "group")? {
        None | Some("core") => "",
        Some(group) => group,
    };
    let (kind, name) = (one(node, "kind")??, one(node, "name")??);
    let namespace = one(node, "namespace")?;
    let is_own = namespace.is_none_or(|namespace| namespace == own_namespace);
    let is_whole = TARGET_KINDS.contains(&(group, kind)) && is_subdomain(name) && is_own;
    is_whole.then(|| TargetRef {
        group: group.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
    })
}

/// Whether it is certain that a policy keeps nothing out.
fn only_looks_on(node: &Node) -> bool {
    let actions: Vec<_> = values(node, "spec")
        .flat_map(|spec| values(spec, "action"))
        .map(text)
        .collect();
    let dry_runs: Vec<_> = values(node, "metadata")
        .flat_map(|metadata| values(metadata, "annotations"))
        .flat_map(|annotations| values(annotations, DRY_RUN))
        .map(text)
        .collect();
    let is_yes = |text| matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True");
    matches!(*actions, [Some("AUDIT")]) || matches!(*dry_runs, [Some(text)] if is_yes(text))
}

/// The text of a field; `Some(None)` where there is none or it is nothing, `None` where it is no text or given twice.
fn one<'n>(node: &'n Node, name: &'static str) -> Option<Option<&'n str>> {
    let mut all = values(node, name).filter(|it| !it.is_null());
    let Some(first) = all.next() else {
        return Some(None);
    };
    match all.next() {
        Some(_) => None,
        None => match text(first)? {
            "" => Some(None),
            text => Some(Some(text)),
        },
    }
}

fn text(node: &Node) -> Option<&str> {
    match (&node.value, &node.tag) {
        (Value::Scalar(text), None) => Some(text),
        (Value::Scalar(_) | Value::Null | Value::List(_) | Value::Mapping(_), _) => None,
    }
}

/// The values of a field, as often as it is given; none where this is no mapping.
fn values<'n>(node: &'n Node, name: &'static str) -> impl Iterator<Item = &'n Node> {
    let fields = match &node.value {
        Value::Mapping(fields) => fields.as_slice(),
        Value::Null | Value::Scalar(_) | Value::List(_) => &[],
    };
    let named = fields.iter().filter(move |(key, _)| key.text == name);
    named.map(|(_, value)| value)
}

#[cfg(test)]
mod tests;
