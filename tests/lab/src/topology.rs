//! Addresses and wires: two nodes that route, pods behind each, a link between, a host outside.
//!
//! ```text
//!   pod 10.10.1.10 -- eth0|p10 --+                                   +-- p10|eth0 -- pod 10.10.2.10
//!                                node1 == node-link ======= node-link == node2
//!   pod 10.10.1.11 -- eth0|p11 --+  172.31.0.1        172.31.0.2     +-- ...
//!                                |
//!                     172.19.0.1 +-- outside|eth0 -- outside 172.19.0.2
//! ```
//!
//! A third machine, `control`, has a wire to each node (`172.20.N.2`): the controller runs there.
//! IPv6 beside it: pods `fd00:10:N::X`, link `fd00:31::N`, outside `fd00:19::2`. Every lab has the
//! same addresses: each is in namespaces of its own. A pod has host routes only, as in a cluster.
//! Service addresses (`10.96.0.0/16`, `fd00:96::/64`) are answered "unreachable" by the node, so a
//! connect that nobody captured fails instead of hanging: at once in IPv4, after a second in IPv6, where
//! the kernel heeds the answer only at the first retransmission.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use crate::machine::Machine;

/// The interface on each node's side of the wire between the nodes.
pub const LINK: &str = "node-link";

/// The first host number of a pod on a node.
pub(crate) const FIRST_POD: u8 = 10;

/// The last host number of a pod on a node.
pub(crate) const LAST_POD: u8 = 250;

/// An IPv4 and an IPv6 address of the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// IPv4.
    pub ip4: Ipv4Addr,
    /// IPv6.
    pub ip6: Ipv6Addr,
}

impl Addresses {
    /// Both, IPv4 first.
    pub fn both(&self) -> [IpAddr; 2] {
        [self.ip4.into(), self.ip6.into()]
    }
}

/// A node's own addresses, on the link; `node` counts from 0.
pub(crate) fn node(node: usize) -> Addresses {
    let number = number(node);
    Addresses {
        ip4: Ipv4Addr::new(172, 31, 0, number),
        ip6: v6([0xfd00, 0x31, 0, 0, 0, 0, 0, number.into()]),
    }
}

/// A pod's addresses; `host` is at least [`FIRST_POD`].
pub(crate) fn pod(node: usize, host: u8) -> Addresses {
    let number = number(node);
    Addresses {
        ip4: Ipv4Addr::new(10, 10, number, host),
        ip6: v6([0xfd00, 0x10, number.into(), 0, 0, 0, 0, host.into()]),
    }
}

/// The `index`th service's addresses, counted from 0.
pub(crate) fn service(index: u8) -> Addresses {
    let host = index.saturating_add(10);
    Addresses {
        ip4: Ipv4Addr::new(10, 96, 1, host),
        ip6: v6([0xfd00, 0x96, 0, 0, 0, 0, 1, host.into()]),
    }
}

/// The addresses of the host outside.
pub(crate) fn outside() -> Addresses {
    Addresses {
        ip4: Ipv4Addr::new(172, 19, 0, 2),
        ip6: v6([0xfd00, 0x19, 0, 0, 0, 0, 0, 2]),
    }
}

/// The controller's addresses on its wire to a node.
pub(crate) fn control(node: usize) -> Addresses {
    let number = number(node);
    Addresses {
        ip4: Ipv4Addr::new(172, 20, number, 2),
        ip6: v6([0xfd00, 0x20, number.into(), 0, 0, 0, 0, 2]),
    }
}

/// Wires the controller's machine to each node, so that what it says is not seen between the nodes.
pub(crate) fn wire_control(nodes: [&Machine; 2], machine: &Machine) -> Result<()> {
    prepare(machine)?;
    machine.ip(&["link set lo up".to_owned()])?;
    for (index, node) in nodes.into_iter().enumerate() {
        let (mine, number) = (control(index), number(index));
        node.ip(&[
            format!(
                "link add control type veth peer name eth{index} netns {}",
                namespace_name(machine)
            ),
            format!("addr add 172.20.{number}.1/24 dev control"),
            format!("addr add fd00:20:{number}::1/64 dev control nodad"),
            "link set control up".to_owned(),
        ])?;
        machine.ip(&[
            format!("addr add {}/24 dev eth{index}", mine.ip4),
            format!("addr add {}/64 dev eth{index} nodad", mine.ip6),
            format!("link set eth{index} up"),
            // Waypoints call it from their pods.
            format!("route add 10.10.{number}.0/24 via 172.20.{number}.1"),
            format!("route add fd00:10:{number}::/64 via fd00:20:{number}::1"),
        ])?;
    }
    Ok(())
}

/// Turns two namespaces into routers with a wire between them.
pub(crate) fn wire_nodes(nodes: [&Machine; 2]) -> Result<()> {
    let mut start = vec!["link set lo up".to_owned()];
    for machine in nodes {
        prepare(machine)?;
        machine.sysctl(&[
            ("net.ipv4.ip_forward", "1"),
            ("net.ipv6.conf.all.forwarding", "1"),
            // Every refused connect is answered, not only the first of a burst.
            ("net.ipv4.icmp_ratelimit", "0"),
            ("net.ipv6.icmp.ratelimit", "0"),
            ("net.ipv4.conf.all.send_redirects", "0"),
        ])?;
    }
    start.push(format!(
        "link add {LINK} type veth peer name {LINK} netns {}",
        namespace_name(nodes[1])
    ));
    nodes[0].ip(&start)?;
    for (index, machine) in nodes.into_iter().enumerate() {
        let (here, there) = (node(index), node(1 - index));
        let (mine, theirs) = (number(index), number(1 - index));
        machine.ip(&[
            "link set lo up".to_owned(),
            format!("addr add 10.10.{mine}.1/32 dev lo"),
            format!("addr add fd00:10:{mine}::1/128 dev lo nodad"),
            format!("addr add {}/24 dev {LINK}", here.ip4),
            format!("addr add {}/64 dev {LINK} nodad", here.ip6),
            format!("link set {LINK} up"),
            format!("route add 10.10.{theirs}.0/24 via {}", there.ip4),
            format!("route add fd00:10:{theirs}::/64 via {}", there.ip6),
            "route add unreachable 10.96.0.0/16".to_owned(),
            "route add unreachable fd00:96::/64".to_owned(),
        ])?;
    }
    Ok(())
}

/// Wires a pod to its node.
pub(crate) fn wire_pod(router: &Machine, index: usize, machine: &Machine, host: u8) -> Result<()> {
    prepare(machine)?;
    let (mine, number) = (pod(index, host), number(index));
    router.ip(&[
        format!(
            "link add p{host} type veth peer name eth0 netns {}",
            namespace_name(machine)
        ),
        format!("addr add fe80::1/64 dev p{host} nodad"),
        format!("link set p{host} up"),
        format!("route add {}/32 dev p{host} src 10.10.{number}.1", mine.ip4),
        format!(
            "route add {}/128 dev p{host} src fd00:10:{number}::1",
            mine.ip6
        ),
    ])?;
    machine.ip(&[
        "link set lo up".to_owned(),
        format!("addr add {}/32 dev eth0", mine.ip4),
        format!("addr add {}/128 dev eth0 nodad", mine.ip6),
        "link set eth0 up".to_owned(),
        format!("route add default via 10.10.{number}.1 dev eth0 onlink"),
        "route add default via fe80::1 dev eth0".to_owned(),
    ])
}

/// Wires the host outside to the first node.
pub(crate) fn wire_outside(nodes: [&Machine; 2], machine: &Machine) -> Result<()> {
    prepare(machine)?;
    let mine = outside();
    nodes[0].ip(&[
        format!(
            "link add outside type veth peer name eth0 netns {}",
            namespace_name(machine)
        ),
        "addr add 172.19.0.1/24 dev outside".to_owned(),
        "addr add fd00:19::1/64 dev outside nodad".to_owned(),
        "link set outside up".to_owned(),
    ])?;
    machine.ip(&[
        "link set lo up".to_owned(),
        format!("addr add {}/24 dev eth0", mine.ip4),
        format!("addr add {}/64 dev eth0 nodad", mine.ip6),
        "link set eth0 up".to_owned(),
        "route add default via 172.19.0.1".to_owned(),
        "route add default via fd00:19::1".to_owned(),
    ])?;
    let next = node(0);
    nodes[1].ip(&[
        format!("route add 172.19.0.0/24 via {}", next.ip4),
        format!("route add fd00:19::/64 via {}", next.ip6),
    ])
}

/// Removes a pod's wire; its peer in the pod goes with it.
pub(crate) fn unwire_pod(router: &Machine, host: u8) -> Result<()> {
    router.ip(&[format!("link del p{host}")])
}

/// What a new namespace may have inherited from the host, set to the kernel's own defaults, and no
/// waiting for duplicate addresses.
fn prepare(machine: &Machine) -> Result<()> {
    machine.sysctl(&[
        ("net.ipv4.conf.all.rp_filter", "0"),
        ("net.ipv4.conf.default.rp_filter", "0"),
        ("net.ipv6.conf.all.disable_ipv6", "0"),
        ("net.ipv6.conf.default.disable_ipv6", "0"),
        ("net.ipv6.conf.lo.disable_ipv6", "0"),
        ("net.ipv6.conf.default.accept_dad", "0"),
        ("net.ipv6.conf.default.accept_ra", "0"),
        ("net.ipv4.ping_group_range", "0 2147483647"),
    ])
}

fn namespace_name(machine: &Machine) -> String {
    machine.run_of().namespace(machine.name())
}

fn number(node: usize) -> u8 {
    // Two nodes, counted from 0.
    if node == 0 { 1 } else { 2 }
}

fn v6(segments: [u16; 8]) -> Ipv6Addr {
    Ipv6Addr::from(segments)
}
