//! One connection of ztunnel to the agent, with everything a hostile agent needs.

use std::io::{ErrorKind, IoSlice, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use parking_lot::Mutex;
use socket2::Socket;
use wire::zds::{Ack, Hello, Request};

use super::DEADLINE;

/// What a read takes at most: far above the protocol's 1024 bytes, so that excess is seen, not cut.
const MAX_READ_BYTES: usize = 64 << 10;

/// One accepted connection.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    /// One request and its answer at a time.
    turn: Mutex<()>,
}

impl Connection {
    pub(super) fn new(socket: Socket) -> Result<Self> {
        socket.set_write_timeout(Some(DEADLINE))?;
        Ok(Self {
            socket,
            turn: Mutex::new(()),
        })
    }

    /// Sends one packet as it is, with any number of file descriptors.
    ///
    /// # Errors
    ///
    /// When the peer is gone or does not read.
    pub fn send_raw(&self, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        let raw: Vec<_> = descriptors
            .iter()
            .map(|descriptor| descriptor.as_raw_fd())
            .collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
        let sent = sendmsg::<()>(
            self.socket.as_raw_fd(),
            &[IoSlice::new(packet)],
            control,
            MsgFlags::MSG_NOSIGNAL,
            None,
        )
        .context("send a packet")?;
        if sent != packet.len() {
            bail!("sent {sent} of {} bytes", packet.len());
        }
        Ok(())
    }

    /// Receives one packet; `None` when the peer has closed.
    ///
    /// # Errors
    ///
    /// When nothing comes in time.
    pub fn receive_raw(&self, timeout: Duration) -> Result<Option<Vec<u8>>> {
        self.socket
            .set_read_timeout(Some(timeout.max(Duration::from_millis(1))))?;
        let mut packet = vec![0; MAX_READ_BYTES];
        match (&self.socket).read(&mut packet) {
            Ok(0) => Ok(None),
            Ok(length) => {
                packet.truncate(length);
                Ok(Some(packet))
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error).with_context(|| format!("no packet within {timeout:?}")),
        }
    }

    /// Receives ztunnel's hello.
    ///
    /// # Errors
    ///
    /// When it does not come in [`DEADLINE`] or is none.
    pub fn receive_hello(&self) -> Result<()> {
        let packet = self
            .receive_raw(DEADLINE)
            .context("hello")?
            .context("closed before the hello")?;
        Hello::decode(&packet).context("hello")?;
        Ok(())
    }

    /// Receives one answer.
    ///
    /// # Errors
    ///
    /// When it does not come in time, the peer closes, or it is no answer.
    pub fn receive_ack(&self, timeout: Duration) -> Result<Ack> {
        let packet = self
            .receive_raw(timeout)?
            .context("closed instead of answering")?;
        Ok(Ack::decode(&packet)?)
    }

    /// Sends a request and waits for its answer, at most [`DEADLINE`].
    ///
    /// # Errors
    ///
    /// As [`Connection::send_raw`] and [`Connection::receive_ack`].
    pub fn request(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> Result<Ack> {
        let _turn = self.turn.lock();
        self.send_raw(&request.encode()?, descriptors)?;
        self.receive_ack(DEADLINE)
    }

    /// Whether the peer has closed.
    pub fn is_closed(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let flags = (MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT).bits();
        match self.socket.recv_with_flags(&mut byte, flags) {
            Ok(length) => length == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    /// Closes both directions.
    pub fn close(&self) {
        // Closed already is as good.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}
