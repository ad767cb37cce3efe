//! Conditions of TrafficPolicies and EnvoyFilters.

use super::{ACCEPTED, Condition, NO_WAYPOINT, RESOLVED_REFS, UNSUPPORTED_VALUE};
use crate::{
    objects::{
        EnvoyFilter, Share, TargetRef, TrafficPolicy,
        traffic_policy::limit::{GlobalLimit, LimitKind},
    },
    render::{
        access::{
            Attached,
            status::{Attachment, Subject, condition},
            winner,
        },
        routing::{WAYPOINT_ACCEPTED, destination::BACKEND_NOT_FOUND, notes::message},
    },
};

/// Another object says it already. Source: GEP-713, `PolicyReasonConflicted`.
const CONFLICTED: &str = "Conflicted";
/// What it is for is not there. Source: GEP-713, `PolicyReasonTargetNotFound`.
const TARGET_NOT_FOUND: &str = "TargetNotFound";

/// A block of a TrafficPolicy, of which one counts for each target.
type Block = (&'static str, fn(&TrafficPolicy) -> bool);

const BLOCKS: [Block; 3] = [
    ("healthCheck", |it| it.health_check.is_some()),
    ("rateLimits", |it| !it.rate_limits.is_empty()),
    ("clientAddress", |it| it.client_address.is_some()),
];

/// The conditions of a TrafficPolicy; `others` are all of its namespace, with or without it. `service` tells of the service of a
/// limit why it cannot be asked.
#[must_use]
pub fn traffic_policy(
    object: &TrafficPolicy,
    others: &[&TrafficPolicy],
    attachment: &dyn Fn(&TargetRef) -> Attachment,
    service: &dyn Fn(&GlobalLimit) -> Result<(), String>,
) -> Vec<Condition> {
    let mut conditions = vec![accepted(object, others, attachment)];
    conditions.extend(resolved(object, service));
    conditions
}

fn accepted(
    object: &TrafficPolicy,
    others: &[&TrafficPolicy],
    attachment: &dyn Fn(&TargetRef) -> Attachment,
) -> Condition {
    let condition = |status, reason, message: String| Condition {
        kind: ACCEPTED,
        status,
        reason,
        message,
    };
    let mut has_waypoint = false;
    let mut absent = Vec::new();
    let mut lost = Vec::new();
    for target in &object.targets {
        let TargetRef { kind, name, .. } = target;
        match attachment(target) {
            Attachment::Bound(_) => has_waypoint = true,
            Attachment::NotFound => absent.push(format!("there is no {kind} {name}")),
            Attachment::NoWaypoint if kind == "Gateway" => {
                absent.push(format!("Gateway {name} is no waypoint"));
            }
            // The last two are of classes, which no target is.
            Attachment::NoWaypoint
            | Attachment::NotOurs
            | Attachment::NotOfRoot { .. }
            | Attachment::NotOfWaypoints => {}
        }
        let at = Attached::target(target, &object.meta.namespace);
        for (block, sets) in BLOCKS {
            let winner = winner(at, others, sets).filter(|it| it.meta.name != object.meta.name);
            if let Some(winner) = winner
                && sets(object)
                && is_before(winner, object)
            {
                let winner = &winner.meta.name;
                lost.push(format!(
                    "TrafficPolicy {winner} has the {block} of {kind} {name}"
                ));
            }
        }
    }
    if !lost.is_empty() {
        return condition(false, CONFLICTED, message(&lost));
    }
    if !absent.is_empty() {
        return condition(false, TARGET_NOT_FOUND, message(&absent));
    }
    let text = if has_waypoint {
        "attached to the waypoint"
    } else {
        NO_WAYPOINT
    };
    condition(true, ACCEPTED, text.to_owned())
}

/// Of two policies of one namespace. Source: GEP-713.
fn is_before(one: &TrafficPolicy, other: &TrafficPolicy) -> bool {
    (one.meta.created, &one.meta.name) < (other.meta.created, &other.meta.name)
}

/// `ResolvedRefs`, where it refers to anything.
fn resolved(
    object: &TrafficPolicy,
    service: &dyn Fn(&GlobalLimit) -> Result<(), String>,
) -> Option<Condition> {
    object.global_limits().next()?;
    let mut problems = Vec::new();
    for limit in &object.rate_limits {
        let LimitKind::Global(global) = &limit.kind else {
            continue;
        };
        if let Err(why) = service(global) {
            let then = if global.fail_closed {
                "requests are answered 500"
            } else {
                "requests go on"
            };
            problems.push(format!("rateLimits {}: {why}: {then}", limit.name));
        }
    }
    let is_good = problems.is_empty();
    Some(Condition {
        kind: RESOLVED_REFS,
        status: is_good,
        reason: if is_good {
            RESOLVED_REFS
        } else {
            BACKEND_NOT_FOUND
        },
        message: if is_good {
            "all references are resolved".to_owned()
        } else {
            message(&problems)
        },
    })
}

/// The condition of an EnvoyFilter. `has_peers` tells of a Gateway whether a TrafficPolicy says whose PROXY headers count.
#[must_use]
pub fn envoy_filter(
    object: &EnvoyFilter,
    targets: &[(&TargetRef, Attachment)],
    has_peers: &dyn Fn(&str) -> bool,
) -> Vec<Condition> {
    let nobody: Vec<_> = targets
        .iter()
        .map(|(target, _)| target.name.as_str())
        .filter(|name| object.has_proxy_protocol() && !has_peers(name))
        .collect();
    if !nobody.is_empty() {
        let names = nobody.join(", ");
        return vec![Condition {
            kind: WAYPOINT_ACCEPTED,
            status: false,
            reason: UNSUPPORTED_VALUE,
            message: format!(
                "no TrafficPolicy with clientAddress.trustedPeers says whose PROXY headers count for Gateway {names}: nothing of it is in force there"
            ),
        }];
    }
    let subject = Subject {
        kind: "EnvoyFilter",
        namespace: &object.meta.namespace,
        problem: None,
    };
    let mut condition = condition(subject, targets);
    let idle: Vec<_> = object
        .limits()
        .filter(|limit| limit.enabled == Share::NONE || limit.enforced == Share::NONE)
        .map(|limit| limit.stat_prefix.as_str())
        .collect();
    if let Some(condition) = &mut condition
        && !idle.is_empty()
    {
        // What Envoy does with such a filter is rarely what was meant.
        condition.message.push_str(&format!(
            "; as in Envoy, {} refuses nothing: filter_enabled or filter_enforced is 0 or absent",
            idle.join(", ")
        ));
    }
    condition.into_iter().collect()
}
