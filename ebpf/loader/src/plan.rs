//! What the programs are told of a pod. Pure.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::{NonZeroU16, NonZeroU32},
    ops::RangeInclusive,
};

pub use ebpf_abi::ports::{MAX_PORT_RANGES, MAX_RANGES};
use ebpf_abi::{
    Address, PodConfig, PortRange, Ports, SteerConfig, hooks::RangeKey, steer::MAX_OWN_ADDRESSES,
};
use ipnet::IpNet;

use crate::{Cookie, Error};

/// Bits in front of an IPv4 address in a v4-mapped one.
const MAPPED_BITS: u32 = 96;

/// How a pod is captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSettings {
    /// Addresses of the pod besides those that its interfaces have now; the first of each family is the source of
    /// captured sockets, if an interface has it.
    pub addresses: Vec<IpAddr>,
    /// Whether IPv6 is captured where the pod has it (`IPV6_ENABLED`).
    pub ipv6: bool,
    /// Whether DNS is captured (`DNS_CAPTURE`).
    pub dns: bool,
    /// Ports of the pod that are reached directly. Source: `traffic.sidecar.istio.io/excludeInboundPorts`.
    pub excluded_inbound_ports: Vec<RangeInclusive<u16>>,
    /// Ports that the pod reaches directly. Source: `traffic.sidecar.istio.io/excludeOutboundPorts`.
    pub excluded_outbound_ports: Vec<RangeInclusive<u16>>,
    /// Addresses that the pod reaches directly. Source: `traffic.sidecar.istio.io/excludeOutboundIPRanges`.
    pub excluded_outbound_ranges: Vec<IpNet>,
}

impl Default for PodSettings {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            ipv6: true,
            dns: false,
            excluded_inbound_ports: Vec::new(),
            excluded_outbound_ports: Vec::new(),
            excluded_outbound_ranges: Vec::new(),
        }
    }
}

/// A place of the trie of what is reached directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Direct {
    /// Bits of the key that count.
    pub(crate) bits: u32,
    /// The pod and the address.
    pub(crate) key: RangeKey,
    /// 1, or 0 where a range ends that a wider one would include.
    pub(crate) value: u32,
}

/// All that is written for one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The pod.
    pub(crate) cookie: Cookie,
    /// Whether IPv6 is captured: it is wanted, and the pod has it.
    pub(crate) ipv6: bool,
    /// The source of sockets without one.
    pub(crate) source_v4: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub(crate) source_v6: Option<Ipv6Addr>,
    /// For the hooks.
    pub(crate) hooks: PodConfig,
    /// For the steering program.
    pub(crate) steer: SteerConfig,
    /// The pod's own addresses.
    pub(crate) own: Vec<Address>,
    /// Ranges, and the pod's own addresses.
    pub(crate) direct: Vec<Direct>,
}

impl Plan {
    /// `interfaces` are the addresses in the pod's namespace, loopback among them; `port_dns` is where DNS is answered on
    /// 127.0.0.1 and `::1` there, if anybody does.
    pub(crate) fn new(
        cookie: Cookie,
        interfaces: &[IpAddr],
        mark: NonZeroU32,
        settings: &PodSettings,
        port_dns: Option<NonZeroU16>,
    ) -> Result<Self, Error> {
        let ipv6 = settings.ipv6 && interfaces.iter().any(IpAddr::is_ipv6);
        let own = own_addresses(interfaces, settings)?;
        let usable = |ip: &&IpAddr| interfaces.contains(ip);
        let source_v4 = own.iter().filter(usable).find_map(|ip| match ip {
            IpAddr::V4(ip) => Some(*ip),
            IpAddr::V6(_) => None,
        });
        let source_v6 = own.iter().filter(usable).find_map(|ip| match ip {
            IpAddr::V6(ip) if !ip.is_unicast_link_local() => Some(*ip),
            IpAddr::V6(_) | IpAddr::V4(_) => None,
        });
        let source = |ip: Option<IpAddr>| ip.map_or(Address::UNSPECIFIED, address);
        // One that gets IPv6 later has it closed until somebody enrols it again.
        let (of_hooks, of_steer) = match (settings.ipv6, ipv6) {
            (_, true) => (PodConfig::IPV6, SteerConfig::IPV6),
            (true, false) => (PodConfig::IPV6_CLOSED, SteerConfig::IPV6_CLOSED),
            (false, false) => (0, 0),
        };
        let dns = if settings.dns { PodConfig::DNS } else { 0 };
        let hooks = PodConfig {
            mark: mark.get(),
            flags: of_hooks | dns,
            port_dns: port_dns.map_or(0, NonZeroU16::get),
            reserved: 0,
            source_v4: source(source_v4.map(IpAddr::V4)),
            source_v6: source(source_v6.map(IpAddr::V6)),
            excluded: ports(
                "excluded outbound ranges of ports",
                &settings.excluded_outbound_ports,
            )?,
            spare: [0; 5],
        };
        let steer = SteerConfig {
            flags: of_steer,
            excluded: ports(
                "excluded inbound ranges of ports",
                &settings.excluded_inbound_ports,
            )?,
        };
        let direct = direct(cookie, &own, &settings.excluded_outbound_ranges)?;
        Ok(Self {
            cookie,
            ipv6,
            source_v4,
            source_v6,
            hooks,
            steer,
            own: own.into_iter().map(address).collect(),
            direct,
        })
    }
}

/// An address as the programs know it.
pub(crate) fn address(ip: IpAddr) -> Address {
    let octets = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(octets.as_chunks::<4>().0) {
        *word = u32::from_ne_bytes(*bytes);
    }
    Address(words)
}

fn own_addresses(interfaces: &[IpAddr], settings: &PodSettings) -> Result<Vec<IpAddr>, Error> {
    let mut own = Vec::new();
    for ip in settings.addresses.iter().chain(interfaces) {
        let ip = ip.to_canonical();
        if !ip.is_loopback() && !ip.is_unspecified() && !own.contains(&ip) {
            own.push(ip);
        }
    }
    bounded("addresses", own.len(), MAX_OWN_ADDRESSES)?;
    Ok(own)
}

fn ports(what: &'static str, ranges: &[RangeInclusive<u16>]) -> Result<Ports, Error> {
    bounded(what, ranges.len(), MAX_PORT_RANGES)?;
    let mut ports = Ports::NONE;
    for (place, range) in ports.0.iter_mut().zip(ranges) {
        let (first, last) = (*range.start(), *range.end());
        if first > last {
            return Err(Error::PortRange { first, last });
        }
        *place = PortRange { first, last };
    }
    Ok(ports)
}

fn direct(cookie: Cookie, own: &[IpAddr], ranges: &[IpNet]) -> Result<Vec<Direct>, Error> {
    bounded("excluded ranges of addresses", ranges.len(), MAX_RANGES)?;
    // By key, because a trie holds each once.
    let mut entries = BTreeMap::new();
    let mapped = Ipv6Addr::from_bits(0xffff_0000_0000);
    for range in ranges {
        let (ip, bits) = match range.trunc() {
            IpNet::V4(range) => (
                IpAddr::V4(range.network()),
                MAPPED_BITS + u32::from(range.prefix_len()),
            ),
            IpNet::V6(range) => {
                if range.contains(&mapped) && u32::from(range.prefix_len()) < MAPPED_BITS {
                    // It means no address of IPv4, which the trie would find in it.
                    let end = (MAPPED_BITS, address(mapped.into()).0);
                    entries.entry(end).or_insert(0);
                }
                (IpAddr::V6(range.network()), u32::from(range.prefix_len()))
            }
        };
        entries.insert((bits, address(ip).0), 1);
    }
    for ip in own {
        entries.insert((RangeKey::BITS - RangeKey::COOKIE_BITS, address(*ip).0), 1);
    }
    let entry = |((bits, words), value)| Direct {
        bits: RangeKey::COOKIE_BITS + bits,
        key: RangeKey::new(cookie.get(), Address(words)),
        value,
    };
    Ok(entries.into_iter().map(entry).collect())
}

fn bounded(what: &'static str, found: usize, max: usize) -> Result<(), Error> {
    if found > max {
        return Err(Error::TooMany { what, found, max });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
