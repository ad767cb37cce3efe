//! The parts of a run: subjects that are compared with each other, and what is done to them.
//!
//! In: a part's plan. Out: its [`Outcome`]. Never: two parts at once; a lab of a part that has ended.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::record::{Outcome, Program};
use crate::report::column::Column;
use crate::scenario::Scenario;
use crate::spec::{Capturer, Place, Spec};
use crate::subject::{Built, OURS, RAW, Subject};
use crate::versus::Versus;
use crate::{idle, measure, memory, say};

/// Names of subjects, as tables have them.
pub(crate) mod names {
    /// Pods of one node, joined, captured by programs in the kernel.
    pub(crate) const JOINED_EBPF: &str = "joined-ebpf";
    /// The same, captured by rules.
    pub(crate) const JOINED_IPTABLES: &str = "joined-iptables";
    /// Pods of one node, by a tunnel, captured by rules.
    pub(crate) const TUNNEL_IPTABLES: &str = "tunnel-iptables";
    /// Not captured.
    pub(crate) const DIRECT: &str = "direct";
    /// Captured by rules.
    pub(crate) const IPTABLES: &str = "iptables";
    /// Captured by programs in the kernel.
    pub(crate) const EBPF: &str = "ebpf";
    /// No policy.
    pub(crate) const NO_POLICIES: &str = "0";
    /// Idle connections between two nodes.
    pub(crate) const TUNNEL: &str = "tunnel";
    /// Idle connections between pods of one node.
    pub(crate) const JOINED: &str = "joined";
}

/// How many policies, in order; each is a subject.
const POLICIES: [usize; 4] = [0, 100, 1000, 10_000];

/// What a part compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// Raw TCP and two ztunnels, between two nodes.
    Nodes,
    /// Raw TCP and one ztunnel, between pods of one node.
    SameNode,
    /// Not captured, by rules, by programs in the kernel; to a server that is in no mesh.
    Capture,
    /// Policies by the thousand, between two nodes.
    Policies,
    /// What ten thousand connections hold that do nothing.
    Idle,
}

/// What is done in a part.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Which.
    pub(crate) part: Part,
    /// How often all ztunnels are started anew.
    pub(crate) lives: usize,
    /// Blocks per scenario and subject in each life.
    pub(crate) turns: usize,
    /// Load before each window.
    pub(crate) warm_up: Duration,
    /// A block's window.
    pub(crate) window: Duration,
    /// In this order.
    pub(crate) scenarios: Vec<Scenario>,
    /// Whether memory is measured.
    pub(crate) memory: bool,
    /// The further subjects.
    pub(crate) versus: Vec<Versus>,
}

impl Part {
    /// The way of the bytes, for the reader.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Nodes => "client pod on node 1 -> server pod on node 2, IPv4, in one machine",
            Self::SameNode => {
                "client pod -> server pod of the same node, IPv4; all through one ztunnel"
            }
            Self::Capture => {
                "client pod on node 1 -> host outside that no mesh knows, IPv4; ztunnel passes it on as it is"
            }
            Self::Policies => {
                "client pod on node 1 -> server pod on node 2, IPv4; as many policies apply to the server, the last lets the client in"
            }
            Self::Idle => {
                "tunnel: from node 1 to node 2; joined: pods of one node, in one ztunnel with two sockets for each connection"
            }
        }
    }

    /// The subjects, the one that others are compared with first.
    fn specs(self, ours: &[String], versus: &[Versus]) -> Vec<Spec> {
        let others = || {
            let spec = |it: &Versus| Spec::through(&it.name, Place::Nodes, &it.words);
            versus.iter().map(spec)
        };
        match self {
            Self::Nodes => [
                Spec::raw(RAW, Place::Nodes),
                Spec::through(OURS, Place::Nodes, ours),
            ]
            .into_iter()
            .chain(others())
            .collect(),
            Self::SameNode => {
                let one = |name| Spec::through(name, Place::Node, ours);
                vec![
                    Spec::raw(RAW, Place::Node),
                    one(names::JOINED_EBPF).captured(Capturer::Ebpf),
                    one(names::JOINED_IPTABLES).captured(Capturer::Iptables),
                    one(names::TUNNEL_IPTABLES)
                        .captured(Capturer::Iptables)
                        .by_tunnel(),
                ]
            }
            Self::Capture => {
                let out = |name| Spec::through(name, Place::Outside, ours);
                vec![
                    Spec::raw(names::DIRECT, Place::Outside),
                    out(names::IPTABLES).captured(Capturer::Iptables),
                    out(names::EBPF).captured(Capturer::Ebpf),
                ]
            }
            Self::Policies => POLICIES
                .iter()
                .map(|count| Spec::through(&count.to_string(), Place::Nodes, ours).policies(*count))
                .collect(),
            Self::Idle => [
                Spec::through(names::TUNNEL, Place::Nodes, ours),
                Spec::through(names::JOINED, Place::Node, ours),
            ]
            .into_iter()
            .chain(others())
            .collect(),
        }
    }

    /// The columns of its table, of these subjects.
    pub(crate) fn columns(self, subjects: &[Program]) -> Vec<Column> {
        let base = match self {
            Self::Nodes | Self::SameNode => RAW,
            Self::Capture => names::DIRECT,
            Self::Policies => names::NO_POLICIES,
            Self::Idle => names::TUNNEL,
        };
        let mut columns = Vec::new();
        for subject in subjects {
            let name = subject.name.as_str();
            columns.push(Column::own(name));
            if name == base {
                continue;
            }
            if self != Self::Idle {
                columns.push(Column::ratio(name, base));
            }
            let is_other = ![RAW, OURS, names::JOINED].contains(&name);
            match self {
                Self::Nodes if is_other => columns.push(Column::ratio(OURS, name)),
                Self::Idle if is_other => columns.push(Column::ratio(names::TUNNEL, name)),
                Self::Nodes | Self::Idle | Self::SameNode | Self::Capture | Self::Policies => {}
            }
        }
        let has = |name: &str| subjects.iter().any(|subject| subject.name == name);
        if self == Self::Capture && has(names::EBPF) {
            columns.push(Column::added([names::EBPF, names::IPTABLES], base));
        }
        columns
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nodes => "two nodes",
            Self::SameNode => "same node",
            Self::Capture => "capture",
            Self::Policies => "policies",
            Self::Idle => "idle connections",
        })
    }
}

/// Builds the labs of a part, measures, and takes them down.
///
/// # Errors
///
/// When a lab cannot be built, or a subject does not carry the load or not by its path.
pub(crate) fn run(plan: &Plan) -> Result<Outcome> {
    let part = plan.part;
    say(&format!("{part}: building the labs"));
    let ours = lab::Program::Ztunnel.binary()?.display().to_string();
    let mut outcome = Outcome::none(plan);
    let mut subjects = Vec::new();
    for spec in part.specs(&[ours], &plan.versus) {
        let (name, command) = (spec.name.clone(), spec.command());
        match Subject::build(spec)? {
            Built::Ready(subject) => {
                outcome.subjects.push(Program { name, command });
                subjects.push(*subject);
            }
            Built::Skipped(reason) => {
                let line = format!("skipped: {name}: {reason}");
                say(&line);
                outcome.skipped.push(line);
            }
        }
    }
    outcome.blocks = measure::all(&subjects, plan)?;
    if plan.memory {
        outcome.memories = memory::all(&subjects, plan)?;
    }
    if part == Part::Idle {
        outcome.idles = idle::all(&subjects)?;
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests;
