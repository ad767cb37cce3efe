//! The kernel's view of a call, field by field.

use aya_ebpf::{
    bindings::{bpf_sock, bpf_sock_addr},
    helpers::generated::{bpf_get_netns_cookie, bpf_setsockopt},
    programs::SockAddrContext,
};
use ebpf_abi::{
    Address,
    options::{SO_BINDTODEVICE, SO_MARK, SOL_SOCKET},
};

/// The family of the hook, which decides about the fields that it may touch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// One call.
pub struct SockAddr<'a> {
    ctx: &'a SockAddrContext,
    family: Family,
}

impl<'a> SockAddr<'a> {
    #[inline(always)]
    pub fn new(ctx: &'a SockAddrContext, family: Family) -> Self {
        Self { ctx, family }
    }

    #[inline(always)]
    fn raw(&self) -> *mut bpf_sock_addr {
        self.ctx.sock_addr
    }

    #[inline(always)]
    pub fn context(&self) -> &SockAddrContext {
        self.ctx
    }

    /// The cookie of the socket's network namespace.
    #[inline(always)]
    pub fn netns(&self) -> u64 {
        // SAFETY: the helper takes the context that the kernel gave.
        unsafe { bpf_get_netns_cookie(self.raw().cast()) }
    }

    /// `IPPROTO_*`.
    #[inline(always)]
    pub fn protocol(&self) -> u32 {
        // SAFETY: a field of the context, which the verifier has checked.
        unsafe { (*self.raw()).protocol }
    }

    /// The address that the application gave, or is about to see.
    #[inline(always)]
    pub fn address(&self) -> Address {
        let raw = self.raw();
        match self.family {
            // SAFETY: as in `protocol`.
            Family::V4 => Address::v4(unsafe { (*raw).user_ip4 }),
            // SAFETY: as in `protocol`; word by word, as the verifier wants it.
            Family::V6 => Address(unsafe {
                [
                    (*raw).user_ip6[0],
                    (*raw).user_ip6[1],
                    (*raw).user_ip6[2],
                    (*raw).user_ip6[3],
                ]
            }),
        }
    }

    /// Its port in network order, in the low half.
    #[inline(always)]
    pub fn raw_port(&self) -> u32 {
        // SAFETY: as in `protocol`.
        unsafe { (*self.raw()).user_port }
    }

    /// Its port.
    #[inline(always)]
    pub fn port(&self) -> u16 {
        u16::from_be(self.raw_port() as u16)
    }

    /// Puts another address there.
    #[inline(always)]
    pub fn set(&self, address: &Address, raw_port: u32) {
        let raw = self.raw();
        // SAFETY: fields that hooks of this kind may write.
        unsafe {
            match self.family {
                Family::V4 => (*raw).user_ip4 = address.0[3],
                Family::V6 => {
                    (*raw).user_ip6[0] = address.0[0];
                    (*raw).user_ip6[1] = address.0[1];
                    (*raw).user_ip6[2] = address.0[2];
                    (*raw).user_ip6[3] = address.0[3];
                }
            }
            (*raw).user_port = raw_port;
        }
    }

    #[inline(always)]
    fn socket(&self) -> *mut bpf_sock {
        // SAFETY: the socket of the context is always there.
        unsafe { (*self.raw()).__bindgen_anon_1.sk }
    }

    /// Frees the socket from its interface, past which neither loopback nor the route of the mark is reached.
    /// `false` when the kernel refuses, as it does for who lacks `CAP_NET_RAW`.
    #[inline(always)]
    pub fn leave_device(&self) -> bool {
        // SAFETY: as in `socket`.
        let bound = unsafe { (*self.socket()).bound_dev_if };
        if bound == 0 {
            return true;
        }
        let mut name = [0_u8; 4];
        // SAFETY: the pointer is to four bytes of the stack, and the length says so.
        unsafe {
            bpf_setsockopt(
                self.raw().cast(),
                SOL_SOCKET,
                SO_BINDTODEVICE,
                name.as_mut_ptr().cast(),
                4,
            ) == 0
        }
    }

    /// Takes away the mark that a captured connection of this socket has left, which failed. One that has an interface is
    /// no such socket: capture frees it first. `false` when the kernel refuses.
    #[inline(always)]
    pub fn unmark(&self, mark: u32) -> bool {
        // SAFETY: as in `socket`.
        let (found, bound) = unsafe { ((*self.socket()).mark, (*self.socket()).bound_dev_if) };
        found != mark || bound != 0 || self.mark(0)
    }

    /// Marks the socket. `false` when the kernel refuses.
    #[inline(always)]
    pub fn mark(&self, mark: u32) -> bool {
        let mut mark = mark;
        // SAFETY: the pointer is to four bytes of the stack, and the length says so.
        unsafe {
            bpf_setsockopt(
                self.raw().cast(),
                SOL_SOCKET,
                SO_MARK,
                (&raw mut mark).cast(),
                4,
            ) == 0
        }
    }
}
