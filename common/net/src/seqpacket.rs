//! A unix socket of packets that may carry descriptors: how a CNI agent hands over pods.
//!
//! In: packets of a bounded size. Out: their bytes and descriptors, each owned exactly once.
//! Never: hands on a packet that was cut.

use std::{
    io::{self, IoSliceMut},
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    path::Path,
};

use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, connect, recvmsg,
    send, socket,
};
use tokio::io::{Interest, unix::AsyncFd};

/// As many as the kernel puts into one packet (`SCM_MAX_FD`): those beyond the room that is offered would be ours,
/// and out of our reach.
const MAX_DESCRIPTORS: usize = 253;

/// A connected socket. Must be used inside the runtime that connected it.
#[derive(Debug)]
pub struct SeqPacket {
    fd: AsyncFd<OwnedFd>,
}

/// One packet.
#[derive(Debug)]
pub struct Packet {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What came along.
    pub descriptors: Vec<OwnedFd>,
}

impl SeqPacket {
    /// Connects to a listening socket.
    ///
    /// # Errors
    /// When nobody listens at `path`.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        // SAFETY: an OwnedFd answers the same descriptor always and closes it only when dropped, which AsyncFd does
        // after it has left the reactor.
        #[expect(unsafe_code, reason = "tokio knows no sockets of packets")]
        let fd = unsafe { AsyncFd::register_with_interest(fd, interest)? };
        Ok(Self { fd })
    }

    /// The next packet, or `None` when the other side has closed. Cancel-safe.
    ///
    /// # Errors
    /// `InvalidData` for a packet that is larger than `limit` bytes; its descriptors are closed.
    pub async fn receive(&self, limit: usize) -> io::Result<Option<Packet>> {
        self.fd
            .async_io(Interest::READABLE, |fd| receive_now(fd, limit))
            .await
    }

    /// Sends one packet. Cancel-safe.
    ///
    /// # Errors
    /// When the other side has closed.
    pub async fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.fd
            .async_io(Interest::WRITABLE, |fd| {
                Ok(send(fd.as_raw_fd(), packet, MsgFlags::MSG_NOSIGNAL)?)
            })
            .await
            .map(drop)
    }
}

fn receive_now(fd: &OwnedFd, limit: usize) -> io::Result<Option<Packet>> {
    let mut bytes = vec![0; limit];
    let mut control = nix::cmsg_space!([i32; MAX_DESCRIPTORS]);
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let message = recvmsg::<()>(
        fd.as_raw_fd(),
        &mut slices,
        Some(&mut control),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    let mut descriptors = Vec::new();
    // Taken first, so that they are closed also when the packet is refused.
    if let Ok(controls) = message.cmsgs() {
        for control in controls {
            if let ControlMessageOwned::ScmRights(raw) = control {
                for raw in raw {
                    // SAFETY: the kernel has just made this descriptor for us, and nothing else knows of it.
                    #[expect(unsafe_code, reason = "descriptors arrive as numbers")]
                    let owned = unsafe { OwnedFd::from_raw_fd(raw) };
                    descriptors.push(owned);
                }
            }
        }
    }
    let flags = message.flags;
    let length = message.bytes;
    if flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC) {
        let problem = format!("packet larger than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    if length == 0 && descriptors.is_empty() {
        return Ok(None);
    }
    bytes.truncate(length);
    Ok(Some(Packet { bytes, descriptors }))
}

#[cfg(test)]
mod tests;
