//! What becomes of a connection that arrives in a pod's network namespace.

use crate::{Address, PORT_HBONE, Ports};

/// The most addresses of its own that a pod may have, both families together.
pub const MAX_OWN_ADDRESSES: usize = 16;

/// One enrolled pod, as its steering program sees it: the only value of [`crate::names::POD`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SteerConfig {
    /// [`SteerConfig::IPV6`], [`SteerConfig::ACCEPTED_MARKS`].
    pub flags: u32,
    /// The pod's addresses; unused places are unspecified.
    pub own: [Address; MAX_OWN_ADDRESSES],
    /// Ports of the pod that are reached directly.
    pub excluded: Ports,
}

const _: () = assert!(size_of::<SteerConfig>() == 324 && align_of::<SteerConfig>() == 4);

impl SteerConfig {
    /// IPv6 is captured too.
    pub const IPV6: u32 = 1;
    /// The pod's sockets took over marks (`tcp_fwmark_accept`) before it was enrolled, and are to when it no longer
    /// is. For the loader alone.
    pub const ACCEPTED_MARKS: u32 = 2;

    #[inline(always)]
    fn owns(&self, address: &Address) -> bool {
        let mut index = 0;
        while index < MAX_OWN_ADDRESSES {
            if self.own[index].is(address) {
                return true;
            }
            index += 1;
        }
        false
    }
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
}

impl Listener {
    /// Every place, by its number.
    pub const ALL: [Self; 4] = [Self::OutV4, Self::OutV6, Self::InV4, Self::InV6];
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

/// Decides.
#[inline(always)]
#[must_use]
pub fn judge(pod: &SteerConfig, arrival: &Arrival) -> Verdict {
    let v4 = arrival.local.is_v4();
    if arrival.local.is_loopback() || (!v4 && pod.flags & SteerConfig::IPV6 == 0) {
        return Verdict::Pass;
    }
    if arrival.over_lo {
        if pod.owns(&arrival.local) {
            // The proxy gives the application its connection.
            return Verdict::Pass;
        }
        if !pod.owns(&arrival.remote) {
            // Neither end is known as the pod's: a delivery to an address that the pod got later would come round
            // and round.
            return Verdict::Drop;
        }
        return Verdict::To(if v4 { Listener::OutV4 } else { Listener::OutV6 });
    }
    // A call to the pod's own address comes over the interface that has the address.
    if pod.owns(&arrival.remote)
        || arrival.remote.is_probe()
        || arrival.port == PORT_HBONE
        || pod.excluded.contains(arrival.port)
    {
        return Verdict::Pass;
    }
    Verdict::To(if v4 { Listener::InV4 } else { Listener::InV6 })
}
