//! Steering: gives a connection that arrives in a pod's network namespace to a listener of the proxy.
//!
//! In: the first packet of a connection that no socket holds yet. Out: the socket that gets it.
//! Never: changes the packet; lets one that is to be captured reach the application because the proxy is away.
//!
//! Loaded once for every pod: a program of this kind cannot ask which namespace it runs in.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::bpf_sk_lookup,
    macros::{map, sk_lookup},
    maps::{Array, SockMap},
    programs::SkLookupContext,
};
use ebpf_abi::{
    Address, SteerConfig,
    steer::{Arrival, Verdict, judge},
};

/// What the loader says of the pod.
#[map]
static POD: Array<SteerConfig> = Array::with_max_entries(1, 0);

/// The proxy's listeners in the pod, by `ebpf_abi::steer::Listener`.
#[map]
static LISTENERS: SockMap = SockMap::with_max_entries(4, 0);

/// `SK_PASS`.
const PASS: u32 = 1;
/// `SK_DROP`.
const DROP: u32 = 0;
/// `IPPROTO_TCP`; MPTCP arrives as TCP.
const TCP: u32 = 6;
/// `AF_INET`.
const AF_INET: u32 = 2;
/// The number of `lo` in every network namespace.
const LO: u32 = 1;

#[sk_lookup]
pub fn steer(ctx: SkLookupContext) -> u32 {
    let raw = ctx.lookup;
    // SAFETY: a field of the context, which the verifier has checked.
    if unsafe { (*raw).protocol } != TCP {
        return PASS;
    }
    let Some(pod) = POD.get(0) else { return DROP };
    match judge(pod, &arrival(raw)) {
        Verdict::Pass => PASS,
        Verdict::Drop => DROP,
        Verdict::To(listener) => match LISTENERS.redirect_sk_lookup(&ctx, listener as u32, 0) {
            Ok(()) => PASS,
            Err(_) => DROP,
        },
    }
}

#[inline(always)]
fn arrival(raw: *mut bpf_sk_lookup) -> Arrival {
    // SAFETY: fields of the context, which the verifier has checked; words one by one, as it wants them.
    unsafe {
        let (local, remote) = if (*raw).family == AF_INET {
            (
                Address::v4((*raw).local_ip4),
                Address::v4((*raw).remote_ip4),
            )
        } else {
            (
                Address([
                    (*raw).local_ip6[0],
                    (*raw).local_ip6[1],
                    (*raw).local_ip6[2],
                    (*raw).local_ip6[3],
                ]),
                Address([
                    (*raw).remote_ip6[0],
                    (*raw).remote_ip6[1],
                    (*raw).remote_ip6[2],
                    (*raw).remote_ip6[3],
                ]),
            )
        };
        Arrival {
            local,
            port: (*raw).local_port as u16,
            remote,
            over_lo: (*raw).ingress_ifindex == LO,
        }
    }
}

/// Every helper that is used here may be called under any license.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 11] = *b"Apache-2.0\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
