//! Backends that are ports of workloads, and how many one workload may have.
//!
//! In: ports that are asked for. Out: which one makes room for another. Never: one that is in use.
//!
//! A client may name any port of a workload that it may reach, so one client could make as many backends as there are
//! ports: it makes as many as a workload may have, and what is used least goes first.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use mesh::Uid;

use crate::upstream::{breaker::Limit, cluster::Cluster};

/// Ports of one workload that are backends at once. Reason: a workload serves a few; one with more than this in use at
/// once is being searched.
pub(super) const MAX_PORTS: usize = 64;

/// One port.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) cluster: Arc<Cluster>,
    /// The turn in which it was asked for last.
    turn: AtomicU64,
}

/// All ports, by workload.
#[derive(Debug, Default)]
pub(super) struct Ports(HashMap<Uid, Vec<Arc<Port>>>);

/// Whether there is room for another port of a workload.
#[derive(Debug)]
pub(super) enum Room {
    Free,
    /// Once this one is gone.
    Instead(Arc<Cluster>),
    /// All are in use.
    None,
}

impl Port {
    pub(super) fn new(cluster: Arc<Cluster>, turn: u64) -> Arc<Self> {
        let turn = AtomicU64::new(turn);
        Arc::new(Self { cluster, turn })
    }

    /// It is asked for. `turn`: how many ports had to be made so far, so that the order is known of those that matter: what
    /// was asked for since the last one was made.
    pub(super) fn touch(&self, turn: u64) {
        self.cluster.touch();
        // Read first: threads must not take each other's cache for every request.
        if self.turn.load(Relaxed) != turn {
            self.turn.store(turn, Relaxed);
        }
    }

    fn is_idle(&self) -> bool {
        let breakers = self.cluster.breakers();
        breakers.count(Limit::Requests) == 0
            && breakers.count(Limit::Pending) == 0
            && self.cluster.hosts().iter().all(|host| host.active() == 0)
    }
}

impl Ports {
    pub(super) fn room(&self, workload: &Uid) -> Room {
        let Some(ports) = self
            .0
            .get(workload)
            .filter(|ports| ports.len() >= MAX_PORTS)
        else {
            return Room::Free;
        };
        let idle = ports.iter().filter(|port| port.is_idle());
        match idle.min_by_key(|port| port.turn.load(Relaxed)) {
            Some(port) => Room::Instead(Arc::clone(&port.cluster)),
            None => Room::None,
        }
    }

    pub(super) fn insert(&mut self, workload: &Uid, port: Arc<Port>) {
        self.0.entry(workload.clone()).or_default().push(port);
    }

    pub(super) fn remove(&mut self, workload: &Uid, cluster: &Arc<Cluster>) {
        if let Some(ports) = self.0.get_mut(workload) {
            ports.retain(|port| !Arc::ptr_eq(&port.cluster, cluster));
            if ports.is_empty() {
                self.0.remove(workload);
            }
        }
    }
}
