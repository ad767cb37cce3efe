//! What is done to a call, by the verdict of `ebpf_abi::hooks`.

use aya_ebpf::{helpers::generated::bpf_get_current_cgroup_id, maps::lpm_trie::Key};
use ebpf_abi::{
    Address, PodConfig,
    hooks::{Call, RangeKey, Transport, Verdict, judge},
};

use crate::{
    call::SockAddr,
    maps::{ASKED, Asked, DIRECT, EXEMPT, NETNS},
};

/// The kernel goes on with the call.
pub const GO_ON: i32 = 1;
/// The application gets `EPERM`.
pub const REFUSE: i32 = 0;

/// Captures a call, or leaves it alone. `bind` gives a socket that is led to loopback the pod's address, where the
/// hook can.
#[inline(always)]
pub fn capture(call: &SockAddr<'_>, bind: impl FnOnce(&PodConfig)) -> i32 {
    let netns = call.netns();
    // SAFETY: its memory is a pod's for as long as this program runs. One that is replaced meanwhile may already be filled
    // anew: numbers of whichever pod, of which none is a pointer.
    let Some(pod) = (unsafe { NETNS.get(netns) }) else {
        return GO_ON;
    };
    let Some(transport) = Transport::of(call.protocol()) else {
        return GO_ON;
    };
    let destination = call.address();
    let what = Call {
        destination,
        port: call.port(),
        transport,
    };
    let direct = || {
        let key = Key::new(RangeKey::BITS, RangeKey::new(netns, destination));
        DIRECT.get(key).is_some_and(|direct| *direct != 0)
    };
    match judge(pod, &what, is_proxy, direct) {
        Verdict::Exempt => GO_ON,
        Verdict::Direct => answer(transport == Transport::Udp || call.unmark(pod.mark)),
        Verdict::Refused => REFUSE,
        Verdict::Captured => answer(call.leave_device() && call.mark(pod.mark)),
        Verdict::Resolved => resolve(call, pod, destination, bind),
    }
}

#[inline(always)]
fn answer(done: bool) -> i32 {
    if done { GO_ON } else { REFUSE }
}

/// Whether the caller is a proxy: by its cgroup, which no process of a pod can enter.
#[inline(always)]
pub fn is_proxy() -> bool {
    // SAFETY: the helper takes nothing.
    let cgroup = unsafe { bpf_get_current_cgroup_id() };
    // SAFETY: only its presence counts.
    unsafe { EXEMPT.get(cgroup) }.is_some()
}

#[inline(always)]
fn resolve(
    call: &SockAddr<'_>,
    pod: &PodConfig,
    asked: Address,
    bind: impl FnOnce(&PodConfig),
) -> i32 {
    let sent_to = u32::from(pod.port_dns.to_be());
    let mut value = Asked {
        address: asked,
        port: call.raw_port(),
        sent_to,
    };
    // SAFETY: the socket of the context is there, and its value stays while the socket does.
    let stored = unsafe {
        ASKED
            .get_or_insert_ptr_mut(call.context(), Some(&mut value))
            .as_mut()
    };
    let Some(stored) = stored else { return REFUSE };
    // One that was there already keeps what it held.
    *stored = value;
    if !call.leave_device() {
        return REFUSE;
    }
    bind(pod);
    let loopback = if asked.is_v4() {
        Address::LOOPBACK_V4
    } else {
        Address::LOOPBACK_V6
    };
    call.set(&loopback, sent_to);
    GO_ON
}
