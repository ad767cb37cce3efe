//! The endpoints of one service, kept so that one is drawn at random by weight without looking at the others.
//!
//! In: workloads that list the service. Out: one of them, or all. Never: reads a clock or a random source.
//!
//! A clone is O(1); a change and a draw are O(log n) with base 32, so that one endpoint of thousands may come
//! and go without the others being touched. Health is weighed at the draw: a service that changes its health
//! policy, or arrives after its endpoints, changes nothing here.

use std::{fmt, sync::Arc};

use crate::{
    name::Uid,
    pmap::PersistentMap,
    service::HealthPolicy,
    workload::{Health, Workload},
};

mod tree;

use tree::Tree;

/// The workloads that list one service.
#[derive(Clone, Default)]
pub struct Endpoints {
    tree: Tree,
    position_by_uid: PersistentMap<Uid, usize>,
}

impl Endpoints {
    /// How many there are, whether eligible or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, in an order that depends on the changes that led here and on nothing else.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.tree.iter()
    }

    /// The one of a name.
    #[must_use]
    pub fn get(&self, uid: &Uid) -> Option<&Arc<Workload>> {
        self.tree.get(*self.position_by_uid.get(uid)?)
    }

    /// The sum of [`weight`] over all of them; 0 means that [`Self::draw`] yields nothing.
    #[must_use]
    pub fn weight(&self, policy: HealthPolicy) -> u64 {
        self.tree.weight().of(policy)
    }

    /// One of them, each with the probability of its [`weight`] in the sum of all.
    ///
    /// `random` is uniform over all of `u64`; equal values draw the same endpoint.
    #[must_use]
    pub fn draw(&self, policy: HealthPolicy, random: u64) -> Option<&Arc<Workload>> {
        self.tree.at(policy, scale(random, self.weight(policy))?)
    }

    /// Adds an endpoint or replaces the one of its name.
    pub(crate) fn insert(&mut self, workload: Arc<Workload>) {
        if let Some(&position) = self.position_by_uid.get(&workload.uid) {
            self.tree.set(position, workload);
        } else {
            self.position_by_uid
                .insert(workload.uid.clone(), self.tree.len());
            self.tree.push(workload);
        }
    }

    /// Takes an endpoint out; the last one moves to its place.
    pub(crate) fn remove(&mut self, uid: &Uid) {
        let Some(position) = self.position_by_uid.remove(uid) else {
            return;
        };
        let Some(last) = self.tree.pop() else { return };
        if last.uid != *uid {
            self.position_by_uid.insert(last.uid.clone(), position);
            self.tree.set(position, last);
        }
    }
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|workload| &workload.uid))
            .finish()
    }
}

/// A workload's share of a service's connections: its capacity, or 0 where it is not eligible.
#[must_use]
pub fn weight(workload: &Workload, policy: HealthPolicy) -> u64 {
    match (workload.health, policy) {
        (Health::Healthy, _) | (Health::Unhealthy, HealthPolicy::AllowAll) => {
            u64::from(workload.capacity)
        }
        (Health::Unhealthy, HealthPolicy::OnlyHealthy) => 0,
    }
}

/// Brings a number that is uniform over all of `u64` below `total`; `None` where nothing is below it.
#[must_use]
pub fn scale(random: u64, total: u64) -> Option<u64> {
    // The high half of the product; its bias is below total / 2^64.
    let product = (u128::from(random) * u128::from(total)) >> 64;
    (total > 0).then(|| u64::try_from(product).unwrap_or(0))
}

#[cfg(test)]
mod tests;
