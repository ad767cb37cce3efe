//! An application connects a socket: TCP, or UDP that always speaks with one peer.

use aya_ebpf::{
    bindings::{bpf_sock_addr, sockaddr},
    helpers::generated::bpf_bind,
    macros::cgroup_sock_addr,
    programs::SockAddrContext,
};
use ebpf_abi::PodConfig;

use crate::{
    call::{Family, SockAddr},
    capture::capture,
};

/// `AF_INET`.
const AF_INET: u16 = 2;
/// `AF_INET6`.
const AF_INET6: u16 = 10;

#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    let call = SockAddr::new(&ctx, Family::V4);
    capture(&call, |pod| bind4(ctx.sock_addr, pod))
}

#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    let call = SockAddr::new(&ctx, Family::V6);
    let mapped = call.address().is_v4();
    capture(&call, |pod| bind6(ctx.sock_addr, pod, mapped))
}

/// `struct sockaddr_in`.
#[repr(C)]
struct SockAddrIn {
    family: u16,
    port: u16,
    address: u32,
    zero: [u8; 8],
}

/// `struct sockaddr_in6`.
#[repr(C)]
struct SockAddrIn6 {
    family: u16,
    port: u16,
    flow: u32,
    address: [u32; 4],
    scope: u32,
}

/// Gives the socket the pod's address, which `getsockname` would show without capture too: programs connect a UDP
/// socket to learn it. A socket with an address of its own keeps it, and the failure counts for nothing.
#[inline(always)]
fn bind4(call: *mut bpf_sock_addr, pod: &PodConfig) {
    if pod.source_v4.is_unspecified() {
        return;
    }
    let mut address = SockAddrIn {
        family: AF_INET,
        port: 0,
        address: pod.source_v4.0[3],
        zero: [0; 8],
    };
    // SAFETY: the pointer is to a whole address on the stack, and the length says so.
    unsafe {
        bpf_bind(
            call,
            (&raw mut address).cast::<sockaddr>(),
            size_of::<SockAddrIn>() as i32,
        );
    }
}

/// The same for a socket of IPv6, which may speak IPv4.
#[inline(always)]
fn bind6(call: *mut bpf_sock_addr, pod: &PodConfig, mapped: bool) {
    let source = if mapped {
        &pod.source_v4
    } else {
        &pod.source_v6
    };
    if source.is_unspecified() {
        return;
    }
    let mut address = SockAddrIn6 {
        family: AF_INET6,
        port: 0,
        flow: 0,
        address: source.0,
        scope: 0,
    };
    // SAFETY: as in `bind4`.
    unsafe {
        bpf_bind(
            call,
            (&raw mut address).cast::<sockaddr>(),
            size_of::<SockAddrIn6>() as i32,
        );
    }
}
