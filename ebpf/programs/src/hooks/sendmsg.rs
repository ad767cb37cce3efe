//! An application sends a datagram and says where to.

use aya_ebpf::{macros::cgroup_sock_addr, programs::SockAddrContext};

use crate::{
    call::{Family, SockAddr},
    capture::capture,
};

#[cgroup_sock_addr(sendmsg4)]
pub fn sendmsg4(ctx: SockAddrContext) -> i32 {
    capture(&SockAddr::new(&ctx, Family::V4), |_| {})
}

#[cgroup_sock_addr(sendmsg6)]
pub fn sendmsg6(ctx: SockAddrContext) -> i32 {
    capture(&SockAddr::new(&ctx, Family::V6), |_| {})
}
