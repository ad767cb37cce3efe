//! What becomes of an application that changes by which way its socket's packets go.
//!
//! The way is chosen when a socket connects, and what captures it is written there. A connection that is under way must
//! not get another one: its first packet, sent once more, would pass the proxy by.

use crate::hooks::Transport;

/// `SOL_SOCKET`.
pub const SOL_SOCKET: i32 = 1;
/// `SO_BINDTODEVICE`.
pub const SO_BINDTODEVICE: i32 = 25;
/// `SO_MARK`.
pub const SO_MARK: i32 = 36;
/// `SO_BINDTOIFINDEX`.
pub const SO_BINDTOIFINDEX: i32 = 62;

/// `TCP_CLOSE`: a socket that is not connected, or no longer.
const TCP_CLOSE: u32 = 7;
/// `TCP_LISTEN`.
const TCP_LISTEN: u32 = 10;

/// An option that the way of packets depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The interface, by its name.
    DeviceByName,
    /// The interface, by its number.
    DeviceByNumber,
    /// The mark.
    Mark,
}

impl Way {
    /// What an option is, if it counts at all. Asked for every option that anybody on the node sets.
    #[inline(always)]
    #[must_use]
    pub const fn of(level: i32, name: i32) -> Option<Self> {
        if level != SOL_SOCKET {
            return None;
        }
        match name {
            SO_BINDTODEVICE => Some(Self::DeviceByName),
            SO_BINDTOIFINDEX => Some(Self::DeviceByNumber),
            SO_MARK => Some(Self::Mark),
            _ => None,
        }
    }
}

/// What becomes of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is made.
    Allowed,
    /// It is made by the hook itself, while the socket is locked: made after it, it might take effect once a connect has begun.
    Done,
    /// It is refused.
    Refused,
}

/// Decides about a socket of an enrolled pod. `protocol` is the number of IP, `state` the kernel's of TCP.
#[inline(always)]
#[must_use]
pub const fn judge(way: Way, protocol: u32, state: u32) -> Verdict {
    if !matches!(Transport::of(protocol), Some(Transport::Tcp)) || state == TCP_LISTEN {
        return Verdict::Allowed;
    }
    if state != TCP_CLOSE {
        return Verdict::Refused;
    }
    match way {
        Way::DeviceByName | Way::DeviceByNumber => Verdict::Done,
        // Takes rights by which a program can send whatever it likes anyway.
        Way::Mark => Verdict::Allowed,
    }
}
