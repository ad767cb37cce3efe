//! Conditions of TrafficPolicies and EnvoyFilters.

use super::{ACCEPTED, Condition, NO_WAYPOINT, RESOLVED_REFS, UNSUPPORTED_VALUE};
use crate::{
    objects::{
        EnvoyFilter, Share, TargetRef, TrafficPolicy,
        traffic_policy::limit::{GlobalLimit, LimitKind},
    },
    render::{
        access::{
            Attached, Unenforceable,
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
/// It cannot be told to waypoints. Source: GEP-713, `PolicyReasonInvalid`.
const INVALID: &str = "Invalid";

/// A block of a TrafficPolicy, of which one counts for each target.
type Block = (&'static str, fn(&TrafficPolicy) -> bool);

const BLOCKS: [Block; 3] = [
    ("healthCheck", |it| it.health_check.is_some()),
    ("rateLimits", |it| !it.rate_limits.is_empty()),
    ("clientAddress", |it| it.client_address.is_some()),
];

/// The conditions of a TrafficPolicy; `others` are all of its namespace, with or without it. `service` tells of the service of a
/// limit why it cannot be asked; `flaw` is what keeps its limits from being told to waypoints.
#[must_use]
pub fn traffic_policy(
    object: &TrafficPolicy,
    others: &[&TrafficPolicy],
    attachment: &dyn Fn(&TargetRef) -> Attachment,
    service: &dyn Fn(&GlobalLimit) -> Result<(), String>,
    flaw: Option<&Unenforceable>,
) -> Vec<Condition> {
    let answers = object.targets.iter().map(|target| {
        let lost = conflicts(object, others, target);
        Answer::of(object, target, &attachment(target), &lost, flaw)
    });
    let mut conditions = vec![accepted(answers.collect())];
    conditions.extend(resolved(object, service));
    conditions
}

/// What comes of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    /// What people call it.
    called: String,
    reason: &'static str,
    /// The sentence names the target by itself where the answer is no.
    text: String,
}

impl Answer {
    fn of(
        object: &TrafficPolicy,
        target: &TargetRef,
        attachment: &Attachment,
        lost: &[String],
        flaw: Option<&Unenforceable>,
    ) -> Self {
        let TargetRef { kind, name, .. } = target;
        let called = format!("{kind} {name}");
        let (reason, text) = match attachment {
            _ if !lost.is_empty() => (CONFLICTED, message(lost)),
            Attachment::NotFound => (TARGET_NOT_FOUND, format!("there is no {called}")),
            Attachment::NoWaypoint if kind == "Gateway" => {
                (TARGET_NOT_FOUND, format!("{called} is no waypoint"))
            }
            Attachment::HostsLost(whose) => (
                TARGET_NOT_FOUND,
                format!("{called} has no host of its own: {whose}"),
            ),
            Attachment::Bound(_) => match flaw.filter(|_| !object.rate_limits.is_empty()) {
                Some(flaw) => (
                    INVALID,
                    format!(
                        "{flaw}: every request to {called} is answered with 403 and every connection ended"
                    ),
                ),
                None => (ACCEPTED, "attached to the waypoint".to_owned()),
            },
            // The last two are of classes, which no target is.
            Attachment::NoWaypoint
            | Attachment::NotOurs
            | Attachment::NotOfRoot { .. }
            | Attachment::NotOfWaypoints => (ACCEPTED, NO_WAYPOINT.to_owned()),
        };
        Self {
            called,
            reason,
            text,
        }
    }

    fn is_good(&self) -> bool {
        self.reason == ACCEPTED
    }
}

/// The blocks of a target that are another policy's.
fn conflicts(object: &TrafficPolicy, others: &[&TrafficPolicy], target: &TargetRef) -> Vec<String> {
    let TargetRef { kind, name, .. } = target;
    let at = Attached::target(target, &object.meta.namespace);
    let lost = BLOCKS.iter().filter_map(|(block, sets)| {
        let winner = winner(at, others, sets).filter(|it| it.meta.name != object.meta.name)?;
        (sets(object) && is_before(winner, object)).then(|| {
            let winner = &winner.meta.name;
            format!("TrafficPolicy {winner} has the {block} of {kind} {name}")
        })
    });
    lost.collect()
}

/// All answers as one condition: where they differ, each is told, those that are no first.
fn accepted(mut answers: Vec<Answer>) -> Condition {
    const BY_WEIGHT: [&str; 3] = [CONFLICTED, INVALID, TARGET_NOT_FOUND];
    answers.sort_by_key(Answer::is_good);
    let is = |reason: &&&str| answers.iter().any(|it| it.reason == **reason);
    let reason = BY_WEIGHT.iter().find(is).copied().unwrap_or(ACCEPTED);
    let differ = answers
        .iter()
        .any(|it| Some((it.reason, &it.text)) != answers.first().map(|it| (it.reason, &it.text)));
    let mut texts: Vec<String> = answers
        .iter()
        .map(|it| {
            if differ && it.is_good() {
                format!("{}: {}", it.called, it.text)
            } else {
                it.text.clone()
            }
        })
        .collect();
    texts.dedup();
    Condition {
        kind: ACCEPTED,
        status: reason == ACCEPTED,
        reason,
        message: message(&texts),
    }
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

/// The condition of an EnvoyFilter. `has_peers` tells of a Gateway whether a TrafficPolicy says whose PROXY headers count; `flaw` is what
/// keeps its limits from being told to waypoints.
#[must_use]
pub fn envoy_filter(
    object: &EnvoyFilter,
    targets: &[(&TargetRef, Attachment)],
    has_peers: &dyn Fn(&str) -> bool,
    flaw: Option<&Unenforceable>,
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
        problem: flaw.map(|flaw| (flaw, true)),
        remarks: &[],
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
