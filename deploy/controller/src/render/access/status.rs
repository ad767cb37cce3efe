//! What becomes of a policy of layer 7: the condition `WaypointAccepted`.
//!
//! A policy has an outcome for each of its targets, and objects have one list of conditions: several are one condition, which
//! names the targets that are none. Reasons and the first words of messages are istiod's. Source: Istio,
//! `WaypointPolicyStatus` (WPT-09).

use super::Unenforceable;
use crate::{
    objects::TargetRef,
    render::routing::{WAYPOINT_ACCEPTED, message},
    status::{Condition, UNSUPPORTED_VALUE},
};

const ACCEPTED: &str = "Accepted";
const INVALID: &str = "Invalid";
const PARTIALLY_INVALID: &str = "PartiallyInvalid";
const ANCESTOR_NOT_BOUND: &str = "AncestorNotBound";
const TARGET_NOT_FOUND: &str = "TargetNotFound";

/// The controller of classes of waypoints.
pub const MESH_CONTROLLER: &str = "istio.io/mesh-controller";

/// What a policy finds where it is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// A waypoint of ours, or several, by `<namespace>/<name>`, or a class by its name; with the hosts that are not behind it.
    Bound(String),
    /// There is no such object.
    NotFound,
    /// It is there, and no waypoint is, or stands before it.
    NoWaypoint,
    /// A ServiceEntry all of whose hosts are those of others: which, and whose.
    HostsLost(String),
    /// The waypoint that is, or stands before it, is told nothing by this controller.
    NotOurs,
    /// A GatewayClass counts for policies of the root namespace only.
    NotOfRoot {
        /// The root namespace.
        root: String,
    },
    /// A GatewayClass of something else than waypoints.
    NotOfWaypoints,
}

/// A policy that conditions are told of.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Why it is not enforced, if it is not; and whether that closes its targets.
    pub problem: Option<(&'a Unenforceable, bool)>,
    /// What it says that may be something else than was meant. **Shape**: sentences without a full stop.
    pub remarks: &'a [String],
}

/// The condition of a policy; `None` where it is attached to nothing.
#[must_use]
pub fn condition(subject: Subject<'_>, targets: &[(&TargetRef, Attachment)]) -> Option<Condition> {
    if targets.is_empty() {
        return None;
    }
    let outcomes: Vec<_> = targets
        .iter()
        .map(|(target, attachment)| Outcome::of(subject, target, attachment))
        .collect();
    Some(match subject.problem {
        Some((why, closes)) => unenforced(why, closes, &outcomes),
        None => remarked(flattened(&outcomes), subject.remarks),
    })
}

/// A condition that holds, with remarks.
fn remarked(condition: Condition, remarks: &[String]) -> Condition {
    if !condition.status || remarks.is_empty() {
        return condition;
    }
    let reason = if condition.reason == ACCEPTED {
        UNSUPPORTED_VALUE
    } else {
        condition.reason
    };
    Condition {
        reason,
        message: format!("{}; {}", condition.message, message(remarks)),
        ..condition
    }
}

/// What comes of one target.
struct Outcome {
    /// What people call it.
    called: String,
    /// `<Kind>.<group>:<namespace>/<name>`, as Istio calls it.
    ancestor: String,
    is_bound: bool,
    reason: &'static str,
    message: String,
}

impl Outcome {
    fn of(subject: Subject<'_>, target: &TargetRef, attachment: &Attachment) -> Self {
        let TargetRef { group, kind, name } = target;
        let namespace = subject.namespace;
        let group = if group.is_empty() { "core" } else { group };
        let is_class = kind == "GatewayClass";
        let called = if is_class {
            format!("{kind} {name}")
        } else {
            format!("{kind} {namespace}/{name}")
        };
        let (reason, message) = match attachment {
            Attachment::Bound(to) => (ACCEPTED, format!("bound to {to}")),
            Attachment::NotFound => (TARGET_NOT_FOUND, format!("{called} was not found")),
            Attachment::NoWaypoint if kind == "Gateway" => {
                (TARGET_NOT_FOUND, format!("{called} is not a waypoint"))
            }
            Attachment::NoWaypoint => (
                ANCESTOR_NOT_BOUND,
                format!("{called} is not bound to a waypoint"),
            ),
            Attachment::HostsLost(whose) => (
                ANCESTOR_NOT_BOUND,
                format!("{called} has no host of its own: {whose}"),
            ),
            Attachment::NotOurs => (
                ANCESTOR_NOT_BOUND,
                format!("{called} is not bound to a waypoint of this controller"),
            ),
            Attachment::NotOfRoot { root } => (
                INVALID,
                format!(
                    "{} must be in the root namespace `{root}` when referencing a GatewayClass",
                    subject.kind
                ),
            ),
            Attachment::NotOfWaypoints => (
                INVALID,
                format!("GatewayClass must use controller name `{MESH_CONTROLLER}` for waypoints"),
            ),
        };
        Self {
            ancestor: format!("{kind}.{group}:{namespace}/{name}"),
            called,
            is_bound: matches!(attachment, Attachment::Bound(_)),
            reason,
            message,
        }
    }
}

/// Several outcomes as one.
fn flattened(outcomes: &[Outcome]) -> Condition {
    if let [one] = outcomes {
        return Condition {
            kind: WAYPOINT_ACCEPTED,
            status: one.is_bound,
            reason: one.reason,
            message: one.message.clone(),
        };
    }
    let invalid: Vec<_> = outcomes.iter().filter(|it| !it.is_bound).collect();
    let join = |texts: Vec<&str>, between: &str| texts.join(between);
    if invalid.is_empty() {
        let messages = outcomes.iter().map(|it| it.message.as_str());
        return Condition {
            kind: WAYPOINT_ACCEPTED,
            status: true,
            reason: ACCEPTED,
            message: join(messages.collect(), ", "),
        };
    }
    let is_any_bound = invalid.len() < outcomes.len();
    let ancestors = invalid.iter().map(|it| it.ancestor.as_str()).collect();
    let messages = invalid.iter().map(|it| it.message.as_str()).collect();
    Condition {
        kind: WAYPOINT_ACCEPTED,
        status: is_any_bound,
        reason: if is_any_bound {
            PARTIALLY_INVALID
        } else {
            INVALID
        },
        message: format!(
            "Invalid targetRefs: {} ({})",
            join(ancestors, ", "),
            join(messages, "; ")
        ),
    }
}

/// A policy that is not enforced, and what that means for whom.
fn unenforced(why: &Unenforceable, closes: bool, outcomes: &[Outcome]) -> Condition {
    let bound: Vec<_> = outcomes
        .iter()
        .filter(|it| it.is_bound)
        .map(|it| it.called.as_str())
        .collect();
    let outcome = if !closes || bound.is_empty() {
        "it has no effect".to_owned()
    } else {
        format!(
            "every request to {} is answered with 403 and every connection ended",
            bound.join(", ")
        )
    };
    Condition {
        kind: WAYPOINT_ACCEPTED,
        status: false,
        reason: INVALID,
        message: format!("{why}: {outcome}"),
    }
}

#[cfg(test)]
mod tests;
