//! Changes of the addresses in a network namespace.
//!
//! In: a namespace. Out: a word that something has changed. Never: what has changed; that is for whoever hears it to read.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::{
    libc,
    sys::socket::{NetlinkAddr, bind},
};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{Interest, unix::AsyncFd};

use crate::netns::Netns;

/// As much of a message as is read: nobody looks at it.
const MESSAGE_BYTES: usize = 64;
/// Messages that are read at one go: who changes addresses without end keeps nobody waiting.
const MAX_MESSAGES: usize = 256;
// Groups of rtnetlink. Source: rtnetlink(7), `RTMGRP_*`.
const IPV4_IFADDR: u32 = 0x10;
const IPV6_IFADDR: u32 = 0x100;

/// A subscription, on the runtime that made it. It keeps the namespace.
#[derive(Debug)]
pub struct AddressChanges(AsyncFd<OwnedFd>);

impl AddressChanges {
    /// Subscribes; what changes from here on is told. Must be called inside a runtime.
    ///
    /// # Errors
    /// When the namespace cannot be entered or the kernel refuses.
    pub fn watch(netns: &Netns) -> io::Result<Self> {
        let open = || {
            Socket::new(
                Domain::from(libc::AF_NETLINK),
                Type::RAW.nonblocking(),
                Some(Protocol::from(libc::NETLINK_ROUTE)),
            )
        };
        let socket = OwnedFd::from(netns.run(open)??);
        let groups = NetlinkAddr::new(0, IPV4_IFADDR | IPV6_IFADDR);
        bind(socket.as_raw_fd(), &groups)?;
        #[expect(unsafe_code, reason = "tokio knows no sockets of this family")]
        // SAFETY: an OwnedFd answers the same descriptor always and closes it only when dropped, which AsyncFd does
        // after it has left the reactor.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE)? };
        Ok(Self(socket))
    }

    /// Waits for a change since the last one that was told. Cancel-safe.
    ///
    /// # Errors
    /// When the kernel tells nothing any more.
    pub async fn changed(&self) -> io::Result<()> {
        let mut ready = self.0.readable().await?;
        let socket = SockRef::from(self.0.get_ref());
        let mut message = [MaybeUninit::uninit(); MESSAGE_BYTES];
        for _ in 0..MAX_MESSAGES {
            match socket.recv(&mut message) {
                Ok(_cut_short) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    return Ok(());
                }
                // More has changed than the kernel could keep for us.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
