//! Workloads by something that one of them should have for itself, and sometimes several claim: an address, a pod's names.
//!
//! In: workloads that come and go. Out: the one that is believed. Never: forgets a claim that was not withdrawn.

use std::{
    hash::{BuildHasher, Hash},
    net::IpAddr,
    sync::Arc,
};

use crate::{
    name::{Name, Namespace, Network, ServiceAccount},
    pmap::{Equivalent, PersistentMap},
    workload::{Health, NetworkMode, Workload},
};

/// Those that claim one thing; nearly always one.
#[derive(Clone)]
struct Claimants {
    best: Arc<Workload>,
    /// In the order of their arrival among those of equal rank.
    others: Option<Arc<Vec<Arc<Workload>>>>,
}

/// What decides between two claims; the later of two equal ones wins.
fn rank(workload: &Workload) -> (bool, bool) {
    // The uids of pods are <cluster>//Pod/<namespace>/<name>; others may describe the same address a second time.
    (
        workload.uid.contains("//Pod/"),
        workload.health == Health::Healthy,
    )
}

impl Claimants {
    fn all(&self) -> impl Iterator<Item = &Arc<Workload>> {
        std::iter::once(&self.best).chain(self.others.iter().flat_map(|others| others.iter()))
    }

    /// Adds one that is not among them.
    fn insert(&mut self, workload: &Arc<Workload>) {
        let mut other = Arc::clone(workload);
        if rank(&other) >= rank(&self.best) {
            // All of the same rank that came before are among the others already: the order of arrival holds.
            std::mem::swap(&mut other, &mut self.best);
        }
        Arc::make_mut(self.others.get_or_insert_default()).push(other);
    }

    /// Takes one out; says whether none is left.
    fn remove(&mut self, workload: &Workload) -> Remaining {
        let Some(others) = &mut self.others else {
            return if self.best.uid == workload.uid {
                Remaining::None
            } else {
                Remaining::Some
            };
        };
        let others = Arc::make_mut(others);
        if self.best.uid == workload.uid {
            // The last of the highest rank is the latest of them.
            let next = others
                .iter()
                .enumerate()
                .max_by_key(|(_, other)| rank(other))
                .map(|(index, _)| index);
            let Some(next) = next else {
                return Remaining::None;
            };
            self.best = others.remove(next);
        } else {
            others.retain(|other| other.uid != workload.uid);
        }
        if others.is_empty() {
            self.others = None;
        }
        Remaining::Some
    }
}

enum Remaining {
    None,
    Some,
}

fn insert<K: Hash + Eq + Clone, S: BuildHasher>(
    map: &mut PersistentMap<K, Claimants, S>,
    key: K,
    workload: &Arc<Workload>,
) {
    if let Some(claimants) = map.get_mut(&key) {
        claimants.insert(workload);
    } else {
        map.insert(
            key,
            Claimants {
                best: Arc::clone(workload),
                others: None,
            },
        );
    }
}

fn remove<K: Hash + Eq + Clone, S: BuildHasher>(
    map: &mut PersistentMap<K, Claimants, S>,
    key: &K,
    workload: &Workload,
) {
    if let Some(claimants) = map.get_mut(key) {
        match claimants.remove(workload) {
            Remaining::None => drop(map.remove(key)),
            Remaining::Some => {}
        }
    }
}

/// Workloads by address.
#[derive(Clone, Default)]
pub(super) struct AddressIndex(PersistentMap<Address, Claimants>);

/// An address of a network.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Address {
    pub(super) network: Network,
    pub(super) ip: IpAddr,
}

/// Finds an [`Address`] without owning one.
#[derive(Hash)]
pub(super) struct AddressRef<'a> {
    pub(super) network: &'a Network,
    pub(super) ip: IpAddr,
}

impl Equivalent<Address> for AddressRef<'_> {
    fn equivalent(&self, key: &Address) -> bool {
        self.ip == key.ip && *self.network == key.network
    }
}

/// The addresses that a workload has to itself, each once.
fn addresses(workload: &Workload) -> impl Iterator<Item = Address> {
    let ips = match workload.network_mode {
        NetworkMode::Standard => &*workload.ips,
        NetworkMode::HostNetwork => &[],
    };
    ips.iter()
        .enumerate()
        .filter(|(index, ip)| !ips[..*index].contains(ip))
        .map(|(_, ip)| Address {
            network: workload.network.clone(),
            ip: *ip,
        })
}

impl AddressIndex {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn best(&self, network: &Network, ip: IpAddr) -> Option<&Arc<Workload>> {
        self.0
            .get(&AddressRef { network, ip })
            .map(|claimants| &claimants.best)
    }

    pub(super) fn insert(&mut self, workload: &Arc<Workload>) {
        for address in addresses(workload) {
            insert(&mut self.0, address, workload);
        }
    }

    pub(super) fn remove(&mut self, workload: &Workload) {
        for address in addresses(workload) {
            remove(&mut self.0, &address, workload);
        }
    }
}

/// Workloads by what a CNI agent knows of their pod.
#[derive(Clone, Default)]
pub(super) struct PodIndex(PersistentMap<Pod, Claimants>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Pod {
    namespace: Namespace,
    name: Name,
    service_account: ServiceAccount,
}

/// Finds a [`Pod`] without owning one.
#[derive(Hash)]
struct PodRef<'a> {
    namespace: &'a str,
    name: &'a str,
    service_account: &'a str,
}

impl Equivalent<Pod> for PodRef<'_> {
    fn equivalent(&self, key: &Pod) -> bool {
        *self.namespace == *key.namespace
            && *self.name == *key.name
            && *self.service_account == *key.service_account
    }
}

fn pod(workload: &Workload) -> Pod {
    Pod {
        namespace: workload.namespace.clone(),
        name: workload.name.clone(),
        service_account: workload.service_account.clone(),
    }
}

impl PodIndex {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn all(
        &self,
        namespace: &str,
        name: &str,
        service_account: &str,
    ) -> impl Iterator<Item = &Arc<Workload>> + use<'_> {
        self.0
            .get(&PodRef {
                namespace,
                name,
                service_account,
            })
            .into_iter()
            .flat_map(Claimants::all)
    }

    pub(super) fn insert(&mut self, workload: &Arc<Workload>) {
        insert(&mut self.0, pod(workload), workload);
    }

    pub(super) fn remove(&mut self, workload: &Workload) {
        remove(&mut self.0, &pod(workload), workload);
    }
}
