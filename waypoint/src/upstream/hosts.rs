//! Which endpoints a backend has, read from a snapshot.
//!
//! In: a snapshot, the name of a backend, addresses of names. Out: what each endpoint is to be, in an order that depends
//! on nothing but them. Never: a connection, a resolver.
//!
//! An endpoint of another network is none: it would be reached through that network's gateway, which is not built.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
    sync::Arc,
};

use decision::outbound::HBONE_PORT;
use http::Uri;
use mesh::{
    San, Service, Snapshot, Workload,
    endpoints::weight,
    route::Backend,
    service::{HealthPolicy, IpFamilies},
    workload::Tunnel,
};

use crate::{
    proxy::Own,
    upstream::{
        host::{HostKey, Way},
        names::Names,
    },
};

/// What an endpoint is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) key: HostKey,
    pub(super) way: Way,
    pub(super) workload: Arc<Workload>,
    pub(super) weight: u32,
}

/// Endpoints, and whether names among them have not been resolved yet.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) hosts: Vec<Wanted>,
    /// Some of them are known by name.
    pub(super) has_names: bool,
    /// A name that nobody has asked for yet is among them.
    pub(super) is_waiting: bool,
}

/// The endpoints of a port of a service, or of a subset.
pub(super) fn of_backend(
    snapshot: &Snapshot,
    own: &Own,
    service: &Service,
    backend: &Backend,
    names: &Names,
) -> Found {
    let mut found = Found::default();
    let Some(endpoints) = snapshot.endpoints(&backend.service) else {
        return found;
    };
    let policy = service.load_balancing.health_policy;
    for workload in endpoints.iter() {
        let Some(share) = share(workload, policy) else {
            continue;
        };
        if workload.network != own.network
            || !workload.is_in_subset(&backend.service, &backend.subset)
        {
            continue;
        }
        let Some(port) = target(workload, service, backend) else {
            continue;
        };
        let mut add = |ip| {
            if !is_elsewhere(ip, own.instance_ip) {
                return;
            }
            let address = SocketAddr::new(ip, port);
            found
                .hosts
                .push(wanted(workload, address, Some(service), share));
        };
        let ip = ip_of(&workload.ips, service.ip_families, own.instance_ip);
        if let Some(ip) = ip {
            add(ip);
        } else if !workload.hostname.is_empty() {
            match names.addresses(&workload.hostname) {
                Some(ips) => fitting(&ips, service.ip_families, own.instance_ip).for_each(&mut add),
                None => found.is_waiting = true,
            }
            found.has_names = true;
        }
    }
    found.hosts.sort_by_key(|wanted| wanted.key.address);
    found
}

/// A workload by an address of its own.
pub(super) fn of_workload(workload: &Arc<Workload>, address: SocketAddr, own: &Own) -> Found {
    let host =
        is_elsewhere(address.ip(), own.instance_ip).then(|| wanted(workload, address, None, 1));
    Found {
        hosts: host.into_iter().collect(),
        ..Found::default()
    }
}

/// Its share of requests; `None` where it is to have none.
fn share(workload: &Workload, policy: HealthPolicy) -> Option<u32> {
    (weight(workload, policy) > 0).then_some(workload.capacity)
}

/// The port on which it serves; `None` where it does not.
fn target(workload: &Workload, service: &Service, backend: &Backend) -> Option<u16> {
    let ports = workload.services.get(&backend.service);
    let named = ports.and_then(|ports| ports.target(backend.port));
    // Without a number of its own in the service, the port has a name, which an endpoint may not have.
    named.or_else(|| {
        let target = service.ports.0.get(&backend.port).copied().flatten();
        target.map(NonZeroU16::get)
    })
}

/// Whether an address can be that of an endpoint: an entry whose author says `127.0.0.1` would lead requests to this process's own ports.
fn is_elsewhere(ip: IpAddr, own: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let is_here = ip.is_loopback() && !own.is_loopback();
    !is_here && !ip.is_unspecified() && !ip.is_multicast()
}

fn allows(families: IpFamilies, ip: IpAddr) -> bool {
    match families {
        IpFamilies::Automatic | IpFamilies::Dual => true,
        IpFamilies::Ipv4Only => ip.is_ipv4(),
        IpFamilies::Ipv6Only => ip.is_ipv6(),
    }
}

/// One address, of our own family where it has one.
fn ip_of(ips: &[IpAddr], families: IpFamilies, own: IpAddr) -> Option<IpAddr> {
    let mut fit = ips.iter().copied().filter(|ip| allows(families, *ip));
    let first = fit.clone().next()?;
    Some(
        fit.find(|ip| ip.is_ipv4() == own.is_ipv4())
            .unwrap_or(first),
    )
}

/// All addresses of a name, of our own family where it has one.
fn fitting(ips: &[IpAddr], families: IpFamilies, own: IpAddr) -> impl Iterator<Item = IpAddr> {
    let is_ours = |ip: &&IpAddr| ip.is_ipv4() == own.is_ipv4();
    let allowed: Vec<IpAddr> = ips
        .iter()
        .copied()
        .filter(|ip| allows(families, *ip))
        .collect();
    let ours: Vec<IpAddr> = allowed.iter().filter(is_ours).copied().collect();
    if ours.is_empty() { allowed } else { ours }.into_iter()
}

fn wanted(
    workload: &Arc<Workload>,
    address: SocketAddr,
    service: Option<&Service>,
    weight: u32,
) -> Wanted {
    Wanted {
        key: HostKey {
            uid: workload.uid.clone(),
            address,
        },
        way: way(workload, address, service),
        workload: Arc::clone(workload),
        weight,
    }
}

fn way(workload: &Workload, address: SocketAddr, service: Option<&Service>) -> Way {
    // An address with a port is always an authority.
    let authority = Uri::try_from(address.to_string());
    match (workload.tunnel, authority) {
        (Tunnel::Hbone, Ok(authority)) => Way::Hbone {
            peer: SocketAddr::new(address.ip(), HBONE_PORT),
            authority,
            expected: expected(workload, service),
        },
        (Tunnel::Hbone, Err(_)) | (Tunnel::None, _) => Way::Plain,
    }
}

/// Who may answer for a workload: itself, and whoever the service says.
fn expected(workload: &Workload, service: Option<&Service>) -> Vec<San> {
    let named = service
        .into_iter()
        .flat_map(|service| &service.subject_alt_names);
    let named = named.map(|name| San::from(name.as_str()));
    let mut expected: Vec<San> = named.chain([San::from(&workload.identity())]).collect();
    expected.sort_unstable();
    expected.dedup();
    expected
}

#[cfg(test)]
mod tests;
