//! Services by virtual address, single addresses and whole ranges.
//!
//! In: services that come and go. Out: the one that a client means by an address.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use super::{
    claimants::{Address, AddressRef},
    owners::Owners,
};
use crate::{
    name::{Namespace, Network},
    pmap::{Equivalent, PersistentMap},
    service::{NetworkAddress, Service},
};

#[derive(Clone, Default)]
pub(super) struct VipIndex {
    by_address: PersistentMap<Address, Owners>,
    by_range: PersistentMap<Range, Owners>,
    /// Which prefix lengths a network has ranges of, and how many of each.
    prefixes: PersistentMap<Family, Arc<BTreeMap<u8, usize>>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Range {
    network: Network,
    /// Without host bits.
    range: IpNet,
}

/// Finds a [`Range`] without owning one.
#[derive(Hash)]
struct RangeRef<'a> {
    network: &'a Network,
    range: IpNet,
}

impl Equivalent<Range> for RangeRef<'_> {
    fn equivalent(&self, key: &Range) -> bool {
        self.range == key.range && *self.network == key.network
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Family {
    network: Network,
    ipv6: bool,
}

/// Finds a [`Family`] without owning one.
#[derive(Hash)]
struct FamilyRef<'a> {
    network: &'a Network,
    ipv6: bool,
}

impl Equivalent<Family> for FamilyRef<'_> {
    fn equivalent(&self, key: &Family) -> bool {
        self.ipv6 == key.ipv6 && *self.network == key.network
    }
}

#[derive(PartialEq)]
enum Vip {
    Address(Address),
    Range(Range),
}

/// What a VIP is looked up by; nothing where its prefix is longer than its family's addresses.
fn vip(vip: &NetworkAddress) -> Option<Vip> {
    let network = vip.network.clone();
    let Some(length) = vip.prefix_length else {
        return Some(Vip::Address(Address {
            network,
            ip: vip.ip,
        }));
    };
    let range = IpNet::new(vip.ip, length).ok()?.trunc();
    Some(if range.prefix_len() == range.max_prefix_len() {
        Vip::Address(Address {
            network,
            ip: vip.ip,
        })
    } else {
        Vip::Range(Range { network, range })
    })
}

/// The VIPs of a service, each once.
fn vips(service: &Service) -> Vec<Vip> {
    let mut vips = Vec::with_capacity(service.vips.len());
    for vip in service.vips.iter().filter_map(vip) {
        if !vips.contains(&vip) {
            vips.push(vip);
        }
    }
    vips
}

impl VipIndex {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_address.is_empty() && self.by_range.is_empty() && self.prefixes.is_empty()
    }

    pub(super) fn lookup(
        &self,
        network: &Network,
        ip: IpAddr,
        client: &Namespace,
    ) -> Option<&Arc<Service>> {
        if let Some(owners) = self.by_address.get(&AddressRef { network, ip })
            && let Some(service) = owners.own(client).or(owners.public())
        {
            return Some(service);
        }
        let mut public = None;
        let prefixes = self.prefixes.get(&FamilyRef {
            network,
            ipv6: ip.is_ipv6(),
        })?;
        for &length in prefixes.keys().rev() {
            let range = IpNet::new(ip, length).ok()?.trunc();
            let Some(owners) = self.by_range.get(&RangeRef { network, range }) else {
                continue;
            };
            if let Some(service) = owners.own(client) {
                return Some(service);
            }
            public = public.or(owners.public());
        }
        public
    }

    /// Whether any service owns just this address, not merely a range that holds it.
    pub(super) fn owns(&self, network: &Network, ip: IpAddr) -> bool {
        self.by_address.contains_key(&AddressRef { network, ip })
    }

    pub(super) fn insert(&mut self, service: &Arc<Service>) {
        for vip in vips(service) {
            match vip {
                Vip::Address(address) => Owners::add(&mut self.by_address, address, service),
                Vip::Range(range) => {
                    if !self.by_range.contains_key(&range) {
                        self.count(&range);
                    }
                    Owners::add(&mut self.by_range, range, service);
                }
            }
        }
    }

    pub(super) fn remove(&mut self, service: &Service) {
        for vip in vips(service) {
            match vip {
                Vip::Address(address) => {
                    Owners::take(&mut self.by_address, &address, service);
                }
                Vip::Range(range) => {
                    if Owners::take(&mut self.by_range, &range, service) {
                        self.discount(&range);
                    }
                }
            }
        }
    }

    fn count(&mut self, range: &Range) {
        let family = Family {
            network: range.network.clone(),
            ipv6: range.range.addr().is_ipv6(),
        };
        let length = range.range.prefix_len();
        if let Some(lengths) = self.prefixes.get_mut(&family) {
            *Arc::make_mut(lengths).entry(length).or_default() += 1;
        } else {
            self.prefixes
                .insert(family, Arc::new(BTreeMap::from([(length, 1)])));
        }
    }

    fn discount(&mut self, range: &Range) {
        let family = Family {
            network: range.network.clone(),
            ipv6: range.range.addr().is_ipv6(),
        };
        let length = range.range.prefix_len();
        let Some(lengths) = self.prefixes.get_mut(&family) else {
            return;
        };
        let lengths = Arc::make_mut(lengths);
        if let Some(count) = lengths.get_mut(&length) {
            *count -= 1;
            if *count == 0 {
                lengths.remove(&length);
            }
        }
        if lengths.is_empty() {
            self.prefixes.remove(&family);
        }
    }
}
