//! PeerAuthentication to layer-4 policies: what denies a plaintext connection where mutual TLS is asked for.
//!
//! In: PeerAuthentications. Out: [`Authorization`] resources and the names of those that a workload lists.
//! Never: looks for objects; the index keeps them by [`reach`] and by age ([`by_age`]).
//!
//! How the index uses it:
//!
//! 1. For each namespace: [`inherited`] of the oldest mesh-wide and the oldest namespace-wide object.
//! 2. For each workload: [`listed`] of that mode and the oldest object with a selector in the workload's namespace that
//!    selects it. The answer is at most one policy: where a workload has a mode of its own, or ports with one, the
//!    policies of its parents must not apply, since any DENY that matches denies.
//! 3. Resources: [`static_strict`] once, while there is any PeerAuthentication; [`converted`] for each object with a
//!    selector, again when its namespace's mode changes. It is `None` where nothing ever lists it.
//!
//! Sources: Istio PeerAuthentication (`mtls`, `portLevelMtls`, inheritance; the oldest of several wins); names and
//! shapes as istiod sends them.

use std::cmp::Ordering;

use wire::proto::security::{Action, Authorization, Clause, Match, Rule, Scope};

use super::policy::{self, ZTUNNEL_ACCEPTED};
use crate::{
    objects::{MutualTls, PeerAuthentication, Selector},
    status::Condition,
};

/// The policy that denies every connection without an identity. In the root namespace.
pub const STATIC_STRICT: &str = "istio_converted_static_strict";
/// What the name of an object's own policy begins with.
const CONVERTED: &str = "converted_peer_authentication_";

/// What is in force for a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// With or without mutual TLS. Also where nothing is said, and for `DISABLE`: mutual TLS is always offered.
    #[default]
    Permissive,
    /// With mutual TLS only.
    Strict,
}

/// Which workloads an object is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach<'a> {
    /// All of the mesh: no selector, in the root namespace.
    Mesh,
    /// All of its namespace: no selector.
    Namespace,
    /// Those of its namespace that are selected.
    Workloads(&'a Selector),
    /// None: Istio knows no selector in the root namespace.
    Nothing,
}

/// Which workloads an object is about. An empty selector is none.
#[must_use]
pub fn reach<'a>(object: &'a PeerAuthentication, root_namespace: &str) -> Reach<'a> {
    let in_root = *object.meta.namespace == *root_namespace;
    match object.selector.as_ref().filter(|it| !it.0.is_empty()) {
        None if in_root => Reach::Mesh,
        None => Reach::Namespace,
        Some(_) if in_root => Reach::Nothing,
        Some(selector) => Reach::Workloads(selector),
    }
}

/// Which of two objects of one reach comes first, and so wins: the older; of equal age, the one of the smaller name.
#[must_use]
pub fn by_age(one: &PeerAuthentication, other: &PeerAuthentication) -> Ordering {
    let (one, other) = (&one.meta, &other.meta);
    one.created
        .cmp(&other.created)
        .then_with(|| one.name.cmp(&other.name))
}

/// What a namespace's workloads inherit from the winning object of the mesh and of the namespace. For the root
/// namespace itself, `namespace` is `None`.
#[must_use]
pub fn inherited(
    mesh: Option<&PeerAuthentication>,
    namespace: Option<&PeerAuthentication>,
) -> Mode {
    let mode = |object: Option<&PeerAuthentication>, parent| {
        object.map_or(parent, |it| resolve(it.mode.unwrap_or_default(), parent))
    };
    mode(namespace, mode(mesh, Mode::Permissive))
}

/// The policy that a workload lists, `<namespace>/<name>`, if any.
///
/// `own` is the oldest object with [`Reach::Workloads`] in the workload's namespace that selects it.
#[must_use]
pub fn listed(
    inherited: Mode,
    own: Option<&PeerAuthentication>,
    root_namespace: &str,
) -> Option<String> {
    let Some(own) = own else {
        return (inherited == Mode::Strict).then(|| format!("{root_namespace}/{STATIC_STRICT}"));
    };
    let mode = resolve(own.mode.unwrap_or_default(), inherited);
    if exceptions(own, mode).next().is_some() {
        return Some(format!(
            "{}/{CONVERTED}{}",
            own.meta.namespace, own.meta.name
        ));
    }
    (mode == Mode::Strict).then(|| format!("{root_namespace}/{STATIC_STRICT}"))
}

/// The policy of an object with a selector whose ports differ from the rest of the workload; `None` where [`listed`]
/// never names it.
#[must_use]
pub fn converted(
    object: &PeerAuthentication,
    inherited: Mode,
    root_namespace: &str,
) -> Option<Authorization> {
    let Reach::Workloads(_) = reach(object, root_namespace) else {
        return None;
    };
    let mode = resolve(object.mode.unwrap_or_default(), inherited);
    let mut ports = exceptions(object, mode).map(u32::from).peekable();
    ports.peek()?;
    let rules = match mode {
        // Every port but these: one rule, with a clause for each.
        Mode::Strict => {
            let but = ports.map(|port| Match {
                not_destination_ports: vec![port],
                ..Match::default()
            });
            vec![rule(std::iter::once(plaintext()).chain(but))]
        }
        // These ports: a rule for each.
        Mode::Permissive => ports
            .map(|port| {
                rule([Match {
                    destination_ports: vec![port],
                    ..plaintext()
                }])
            })
            .collect(),
    };
    Some(deny(
        &object.meta.namespace,
        format!("{CONVERTED}{}", object.meta.name),
        rules,
    ))
}

/// The policy that denies every connection without an identity; for the workloads that list it.
#[must_use]
pub fn static_strict(root_namespace: &str) -> Authorization {
    deny(
        root_namespace,
        STATIC_STRICT.to_owned(),
        vec![rule([plaintext()])],
    )
}

/// What cannot be enforced as it is written; none where all can be.
#[must_use]
pub fn conditions(object: &PeerAuthentication, root_namespace: &str) -> Vec<Condition> {
    let condition = |status, message: &str| Condition {
        kind: ZTUNNEL_ACCEPTED,
        status,
        reason: policy::UNSUPPORTED_VALUE,
        message: message.to_owned(),
    };
    if reach(object, root_namespace) == Reach::Nothing {
        return vec![condition(
            false,
            "a selector in the root namespace selects nothing: write the policy in the namespace of the workloads",
        )];
    }
    let disables = object
        .mode
        .iter()
        .chain(object.ports.values())
        .any(|mode| *mode == MutualTls::Disable);
    disables
        .then(|| {
            condition(
                true,
                "ztunnel does not support the DISABLE mode: mutual TLS is always offered, it is enforced as PERMISSIVE",
            )
        })
        .into_iter()
        .collect()
}

/// The ports whose mode differs from that of the rest, in ascending order.
fn exceptions(object: &PeerAuthentication, mode: Mode) -> impl Iterator<Item = u16> {
    object
        .ports
        .iter()
        .filter(move |(_, own)| resolve(**own, mode) != mode)
        .map(|(port, _)| *port)
}

fn resolve(own: MutualTls, parent: Mode) -> Mode {
    match own {
        MutualTls::Unset => parent,
        MutualTls::Disable | MutualTls::Permissive => Mode::Permissive,
        MutualTls::Strict => Mode::Strict,
    }
}

/// A connection without an identity.
fn plaintext() -> Match {
    Match {
        not_principals: vec![policy::presence()],
        ..Match::default()
    }
}

/// All of the matches, each a clause of its own.
fn rule(matches: impl IntoIterator<Item = Match>) -> Rule {
    let clauses = matches.into_iter().map(|it| Clause { matches: vec![it] });
    Rule {
        clauses: clauses.collect(),
    }
}

fn deny(namespace: &str, name: String, rules: Vec<Rule>) -> Authorization {
    Authorization {
        name,
        namespace: namespace.to_owned(),
        scope: Scope::WorkloadSelector.into(),
        action: Action::Deny.into(),
        rules,
        dry_run: false,
        extensions: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
