//! Names of programs, maps and pins, and the bounds of maps.
//!
//! A map is called in the kernel what its static is called in the programs; a test of the loader finds each of
//! these names in the objects.

/// Enrolled pods: cookie of the network namespace to [`crate::PodConfig`].
pub const NETNS: &str = "NETNS";
/// Cgroups whose processes are proxies and never captured: cgroup id to 1.
pub const EXEMPT: &str = "EXEMPT";
/// What pods reach directly: [`crate::hooks::RangeKey`] to 1; 0 ends a range inside of a wider one.
pub const DIRECT: &str = "DIRECT";
/// The DNS server that a socket believes to speak with. Sockets own its values.
pub const ASKED: &str = "ASKED";

/// A pod's [`crate::SteerConfig`], at 0.
pub const POD: &str = "POD";
/// A pod's listeners, by [`crate::steer::Listener`].
pub const LISTENERS: &str = "LISTENERS";
/// The steering program, and the pin of its link.
pub const STEER: &str = "steer";

/// The hooks; each name is that of a program, of its attach type and of the pin of its link.
pub const HOOKS: [&str; 8] = [
    "recvmsg4",
    "recvmsg6",
    "getpeername4",
    "getpeername6",
    "sendmsg4",
    "sendmsg6",
    "connect4",
    "connect6",
];

/// Maps that the hooks share, in the order in which they are pinned.
pub const HOOK_MAPS: [&str; 4] = [NETNS, EXEMPT, DIRECT, ASKED];

/// Pods of one node. Kubernetes supports 110, the largest providers a few hundred.
pub const MAX_PODS: u32 = 4096;
/// Proxies at once: one serves, a few drain after upgrades in a row.
pub const MAX_EXEMPT: u32 = 64;
/// Own addresses and excluded ranges of all pods; memory is taken as they come.
pub const MAX_DIRECT: u32 = 131_072;
