//! Steering: gives a connection that arrives in a pod's network namespace to a listener of the proxy.
//!
//! In: the first packet of a connection that no socket holds yet. Out: the socket that gets it.
//! Never: changes the packet; lets one that is to be captured reach the application because the proxy is away.
//!
//! Loaded once for every pod: a program of this kind cannot ask which namespace it runs in.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, bpf_sk_lookup},
    macros::{map, sk_lookup},
    maps::{Array, HashMap, SockMap},
    programs::SkLookupContext,
};
use ebpf_abi::{
    Address, LO, SteerConfig,
    steer::{Arrival, MAX_OWN_ADDRESSES, PLACES, Verdict, judge},
};

/// What the loader says of the pod.
#[map]
static POD: Array<SteerConfig> = Array::with_max_entries(1, 0);

/// The pod's addresses.
#[map]
static OWN: HashMap<Address, u32> =
    HashMap::with_max_entries(MAX_OWN_ADDRESSES as u32, BPF_F_NO_PREALLOC);

/// The proxy's listeners in the pod, by `ebpf_abi::steer::Listener`.
#[map]
static LISTENERS: SockMap = SockMap::with_max_entries(PLACES, 0);

/// `SK_PASS`.
const PASS: u32 = 1;
/// `SK_DROP`.
const DROP: u32 = 0;
/// `IPPROTO_TCP`; MPTCP arrives as TCP.
const TCP: u32 = 6;
/// `AF_INET`.
const AF_INET: u32 = 2;

#[sk_lookup]
pub fn steer(ctx: SkLookupContext) -> u32 {
    let raw = ctx.lookup;
    // SAFETY: a field of the context, which the verifier has checked.
    if unsafe { (*raw).protocol } != TCP {
        return PASS;
    }
    let Some(pod) = POD.get(0) else { return DROP };
    // SAFETY: only its presence counts.
    let owns = |address: &Address| unsafe { OWN.get(address) }.is_some();
    match judge(pod, &arrival(raw), owns) {
        Verdict::Pass => PASS,
        Verdict::Drop => DROP,
        Verdict::To(listener) => match LISTENERS.redirect_sk_lookup(&ctx, listener as u32, 0) {
            Ok(()) => PASS,
            Err(_) => DROP,
        },
    }
}

/// Reads a field here and now.
#[inline(always)]
unsafe fn read(field: *const u32) -> u32 {
    // SAFETY: the caller's.
    unsafe { field.read_volatile() }
}

#[inline(always)]
fn arrival(raw: *mut bpf_sk_lookup) -> Arrival {
    // All of them, and then those of the family: a field is read at an offset that the verifier knows beforehand, where
    // the compiler would choose the offset first and read once. Words one by one, as it wants them.
    // SAFETY: fields of the context, which the verifier has checked; those of the other family are zero.
    let (v4, v6) = unsafe {
        (
            [
                read(&raw const (*raw).local_ip4),
                read(&raw const (*raw).remote_ip4),
            ],
            [
                [
                    read(&raw const (*raw).local_ip6[0]),
                    read(&raw const (*raw).local_ip6[1]),
                    read(&raw const (*raw).local_ip6[2]),
                    read(&raw const (*raw).local_ip6[3]),
                ],
                [
                    read(&raw const (*raw).remote_ip6[0]),
                    read(&raw const (*raw).remote_ip6[1]),
                    read(&raw const (*raw).remote_ip6[2]),
                    read(&raw const (*raw).remote_ip6[3]),
                ],
            ],
        )
    };
    // SAFETY: as above.
    let (family, port, interface) = unsafe {
        (
            read(&raw const (*raw).family),
            read(&raw const (*raw).local_port),
            read(&raw const (*raw).ingress_ifindex),
        )
    };
    let (local, remote) = if family == AF_INET {
        (Address::v4(v4[0]), Address::v4(v4[1]))
    } else {
        (Address(v6[0]), Address(v6[1]))
    };
    Arrival {
        local,
        port: port as u16,
        remote,
        over_lo: interface == LO,
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
