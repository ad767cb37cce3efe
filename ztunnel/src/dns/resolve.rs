//! The answer to a question, from a snapshot alone.
//!
//! In: a snapshot, who asks, the question, random numbers. Out: records, or that somebody else must be asked.
//! Never: waits, reads a clock, touches a socket.

use std::{net::IpAddr, sync::Arc};

use decision::outbound::Family;
use hickory_proto::{
    op::Query,
    rr::{
        DNSClass, Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME},
    },
};
use mesh::{
    Hostname, Namespace, Network, Service,
    service::{HealthPolicy, IpFamilies, NetworkAddress, Visibility},
    snapshot::Snapshot,
    workload::Health,
};

use super::name::{Candidate, candidates, hostname, wildcards};

/// How long a client may keep what the mesh answered. Units: seconds. Source: Istio.
const TTL_SECONDS: u32 = 30;
/// Addresses in one answer: about what 64 KiB hold.
const MAX_ADDRESSES: usize = 4000;
/// Names that are resolved for one answer; what further endpoints are called is left out.
const MAX_NAMES: usize = 16;

/// What all answers of this ztunnel have in common.
#[derive(Clone, Debug)]
pub struct Zone {
    /// The cluster's domain, lower case, without dots at its ends.
    pub domain: String,
    /// The namespace whose services win after the client's own.
    pub preferred_namespace: Option<Namespace>,
    /// Whether IPv6 addresses are answered at all.
    pub ipv6: bool,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Client {
    /// The pod's namespace.
    pub namespace: Namespace,
    /// The pod's network.
    pub network: Network,
}

/// What is to be said.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The mesh knows the name. **Shape:** at most one CNAME first, then addresses of the asked family in random
    /// order; none where the name has no address of that family, which is not the same as no such name.
    Records(Vec<Record>),
    /// The mesh knows the name, and that it stands for others, whose addresses must be asked for first.
    Lookup(Box<Pending>),
    /// The mesh does not: a server upstream must be asked.
    Forward,
}

/// An answer to which addresses of other names belong.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    name: Name,
    /// What the name is an alias of.
    canonical: Option<Name>,
    family: Family,
    addresses: Vec<IpAddr>,
    names: Vec<Hostname>,
}

impl Pending {
    /// The names to resolve. **Shape:** never none, none twice, few.
    #[must_use]
    pub fn names(&self) -> &[Hostname] {
        &self.names
    }

    /// Whether some addresses are known without resolving a name.
    #[must_use]
    pub fn has_addresses(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// The family whose addresses are wanted.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The whole answer, given the addresses of the names and how long they hold. **Units:** seconds.
    #[must_use]
    pub fn records(
        self,
        resolved: impl IntoIterator<Item = IpAddr>,
        ttl: u32,
        random: &mut dyn FnMut() -> u64,
    ) -> Vec<Record> {
        let ttl = ttl.min(TTL_SECONDS);
        let mut addresses = self.addresses;
        addresses.extend(resolved);
        shuffle(&mut addresses, random);
        addresses.truncate(MAX_ADDRESSES);

        let mut records = Vec::with_capacity(addresses.len() + 1);
        let mut owner = self.name;
        if let (Some(canonical), false) = (self.canonical, addresses.is_empty()) {
            let alias = std::mem::replace(&mut owner, canonical.clone());
            records.push(Record::from_rdata(
                alias,
                ttl,
                RData::CNAME(CNAME(canonical)),
            ));
        }
        records.extend(addresses.into_iter().map(|address| {
            let data = match address {
                IpAddr::V4(ip) => RData::A(A(ip)),
                IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
            };
            Record::from_rdata(owner.clone(), ttl, data)
        }));
        records
    }
}

/// Answers a question.
///
/// Only A and AAAA of class IN are the mesh's to answer. `random` is uniform over all of `u64`.
#[must_use]
pub fn answer(
    snapshot: &Snapshot,
    zone: &Zone,
    client: &Client,
    question: &Query,
    random: &mut dyn FnMut() -> u64,
) -> Answer {
    let ipv6 = question.query_type == RecordType::AAAA;
    if !(ipv6 || question.query_type == RecordType::A) || question.query_class != DNSClass::IN {
        return Answer::Forward;
    }
    let Some(host) = hostname(&question.name) else {
        return Answer::Forward;
    };
    let Some(found) = find(snapshot, zone, client, &host) else {
        return Answer::Forward;
    };
    let canonical = match found.candidate.stripped {
        // A wildcard has no name of its own that an alias could point to.
        Some(labels) if !found.wildcard => match first_labels(&question.name, labels) {
            Some(canonical) => Some(canonical),
            None => return Answer::Forward,
        },
        Some(_) | None => None,
    };
    let (addresses, names) = addresses(snapshot, zone, client, &found.service, ipv6);
    let pending = Pending {
        name: question.name.clone(),
        canonical,
        family: if ipv6 { Family::Ipv6 } else { Family::Ipv4 },
        addresses,
        names,
    };
    if pending.names.is_empty() {
        Answer::Records(pending.records([], TTL_SECONDS, random))
    } else {
        Answer::Lookup(Box::new(pending))
    }
}

/// A service and how it was found.
struct Found {
    service: Arc<Service>,
    candidate: Candidate,
    wildcard: bool,
}

fn find(snapshot: &Snapshot, zone: &Zone, client: &Client, host: &str) -> Option<Found> {
    candidates(host, &client.namespace, &zone.domain)
        .into_iter()
        .find_map(|candidate| {
            let (service, wildcard) =
                wildcards(&candidate.host)
                    .enumerate()
                    .find_map(|(index, name)| {
                        let service = best(snapshot.services_by_hostname(&name), zone, client)?;
                        Some((Arc::clone(service), index > 0))
                    })?;
            Some(Found {
                service,
                candidate,
                wildcard,
            })
        })
}

/// The service that this client means, among those that share a hostname and can be answered.
fn best<'a>(
    services: &'a [Arc<Service>],
    zone: &Zone,
    client: &Client,
) -> Option<&'a Arc<Service>> {
    let rank = |service: &Service| {
        if service.namespace == client.namespace {
            0
        } else if zone.preferred_namespace.as_ref() == Some(&service.namespace) {
            1
        } else if service.canonical {
            2
        } else {
            3
        }
    };
    services
        .iter()
        .filter(|service| {
            is_visible(service, client)
                && (has_address(service) || is_headless(service, &zone.domain))
        })
        // The first by namespace of equals: answers must not depend on the order of delivery.
        .min_by(|one, other| (rank(one), &*one.namespace).cmp(&(rank(other), &*other.namespace)))
}

fn is_visible(service: &Service, client: &Client) -> bool {
    match service.visibility {
        Visibility::Public => true,
        Visibility::Namespace => service.namespace == client.namespace,
    }
}

/// Whether it has a VIP that one can connect to; a range is none.
fn has_address(service: &Service) -> bool {
    service.vips.iter().any(is_single)
}

fn is_single(vip: &NetworkAddress) -> bool {
    let full = if vip.ip.is_ipv4() { 32 } else { 128 };
    vip.prefix_length.is_none_or(|length| length >= full)
}

/// Whether it is a Kubernetes service without VIP. Anything else without one has its addresses upstream.
fn is_headless(service: &Service, domain: &str) -> bool {
    let suffix = service.hostname.strip_suffix(domain);
    service.vips.is_empty() && suffix.is_some_and(|name| name.ends_with(".svc."))
}

/// The addresses of a service, and the names of those of its endpoints that have no address at all.
fn addresses(
    snapshot: &Snapshot,
    zone: &Zone,
    client: &Client,
    service: &Service,
    ipv6: bool,
) -> (Vec<IpAddr>, Vec<Hostname>) {
    let allowed = match service.ip_families {
        IpFamilies::Automatic | IpFamilies::Dual => true,
        IpFamilies::Ipv4Only => !ipv6,
        IpFamilies::Ipv6Only => ipv6,
    };
    if !allowed || (ipv6 && !zone.ipv6) {
        return (Vec::new(), Vec::new());
    }
    if has_address(service) {
        let vips = service
            .vips
            .iter()
            .filter(|vip| is_single(vip) && vip.network == client.network);
        let ips = vips.map(|vip| vip.ip).filter(|ip| ip.is_ipv6() == ipv6);
        return (ips.collect(), Vec::new());
    }
    let all = service.load_balancing.health_policy == HealthPolicy::AllowAll;
    let (mut ips, mut names) = (Vec::new(), Vec::new());
    let endpoints = snapshot.endpoints(&service.key());
    for workload in endpoints.iter().flat_map(|endpoints| endpoints.iter()) {
        if workload.network != client.network || !(all || workload.health == Health::Healthy) {
            continue;
        }
        // One of each: a pod with two addresses is still one endpoint.
        ips.extend(workload.ips.iter().find(|ip| ip.is_ipv6() == ipv6));
        let is_name = workload.ips.is_empty() && !workload.hostname.is_empty();
        // One that bears the service's own name would lead back here.
        if is_name
            && workload.hostname != service.hostname
            && names.len() < MAX_NAMES
            && !names.contains(&workload.hostname)
        {
            names.push(workload.hostname.clone());
        }
    }
    (ips, names)
}

/// The first labels of a name, as the client wrote them.
fn first_labels(name: &Name, labels: usize) -> Option<Name> {
    let mut short = Name::from_labels(name.iter().take(labels)).ok()?;
    short.set_fqdn(true);
    Some(short)
}

/// Fisher-Yates. The bias of the remainder is below 2^-50.
fn shuffle(addresses: &mut [IpAddr], random: &mut dyn FnMut() -> u64) {
    for last in (1..addresses.len()).rev() {
        let bound = u64::try_from(last + 1).unwrap_or(u64::MAX);
        addresses.swap(last, usize::try_from(random() % bound).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests;
