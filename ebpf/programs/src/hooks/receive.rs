//! An application asks who has answered: the DNS server that it asked, and not the proxy.

use aya_ebpf::{macros::cgroup_sock_addr, programs::SockAddrContext};
use ebpf_abi::Address;

use crate::{
    call::{Family, SockAddr},
    capture::GO_ON,
    maps::ASKED,
};

#[cgroup_sock_addr(recvmsg4)]
pub fn recvmsg4(ctx: SockAddrContext) -> i32 {
    put_back(&SockAddr::new(&ctx, Family::V4))
}

#[cgroup_sock_addr(recvmsg6)]
pub fn recvmsg6(ctx: SockAddrContext) -> i32 {
    put_back(&SockAddr::new(&ctx, Family::V6))
}

#[cgroup_sock_addr(getpeername4)]
pub fn getpeername4(ctx: SockAddrContext) -> i32 {
    put_back(&SockAddr::new(&ctx, Family::V4))
}

#[cgroup_sock_addr(getpeername6)]
pub fn getpeername6(ctx: SockAddrContext) -> i32 {
    put_back(&SockAddr::new(&ctx, Family::V6))
}

#[inline(always)]
fn put_back(call: &SockAddr<'_>) -> i32 {
    let seen = call.address();
    if !seen.is(&Address::LOOPBACK_V4) && !seen.is(&Address::LOOPBACK_V6) {
        return GO_ON;
    }
    // Only sockets of pods have one. A pod need not be enrolled any more: what it has asked is answered all the same.
    // SAFETY: the socket of the context is there, and its value stays while the socket does.
    if let Some(asked) = unsafe { ASKED.get_ptr_mut(call.context()).as_ref() }
        && call.raw_port() == asked.sent_to
    {
        call.set(&asked.address, asked.port);
    }
    GO_ON
}
