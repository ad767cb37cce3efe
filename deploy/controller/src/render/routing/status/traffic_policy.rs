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

/// How far what an unreadable limit closes goes: as far as the limit would.
const OF_ITS_OWN: &str = "requests that routes of other services lead there are not closed, as its limits do not count for them";

/// The block by which a flaw comes into force.
const RATE_LIMITS: &str = "rateLimits";

/// A block of a TrafficPolicy, of which one counts for each target.
type Block = (&'static str, fn(&TrafficPolicy) -> bool);

const BLOCKS: [Block; 3] = [
    ("healthCheck", |it| it.health_check.is_some()),
    (RATE_LIMITS, |it| !it.rate_limits.is_empty()),
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
        lost: &[Lost],
        flaw: Option<&Unenforceable>,
    ) -> Self {
        let TargetRef { kind, name, .. } = target;
        let called = format!("{kind} {name}");
        // What another policy has of it closes nothing.
        let counts =
            !object.rate_limits.is_empty() && lost.iter().all(|it| it.block != RATE_LIMITS);
        let closed = flaw.filter(|_| counts).map(|flaw| {
            format!(
                "{flaw}: every request to {called} is answered with 403 and every connection ended; {OF_ITS_OWN}"
            )
        });
        let (reason, text) = match attachment {
            Attachment::Bound(_) if !lost.is_empty() => {
                let lost = lost.iter().map(|it| it.text.clone());
                let texts: Vec<_> = lost.chain(closed).collect();
                (CONFLICTED, message(&texts))
            }
            _ if !lost.is_empty() => {
                let texts: Vec<_> = lost.iter().map(|it| it.text.clone()).collect();
                (CONFLICTED, message(&texts))
            }
            Attachment::NotFound => (TARGET_NOT_FOUND, format!("there is no {called}")),
            Attachment::NoWaypoint if kind == "Gateway" => {
                (TARGET_NOT_FOUND, format!("{called} is no waypoint"))
            }
            Attachment::HostsLost(whose) => (
                TARGET_NOT_FOUND,
                format!("{called} has no host of its own: {whose}"),
            ),
            Attachment::Bound(_) => match closed {
                Some(closed) => (INVALID, closed),
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

/// A block of a target that is another policy's.
struct Lost {
    block: &'static str,
    text: String,
}

/// The blocks of a target that are another policy's.
fn conflicts(object: &TrafficPolicy, others: &[&TrafficPolicy], target: &TargetRef) -> Vec<Lost> {
    let TargetRef { kind, name, .. } = target;
    let at = Attached::target(target, &object.meta.namespace);
    let lost = BLOCKS.iter().filter_map(|(block, sets)| {
        let winner = winner(at, others, sets).filter(|it| it.meta.name != object.meta.name)?;
        (sets(object) && is_before(winner, object)).then(|| {
            let winner = &winner.meta.name;
            Lost {
                block,
                text: format!("TrafficPolicy {winner} has the {block} of {kind} {name}"),
            }
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
    let (nobody, targets): (Vec<_>, Vec<_>) = targets
        .iter()
        .cloned()
        .partition(|(target, _)| object.has_proxy_protocol() && !has_peers(&target.name));
    let names: Vec<_> = nobody.iter().map(|(it, _)| it.name.as_str()).collect();
    let nobody = (!names.is_empty()).then(|| {
        let names = names.join(", ");
        format!(
            "no TrafficPolicy with clientAddress.trustedPeers says whose PROXY headers count for Gateway {names}: nothing of it is in force there"
        )
    });
    let subject = Subject {
        kind: "EnvoyFilter",
        namespace: &object.meta.namespace,
        problem: flaw.map(|flaw| (flaw, true)),
        remarks: &[],
    };
    let condition = condition(subject, &targets);
    let Some(mut condition) = condition else {
        // It is for none of its targets.
        let nowhere = nobody.map(|message| Condition {
            kind: WAYPOINT_ACCEPTED,
            status: false,
            reason: UNSUPPORTED_VALUE,
            message,
        });
        return nowhere.into_iter().collect();
    };
    if flaw.is_some() && is_any_bound(&targets) {
        condition.message.push_str(&format!("; {OF_ITS_OWN}"));
    }
    if let Some(nobody) = nobody {
        if condition.status {
            condition.reason = UNSUPPORTED_VALUE;
        }
        condition.message.push_str(&format!("; {nobody}"));
    }
    let idle: Vec<_> = object
        .limits()
        .filter(|limit| limit.enabled == Share::NONE || limit.enforced == Share::NONE)
        .map(|limit| limit.stat_prefix.as_str())
        .collect();
    if !idle.is_empty() {
        // What Envoy does with such a filter is rarely what was meant.
        condition.message.push_str(&format!(
            "; as in Envoy, {} refuses nothing: filter_enabled or filter_enforced is 0 or absent",
            idle.join(", ")
        ));
    }
    vec![condition]
}

fn is_any_bound(targets: &[(&TargetRef, Attachment)]) -> bool {
    let mut attachments = targets.iter().map(|(_, it)| it);
    attachments.any(|it| matches!(it, Attachment::Bound(_)))
}
