//! What becomes of a connection that arrives in a pod's network namespace.

use crate::{Address, PORT_HBONE, Ports};

/// The most addresses of its own that a pod may have, both families together: far more than any plugin gives, and
/// 4 KiB of buckets.
pub const MAX_OWN_ADDRESSES: usize = 256;

/// One enrolled pod, as its steering program sees it: the only value of [`crate::names::POD`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SteerConfig {
    /// [`SteerConfig::IPV6`], [`SteerConfig::IPV6_CLOSED`].
    pub flags: u32,
    /// Ports of the pod that are reached directly.
    pub excluded: Ports,
}

const _: () = assert!(size_of::<SteerConfig>() == 68 && align_of::<SteerConfig>() == 4);

impl SteerConfig {
    /// IPv6 is captured too.
    pub const IPV6: u32 = 1;
    /// IPv6 is to be captured and could not be, because the pod had none: nobody gets it.
    pub const IPV6_CLOSED: u32 = 2;
}

/// A connection's first packet.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Where it goes to.
    pub local: Address,
    /// The port there.
    pub port: u16,
    /// Where it comes from.
    pub remote: Address,
    /// Whether it comes over `lo`: the route of the mark led it there.
    pub over_lo: bool,
}

/// A place in [`crate::names::LISTENERS`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// What the pod sends, IPv4.
    OutV4 = 0,
    /// What the pod sends, IPv6.
    OutV6 = 1,
    /// What comes in plain, IPv4.
    InV4 = 2,
    /// What comes in plain, IPv6.
    InV6 = 3,
    /// Tunnels, IPv4.
    HboneV4 = 4,
    /// Tunnels, IPv6.
    HboneV6 = 5,
}

/// How many places there are.
pub const PLACES: u32 = 6;

impl Listener {
    /// Every place, by its number.
    pub const ALL: [Self; PLACES as usize] = [
        Self::OutV4,
        Self::OutV6,
        Self::InV4,
        Self::InV6,
        Self::HboneV4,
        Self::HboneV6,
    ];
}

/// What becomes of an [`Arrival`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The kernel looks for the application's own socket, as if there were no mesh.
    Pass,
    /// Nobody gets it.
    Drop,
    /// This listener gets it; nobody, where it is not there.
    To(Listener),
}

/// Decides. `owns` tells whether an address is the pod's.
#[inline(always)]
#[must_use]
pub fn judge(pod: &SteerConfig, arrival: &Arrival, owns: impl Fn(&Address) -> bool) -> Verdict {
    let v4 = arrival.local.is_v4();
    if arrival.local.is_loopback() {
        return Verdict::Pass;
    }
    if !v4 && pod.flags & SteerConfig::IPV6 == 0 {
        if pod.flags & SteerConfig::IPV6_CLOSED == 0 {
            return Verdict::Pass;
        }
        return Verdict::Drop;
    }
    if arrival.over_lo {
        if owns(&arrival.local) {
            // The proxy gives the application its connection.
            return Verdict::Pass;
        }
        if !owns(&arrival.remote) {
            // Neither end is known as the pod's: a delivery to an address that the pod got later would come round
            // and round.
            return Verdict::Drop;
        }
        return Verdict::To(if v4 { Listener::OutV4 } else { Listener::OutV6 });
    }
    // First: a pod that calls itself through a service comes by a tunnel too, and nothing that is excluded may give
    // this port to the application.
    if arrival.port == PORT_HBONE {
        return Verdict::To(if v4 {
            Listener::HboneV4
        } else {
            Listener::HboneV6
        });
    }
    // A call to the pod's own address comes over the interface that has the address.
    if arrival.remote.is_probe() || pod.excluded.contains(arrival.port) || owns(&arrival.remote) {
        return Verdict::Pass;
    }
    Verdict::To(if v4 { Listener::InV4 } else { Listener::InV6 })
}
