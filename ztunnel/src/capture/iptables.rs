//! Redirection rules that ztunnel writes itself, in the pod's network namespace (`CAPTURE=iptables`).
//!
//! In: a pod's namespace and [`Settings`]. Out: rules that lead the pod's TCP (and, on demand, its DNS) to the
//! proxy's listeners in that namespace; none any more after [`remove`].
//! Never: touches another namespace, waits asynchronously, knows who the pod is; writes over rules of an agent, or removes them.
//!
//! The effect is that of Istio's in-pod rules, under Istio's chain names, so that Istio's agent can take over pods of ours. The other
//! way round is refused: beside an agent, `CAPTURE=agent` is what is meant. A jump to the empty chain `AMBIT` tells ours from an agent's. Two
//! more differences, both on purpose:
//!
//! * TCP is redirected on `--syn` only. Conntrack meets connections that are older than the rules in their middle,
//!   takes their next packet for a new connection, and without this would redirect and so reset them.
//! * DNS over TCP is left alone on `lo` as DNS over UDP is, and not only to 127.0.0.1: a resolver of the pod's own
//!   on 127.0.0.53 is a loopback destination like any other.
//!
//! What passes which rule:
//!
//! | packet | nat table | then |
//! |---|---|---|
//! | app to another pod, or to a VIP (its own too) | OUTPUT: redirected to 15001 | ztunnel decides |
//! | app to a loopback address, or to its own pod's address | OUTPUT: `-o lo`, accepted | untouched |
//! | ztunnel's own (marked) to anywhere | OUTPUT: no rule matches | untouched |
//! | plain TCP from outside | PREROUTING: redirected to 15006 | ztunnel admits |
//! | HBONE from outside (15008) | PREROUTING: no rule matches | ztunnel's listener |
//! | to or from what is excluded ([`Exclusions`]) | returned | untouched |
//! | kubelet's probes (they come from [`PROBE_V4`], [`PROBE_V6`]) and the answers | accepted | untouched |
//! | ztunnel to the app with the client's address | OUTPUT: `-o lo`, accepted | see below |
//!
//! The app's answer to a client whose address ztunnel borrowed would leave the pod. So the mangle table marks
//! such connections in conntrack as they come in (`0x111`), puts that mark on the app's answers, and a policy
//! route ([`ROUTE_TABLE`]) keeps what carries it on `lo`, where ztunnel's socket is. DNS that ztunnel forwards
//! gets a conntrack zone of its own in the raw table, or it would collide there with the app's redirected query.
//!
//! Order: routes, raw, mangle, and nat last, which is what captures; away in reverse. Each table changes in one
//! transaction, so that applying again, or repairing, leaves no gap. Rules outlive ztunnel: without it, connections
//! are refused, not passed by.

mod apply;
mod rules;
mod tool;

use std::num::NonZeroU32;

pub use apply::{Families, apply, owner, remove};
pub use rules::{Family, Owner, PROBE_V4, PROBE_V6, Table, render};
pub use tool::Error;

use crate::config::Exclusions;

/// The route table that keeps answers to borrowed addresses on `lo`.
pub const ROUTE_TABLE: u32 = 100;
/// The priority of the rule that selects it: just before the main table.
pub const ROUTE_PRIORITY: u32 = 32_764;
/// The conntrack mark of connections that ztunnel opened.
pub const CONNTRACK_MARK: u32 = 0x111;
/// The bits of a mark that are ours.
pub const MARK_MASK: u32 = 0xfff;

/// What the rules depend on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether IPv6 is captured where the pod has it (`IPV6_ENABLED`).
    pub ipv6: bool,
    /// Whether DNS is captured (`DNS_CAPTURE`).
    pub dns: bool,
    /// The mark of ztunnel's own packets (`PACKET_MARK`), within [`MARK_MASK`].
    pub mark: NonZeroU32,
    /// Where ztunnel takes what the pod sends.
    pub port_outbound: u16,
    /// Where it takes what comes in plain.
    pub port_inbound_plaintext: u16,
    /// Where tunnels end; never redirected.
    pub port_inbound_hbone: u16,
    /// Where it answers DNS.
    pub port_dns: u16,
    /// What passes by.
    pub exclusions: Exclusions,
}

impl Settings {
    /// The fixed ports of the mesh.
    #[must_use]
    pub fn new(mark: NonZeroU32, ipv6: bool, dns: bool) -> Self {
        Self {
            ipv6,
            dns,
            mark,
            port_outbound: 15001,
            port_inbound_plaintext: 15006,
            port_inbound_hbone: 15008,
            port_dns: 15053,
            exclusions: Exclusions::default(),
        }
    }
}

#[cfg(test)]
mod tests;
