//! What the cgroup hooks do with a call of an application that names a destination.

use crate::{Address, PORT_DNS, Ports};

/// One enrolled pod, as the cgroup hooks see it. Stands in [`crate::names::NETNS`] under the cookie of its network
/// namespace. **Shape:** always of [`PodConfig::BYTES`], so that every build can take a pod out of another's map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodConfig {
    /// The mark that a route of the pod leads to `lo`.
    pub mark: u32,
    /// [`PodConfig::IPV6`], [`PodConfig::IPV6_CLOSED`], [`PodConfig::DNS`].
    pub flags: u32,
    /// Where DNS is answered on loopback; 0 while nobody answers.
    pub port_dns: u16,
    /// Always 0.
    pub reserved: u16,
    /// The address that a captured socket without one of its own has; unspecified where the pod has none.
    pub source_v4: Address,
    /// The same for IPv6.
    pub source_v6: Address,
    /// Destination ports that are left alone.
    pub excluded: Ports,
    /// Always 0.
    pub spare: [u32; 5],
}

const _: () = assert!(size_of::<PodConfig>() == PodConfig::BYTES && align_of::<PodConfig>() == 4);

impl PodConfig {
    /// The size of a value of [`crate::names::NETNS`] in every build.
    pub const BYTES: usize = 128;
    /// IPv6 is captured too.
    pub const IPV6: u32 = 1;
    /// IPv6 is to be captured and could not be, because the pod had none: it is refused.
    pub const IPV6_CLOSED: u32 = 2;
    /// DNS is captured.
    pub const DNS: u32 = 4;
}

/// A range of addresses that a pod's calls are left alone to, with its own addresses among them.
///
/// **Shape:** the key of [`crate::names::DIRECT`], a trie: the first [`RangeKey::COOKIE_BITS`] bits are the pod, the
/// rest is a prefix of an [`Address`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeKey {
    /// The cookie of the pod's network namespace, low word first.
    pub cookie: [u32; 2],
    /// The address.
    pub address: Address,
}

const _: () = assert!(size_of::<RangeKey>() == 24 && align_of::<RangeKey>() == 4);

impl RangeKey {
    /// Bits that name the pod.
    pub const COOKIE_BITS: u32 = 64;
    /// Bits of a whole key.
    pub const BITS: u32 = Self::COOKIE_BITS + 128;

    /// An address of a pod.
    #[inline(always)]
    #[must_use]
    pub const fn new(cookie: u64, address: Address) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the halves of a number")]
        let cookie = [cookie as u32, (cookie >> 32) as u32];
        Self { cookie, address }
    }
}

/// What a call speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP, and MPTCP, which begins as TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// What a protocol number of IP is captured as; none if it is not captured at all.
    #[inline(always)]
    #[must_use]
    pub const fn of(protocol: u32) -> Option<Self> {
        match protocol {
            // TCP, MPTCP.
            6 | 262 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            _ => None,
        }
    }
}

/// A connect, or a datagram that is sent.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Where to.
    pub destination: Address,
    /// The port there.
    pub port: u16,
    /// How.
    pub transport: Transport,
}

/// What becomes of a [`Call`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes as it is.
    Direct,
    /// It is the proxy's, and goes as it is, mark and all.
    Exempt,
    /// It is refused: it could not be captured, and must not pass by.
    Refused,
    /// Its socket gets the pod's mark, and with it the route to the proxy.
    Captured,
    /// It goes to the DNS proxy on loopback.
    Resolved,
}

/// Decides. `exempt` tells whether the caller is the proxy itself, `direct` whether the destination is one of the
/// pod's own or of a range that it excludes; both are asked only when they count.
#[inline(always)]
pub fn judge(
    pod: &PodConfig,
    call: &Call,
    exempt: impl FnOnce() -> bool,
    direct: impl FnOnce() -> bool,
) -> Verdict {
    let to = &call.destination;
    if to.is_loopback() || to.is_unspecified() || to.is_probe() {
        return Verdict::Direct;
    }
    let v6 = !to.is_v4();
    if v6 && pod.flags & (PodConfig::IPV6 | PodConfig::IPV6_CLOSED) == 0 {
        return Verdict::Direct;
    }
    let resolved = call.port == PORT_DNS && pod.flags & PodConfig::DNS != 0;
    if matches!(call.transport, Transport::Udp) && !resolved {
        return Verdict::Direct;
    }
    if exempt() {
        return Verdict::Exempt;
    }
    if pod.excluded.contains(call.port) || direct() {
        return Verdict::Direct;
    }
    if v6 && pod.flags & PodConfig::IPV6 == 0 {
        return Verdict::Refused;
    }
    if resolved {
        if pod.port_dns == 0 {
            return Verdict::Refused;
        }
        return Verdict::Resolved;
    }
    if to.is_link_local_v6() {
        // The kernel binds such a socket to its interface, past the route of the mark.
        return Verdict::Refused;
    }
    Verdict::Captured
}
