//! Hooks of the cgroup: they see every call of an application that names a destination, before a packet is made, and
//! every change of the way that its packets take.
//!
//! In: a socket, an address, the enrolled pods. Out: the socket gets a mark, or another address, or is refused.
//! Never: looks at a namespace that is not enrolled; lets a call pass that it could not capture.
//!
//! Reading order: [`connect`], [`sendmsg`] (calls), [`capture`] (what is done to them), [`receive`] (the address that
//! DNS was asked at is put back), [`option`] (changes of the way), [`call`] (the kernel's struct), [`maps`].
#![no_std]
#![no_main]

mod call;
mod capture;
mod connect;
mod maps;
mod option;
mod receive;
mod sendmsg;

/// Every helper that is used here may be called under any license.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 11] = *b"Apache-2.0\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
