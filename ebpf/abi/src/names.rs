//! Names of programs, maps and pins, and the bounds of maps.
//!
//! A map is called in the kernel what its static is called in the programs; a test of the loader finds each of
//! these names in the objects.

use crate::{ports::MAX_RANGES, steer::MAX_OWN_ADDRESSES};

/// Enrolled pods: cookie of the network namespace to [`crate::PodConfig`]. Keys and sizes are the same in every build.
pub const NETNS: &str = "NETNS";
/// Cgroups whose processes are proxies and never captured: cgroup id to 1. The same in every build.
pub const EXEMPT: &str = "EXEMPT";
/// What pods reach directly: [`crate::hooks::RangeKey`] to 1; 0 ends a range inside of a wider one.
pub const DIRECT: &str = "DIRECT";
/// The DNS server that a socket believes to speak with. Sockets own its values.
pub const ASKED: &str = "ASKED";

/// A pod's [`crate::SteerConfig`], at 0.
pub const POD: &str = "POD";
/// A pod's addresses, to 1.
pub const OWN: &str = "OWN";
/// A pod's listeners, by [`crate::steer::Listener`].
pub const LISTENERS: &str = "LISTENERS";
/// The steering program, and the pin of its link.
pub const STEER: &str = "steer";

/// The hook that keeps a connection on its way; see [`crate::options`].
pub const SETSOCKOPT: &str = "setsockopt";
/// The hooks that see an application connect; each name is that of a program, of its attach type and of the pin of its
/// link.
pub const CONNECT_HOOKS: [&str; 2] = ["connect4", "connect6"];
/// The hooks that DNS takes besides, attached once a pod's is captured.
pub const DNS_HOOKS: [&str; 6] = [
    "recvmsg4",
    "recvmsg6",
    "getpeername4",
    "getpeername6",
    "sendmsg4",
    "sendmsg6",
];

/// Maps that the hooks share, in the order in which they are pinned.
pub const HOOK_MAPS: [&str; 4] = [NETNS, EXEMPT, DIRECT, ASKED];
/// Maps of a steering program, in the order in which they are pinned.
pub const STEER_MAPS: [&str; 3] = [POD, OWN, LISTENERS];

/// Pods of one node. Kubernetes supports 110, the largest providers a few hundred.
pub const MAX_PODS: u32 = 4096;
/// Proxies at once: one serves, a few drain after upgrades in a row.
pub const MAX_EXEMPT: u32 = 64;
/// What all pods may reach directly: of each its addresses, its ranges, and the end of one that all of IPv6 has in the
/// addresses of IPv4. Memory is taken as they come.
#[expect(clippy::cast_possible_truncation, reason = "some hundreds")]
pub const MAX_DIRECT: u32 = MAX_PODS * (MAX_OWN_ADDRESSES + MAX_RANGES + 1) as u32;
