//! Requests to the kernel about routes, rules, links and addresses (rtnetlink(7)), one at a time.
//!
//! In: a message. Out: that it was done, or the kernel's error number.
//! Never: a process; `ip` is a package that an image need not have, and takes a thousand times as long.

pub(crate) mod message;

use std::io::{self, Read as _, Write as _};

use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};

use self::message::{HEADER_BYTES, Message};

/// An answer to one request: a header, an error number and the request's own header.
const ANSWER_BYTES: usize = 4096;
/// The longest part of a list that the kernel sends at once.
const PART_BYTES: usize = 32 * 1024;
/// The type of the message that ends a list.
const NLMSG_DONE: u16 = 3;
/// The type of a message that holds an error number, 0 among them.
const NLMSG_ERROR: u16 = 2;

/// A conversation with the kernel, about the network namespace of the thread that began it.
#[derive(Debug)]
pub(crate) struct Netlink(Socket);

impl Netlink {
    /// Begins one.
    pub(crate) fn open() -> io::Result<Self> {
        let socket = Socket::new(
            Domain::from(libc::AF_NETLINK),
            Type::RAW,
            Some(Protocol::from(libc::NETLINK_ROUTE)),
        )?;
        Ok(Self(socket))
    }

    /// Has one thing done.
    ///
    /// # Errors
    /// The kernel's, by its number.
    pub(crate) fn request(&mut self, message: &Message) -> io::Result<()> {
        self.0.write_all(message.bytes())?;
        let mut answer = [0; ANSWER_BYTES];
        let length = self.0.read(&mut answer)?;
        read_answer(&answer[..length])
    }
}

impl Netlink {
    /// Asks for a list, and shows each message of it.
    ///
    /// # Errors
    /// The kernel's, by its number.
    pub(crate) fn dump(
        &mut self,
        message: &Message,
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        self.0.write_all(message.bytes())?;
        let mut part = vec![0; PART_BYTES];
        loop {
            let length = self.0.read(&mut part)?;
            let mut left = part.get(..length).unwrap_or_default();
            while let Some((one, rest)) = message::split(left) {
                match message::kind(one) {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => return read_answer(one),
                    _ => each(one),
                }
                left = rest;
            }
        }
    }
}

fn read_answer(answer: &[u8]) -> io::Result<()> {
    let broken = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "the kernel's answer is no acknowledgement",
        )
    };
    let kind = answer.get(4..6).ok_or_else(broken)?;
    let number = answer
        .get(HEADER_BYTES..HEADER_BYTES + 4)
        .ok_or_else(broken)?;
    if kind != NLMSG_ERROR.to_ne_bytes() {
        return Err(broken());
    }
    let mut bytes = [0; 4];
    bytes.copy_from_slice(number);
    match i32::from_ne_bytes(bytes) {
        0 => Ok(()),
        number => Err(io::Error::from_raw_os_error(number.wrapping_neg())),
    }
}

#[cfg(test)]
mod tests;
