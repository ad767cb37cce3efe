//! The endpoints of one service, kept so that one is drawn at random by weight without looking at the others.
//!
//! In: workloads that list the service, and what the service prefers. Out: one of them, of the best rank that a
//! client has, or all. Never: reads a clock or a random source.
//!
//! A clone is O(1); a change and a draw are O(log n) with base 32, so that one endpoint of thousands may come
//! and go without the others being touched. Health is weighed at the draw: a service that changes its health
//! policy, or arrives after its endpoints, changes nothing here. One that changes its routing preference has its
//! endpoints arranged anew, once.

use std::{fmt, sync::Arc};

use crate::{
    name::Uid,
    pmap::PersistentMap,
    service::{HealthPolicy, LoadBalancingMode},
    workload::{Health, Workload},
};

mod group;
mod preference;
mod tree;

use group::Group;
use preference::MAX_SCOPES;
pub use preference::Preference;
use tree::{Weighed, Weight};

/// The workloads that list one service.
#[derive(Clone)]
pub struct Endpoints {
    preference: Preference,
    root: Group,
    /// Within the innermost group that the workload belongs to.
    position_by_uid: PersistentMap<Uid, usize>,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self::new(Preference::default())
    }
}

impl Endpoints {
    /// None yet.
    pub(crate) fn new(preference: Preference) -> Self {
        Self {
            preference,
            root: Group::new(preference.scopes()),
            position_by_uid: PersistentMap::default(),
        }
    }

    /// How many there are, whether eligible or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.position_by_uid.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What they are ranked by.
    pub(crate) fn preference(&self) -> Preference {
        self.preference
    }

    /// All of them, in an order that depends on the changes that led here and on nothing else.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.root.iter()
    }

    /// The sum of [`weight`] over all of them; 0 means that [`Self::draw`] yields nothing.
    #[must_use]
    pub fn weight(&self, policy: HealthPolicy) -> u64 {
        Rank(&self.root).weight(policy)
    }

    /// One of them, each with the probability of its [`weight`] in the sum of all.
    ///
    /// `random` is uniform over all of `u64`; equal values draw the same endpoint.
    #[must_use]
    pub fn draw(&self, policy: HealthPolicy, random: u64) -> Option<&Arc<Workload>> {
        Rank(&self.root).draw(policy, random)
    }

    /// Those that `client` may be sent to, by how many leading scopes of the service's preference they share with it.
    ///
    /// **Shape:** the best rank first; every rank holds those before it, too, so that the first one with an eligible
    /// endpoint draws among the best. The last one holds all that may be chosen; strictly, there is one at most.
    pub fn ranks<'a>(
        &'a self,
        client: &Workload,
        mode: LoadBalancingMode,
    ) -> impl Iterator<Item = Rank<'a>> + use<'a> {
        let mut path = [None; MAX_SCOPES + 1];
        let mut group = Some(&self.root);
        for place in &mut path {
            *place = group.map(Rank);
            group = group.and_then(|group| group.nearer(client));
        }
        let strictly = match mode {
            LoadBalancingMode::Strict => true,
            LoadBalancingMode::Unspecified
            | LoadBalancingMode::Failover
            | LoadBalancingMode::Passthrough => false,
        };
        path.into_iter()
            .rev()
            .flatten()
            .filter(move |rank| !strictly || rank.0.is_innermost())
    }

    /// Adds an endpoint that is not among them.
    pub(crate) fn insert(&mut self, workload: Arc<Workload>) {
        let uid = workload.uid.clone();
        let position = self.root.put(self.preference.scopes(), workload);
        let had = self.position_by_uid.insert(uid, position);
        debug_assert!(had.is_none(), "an endpoint is inserted once");
    }

    /// Replaces an endpoint by what has become of it.
    pub(crate) fn replace(&mut self, old: &Workload, new: Arc<Workload>) {
        if self.preference.is_same(old, &new) {
            if let Some(&position) = self.position_by_uid.get(&new.uid) {
                self.root.set(position, new);
            }
        } else {
            self.remove(old);
            self.insert(new);
        }
    }

    /// Takes an endpoint out; another one moves to its place.
    pub(crate) fn remove(&mut self, old: &Workload) {
        let Some(position) = self.position_by_uid.remove(&old.uid) else {
            return;
        };
        if let Some(moved) = self.root.take(old, position) {
            self.position_by_uid.insert(moved.uid.clone(), position);
        }
    }

    /// Ranks them by something else.
    pub(crate) fn arrange(&mut self, preference: Preference) {
        let mut arranged = Self::new(preference);
        for workload in self.iter() {
            arranged.insert(Arc::clone(workload));
        }
        *self = arranged;
    }
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|workload| &workload.uid))
            .finish()
    }
}

/// Endpoints of a service that share so many scopes with a client, or more.
#[derive(Clone, Copy)]
pub struct Rank<'a>(&'a Group);

impl<'a> Rank<'a> {
    /// All of them; the order is that of [`Endpoints::iter`].
    pub fn iter(self) -> impl Iterator<Item = &'a Arc<Workload>> {
        self.0.iter()
    }

    /// The sum of [`weight`] over all of them; 0 means that [`Self::draw`] yields nothing.
    #[must_use]
    pub fn weight(self, policy: HealthPolicy) -> u64 {
        self.0.weight().of(policy)
    }

    /// One of them, each with the probability of its [`weight`] in the sum of all.
    ///
    /// `random` is uniform over all of `u64`; equal values draw the same endpoint.
    #[must_use]
    pub fn draw(self, policy: HealthPolicy, random: u64) -> Option<&'a Arc<Workload>> {
        self.0.at(policy, scale(random, self.weight(policy))?)
    }
}

impl fmt::Debug for Rank<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|workload| &workload.uid))
            .finish()
    }
}

impl Weighed for Workload {
    fn weight(&self) -> Weight {
        Weight {
            healthy: weight(self, HealthPolicy::OnlyHealthy),
            all: weight(self, HealthPolicy::AllowAll),
        }
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
