//! The bytes of a request. Pure.
//!
//! Sources of the numbers: linux/netlink.h, linux/rtnetlink.h, linux/fib_rules.h, linux/if_addr.h.

use std::net::IpAddr;

use ebpf_abi::LO;
use nix::libc;

/// Bytes of the header that every message begins with.
pub(super) const HEADER_BYTES: usize = 16;

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;

const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
/// `NLM_F_DUMP`.
const LIST: u16 = 0x300;
const REPLACE: u16 = 0x100;
const EXCLUSIVE: u16 = 0x200;
const CREATE: u16 = 0x400;

/// `IFF_UP`.
const UP: u32 = 1;

/// `RTA_TABLE`.
const RTA_TABLE: u16 = 15;
/// In the place of a table whose number has more than one byte.
const TABLE_BY_ATTRIBUTE: u8 = 0;
/// `RTPROT_STATIC`.
const STATIC: u8 = 4;
/// `RTN_LOCAL`.
const LOCAL: u8 = 2;
/// `RTN_UNREACHABLE`.
const UNREACHABLE: u8 = 7;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message(Vec<u8>);

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    fn number(self) -> u8 {
        let number = match self {
            Self::V4 => libc::AF_INET,
            Self::V6 => libc::AF_INET6,
        };
        u8::try_from(number).unwrap_or_default()
    }
}

/// A policy rule: what carries `mark` is routed by `table`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) family: Family,
    pub(crate) priority: u32,
    pub(crate) mark: u32,
    pub(crate) table: u32,
}

/// The only route of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) family: Family,
    pub(crate) table: u32,
    /// The source of sockets that have none, if packets end on this machine; without it nothing is reachable.
    pub(crate) source: Option<IpAddr>,
}

impl Rule {
    /// Removes one rule of this priority to this table, whatever its mark.
    pub(crate) fn delete(&self) -> Message {
        self.builder(RTM_DELRULE, 0).end()
    }

    pub(crate) fn add(&self) -> Message {
        const FRA_FWMARK: u16 = 10;
        const FRA_FWMASK: u16 = 16;
        self.builder(RTM_NEWRULE, CREATE | EXCLUSIVE)
            .word(FRA_FWMARK, self.mark)
            .word(FRA_FWMASK, u32::MAX)
            .end()
    }

    fn builder(&self, kind: u16, flags: u16) -> Builder {
        const TO_TABLE: u8 = 1;
        const FRA_PRIORITY: u16 = 6;
        const FRA_TABLE: u16 = 15;
        let header = [
            self.family.number(),
            0,
            0,
            0,
            TABLE_BY_ATTRIBUTE,
            0,
            0,
            TO_TABLE,
            0,
            0,
            0,
            0,
        ];
        Builder::new(kind, flags, &header)
            .word(FRA_PRIORITY, self.priority)
            .word(FRA_TABLE, self.table)
    }
}

impl Route {
    pub(crate) fn replace(&self) -> Message {
        const RTA_OIF: u16 = 4;
        const RTA_PREFSRC: u16 = 7;
        let builder = Builder::new(RTM_NEWROUTE, CREATE | REPLACE, &self.header())
            .word(RTA_TABLE, self.table);
        match self.source {
            Some(source) => builder.word(RTA_OIF, LO).address(RTA_PREFSRC, source).end(),
            None => builder.end(),
        }
    }

    /// Removes the route of either kind, whatever its source.
    pub(crate) fn delete(&self) -> Message {
        const SCOPE_ANY: u8 = 255;
        let mut header = self.header();
        header[6] = SCOPE_ANY;
        header[7] = 0;
        Builder::new(RTM_DELROUTE, 0, &header)
            .word(RTA_TABLE, self.table)
            .end()
    }

    fn header(&self) -> [u8; 12] {
        const SCOPE_HOST: u8 = 254;
        let (scope, kind) = match self.source {
            Some(_) => (SCOPE_HOST, LOCAL),
            None => (0, UNREACHABLE),
        };
        [
            self.family.number(),
            0,
            0,
            0,
            TABLE_BY_ATTRIBUTE,
            STATIC,
            scope,
            kind,
            0,
            0,
            0,
            0,
        ]
    }
}

/// Asks for all routes of a family.
pub(crate) fn routes(family: Family) -> Message {
    let mut header = [0; 12];
    header[0] = family.number();
    Builder::new(RTM_GETROUTE, LIST, &header).end()
}

/// Whether a message of a list is a route in `table` that [`Route`] would not write.
pub(crate) fn is_route_of_others(message: &[u8], table: u32) -> bool {
    let Some([_, bits, _, _, _, protocol, _, kind, ..]) = message.get(HEADER_BYTES..) else {
        return false;
    };
    let ours = *bits == 0 && *protocol == STATIC && [LOCAL, UNREACHABLE].contains(kind);
    let mut left = message.get(HEADER_BYTES + 12..).unwrap_or_default();
    while let [a, b, c, d, rest @ ..] = left {
        let length = usize::from(u16::from_ne_bytes([*a, *b]));
        let value = length.checked_sub(4).and_then(|length| rest.get(..length));
        let Some(value) = value else { break };
        if u16::from_ne_bytes([*c, *d]) == RTA_TABLE && value == table.to_ne_bytes() {
            return !ours;
        }
        left = left.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

/// The first of several messages, and the rest.
pub(super) fn split(messages: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = messages.first_chunk::<4>()?;
    let length = usize::try_from(u32::from_ne_bytes(*length)).ok()?;
    let one = messages
        .get(..length)
        .filter(|one| one.len() >= HEADER_BYTES)?;
    let rest = messages.get(length.next_multiple_of(4)..);
    Some((one, rest.unwrap_or_default()))
}

/// The type of a whole message.
pub(super) fn kind(message: &[u8]) -> u16 {
    match message {
        [_, _, _, _, a, b, ..] => u16::from_ne_bytes([*a, *b]),
        _ => 0,
    }
}

/// Brings `lo` up.
pub(crate) fn lo_up() -> Message {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&LO.to_ne_bytes());
    header[8..12].copy_from_slice(&UP.to_ne_bytes());
    header[12..16].copy_from_slice(&UP.to_ne_bytes());
    Builder::new(RTM_NEWLINK, 0, &header).end()
}

/// Gives `lo` one more address.
pub(crate) fn lo_address(address: IpAddr) -> Message {
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    let (family, bits) = match address {
        IpAddr::V4(_) => (Family::V4, 32),
        IpAddr::V6(_) => (Family::V6, 128),
    };
    let mut header = [family.number(), bits, 0, 0, 0, 0, 0, 0];
    header[4..8].copy_from_slice(&LO.to_ne_bytes());
    Builder::new(RTM_NEWADDR, CREATE | EXCLUSIVE, &header)
        .address(IFA_LOCAL, address)
        .address(IFA_ADDRESS, address)
        .end()
}

impl Message {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A message that grows by attributes; lengths are filled in at its end.
struct Builder(Vec<u8>);

impl Builder {
    fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((REQUEST | ACK | flags).to_ne_bytes());
        // Sequence and port: there is one request at a time, and the kernel knows from whom.
        bytes.extend([0; 8]);
        bytes.extend(header);
        Self(bytes)
    }

    fn word(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    fn address(self, kind: u16, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.attribute(kind, &address.octets()),
            IpAddr::V6(address) => self.attribute(kind, &address.octets()),
        }
    }

    /// Values here are of four or sixteen bytes, so that nothing has to be padded.
    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self
    }

    fn end(mut self) -> Message {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        Message(self.0)
    }
}
