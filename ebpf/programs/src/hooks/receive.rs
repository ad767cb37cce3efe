//! An application asks who has answered: the DNS server that it asked, and not the proxy.

use aya_ebpf::{macros::cgroup_sock_addr, programs::SockAddrContext};
use ebpf_abi::Address;

use crate::{
    call::{Family, SockAddr},
    capture::GO_ON,
    maps::{ASKED, NETNS},
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
    // SAFETY: as in `capture`.
    let Some(pod) = (unsafe { NETNS.get(call.netns()) }) else {
        return GO_ON;
    };
    let seen = call.address();
    let is_proxy = seen.is(&Address::LOOPBACK_V4) || seen.is(&Address::LOOPBACK_V6);
    if pod.port_dns == 0 || call.port() != pod.port_dns || !is_proxy {
        return GO_ON;
    }
    // SAFETY: the socket of the context is there, and its value stays while the socket does.
    if let Some(asked) = unsafe { ASKED.get_ptr_mut(call.context()).as_ref() } {
        call.set(&asked.address, asked.port);
    }
    GO_ON
}
