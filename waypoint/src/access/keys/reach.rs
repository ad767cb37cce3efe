//! Which addresses hosts of keys may have.
//!
//! In: an address past the mesh that a name resolved to (whom the mesh knows is asked as the mesh says, and an endpoint on the waypoint itself is none). Out: whether it may be asked, or why not. Never: lets an author of policies reach through the waypoint what answers it alone:
//! its own ports, and the metadata services of clouds.
//!
//! An address of IPv6 that stands for one of IPv4 counts as both: mapped (`::ffff:0:0/96`), translated (`::ffff:0:0:0/96`) and compatible (`::/96`) ones, 6to4, and NAT64 by
//! its well-known prefix, which is how clusters without IPv4 reach the rest of the world. Where the address stands in NAT64 of local use (RFC 8215) is for each network to
//! say, so none of these is asked.
//!
//! Source: RFC 6890, RFC 6052 §2.1, RFC 8215, RFC 3056 §2; the metadata addresses of AWS, Google, Azure, Alibaba and Oracle.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// What nobody is asked at who is no link-local neighbour: networks, and what answers there.
const V4: &[(Ipv4Net, &str)] = &[
    (net4([0, 0, 0, 0], 8), "no address"),
    (net4([127, 0, 0, 0], 8), LOOPBACK),
    (net4([169, 254, 0, 0], 16), "link-local"),
    (net4([100, 100, 100, 200], 32), METADATA),
    (net4([168, 63, 129, 16], 32), METADATA),
    (net4([192, 0, 0, 192], 32), METADATA),
];

const V6: &[(Ipv6Net, &str)] = &[
    (net6([0; 8], 128), "no address"),
    (net6([0, 0, 0, 0, 0, 0, 0, 1], 128), LOOPBACK),
    (net6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local"),
    // All of the services of an instance.
    (net6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32), METADATA),
    (net6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), METADATA),
    (
        net6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),
        "NAT64 of local use",
    ),
];

/// Networks whose addresses end in one of IPv4.
const LAST: &[Ipv6Net] = &[
    net6([0; 8], 96),
    net6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),
    net6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96),
    net6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96),
];
const SIX_TO_FOUR: Ipv6Net = net6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16);

const LOOPBACK: &str = "the waypoint's own";
const METADATA: &str = "a metadata service's";

/// What may be asked beside everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nothing.
    Others,
    /// The waypoint's own addresses, too: for tests, whose hosts are there.
    Own,
}

/// Why an address may not be asked; `None`: it may. `own` is the waypoint's.
pub(super) fn refused(address: IpAddr, own: Option<IpAddr>, reach: Reach) -> Option<&'static str> {
    let is_own = own.is_some_and(|own| own.to_canonical() == address.to_canonical());
    let why = if is_own {
        Some(LOOPBACK)
    } else {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address, own),
        }
    };
    match reach {
        Reach::Others => why,
        Reach::Own => why.filter(|why| *why != LOOPBACK),
    }
}

fn of_v4(address: Ipv4Addr) -> Option<&'static str> {
    let found = V4.iter().find(|(net, _)| net.contains(&address));
    found.map(|(_, why)| *why)
}

fn of_v6(address: Ipv6Addr, own: Option<IpAddr>) -> Option<&'static str> {
    let found = V6.iter().find(|(net, _)| net.contains(&address));
    if let Some((_, why)) = found {
        return Some(why);
    }
    let within = inner(address)?;
    if own.is_some_and(|own| own.to_canonical() == IpAddr::V4(within)) {
        return Some(LOOPBACK);
    }
    of_v4(within)
}

/// The address of IPv4 that one of IPv6 stands for.
fn inner(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [_, b, c, _, _, _, g, h] = address.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    if LAST.iter().any(|net| net.contains(&address)) {
        Some(of(g, h))
    } else if SIX_TO_FOUR.contains(&address) {
        Some(of(b, c))
    } else {
        None
    }
}

const fn net4([a, b, c, d]: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn net6([a, b, c, d, e, f, g, h]: [u16; 8], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length)
}

#[cfg(test)]
mod tests;
