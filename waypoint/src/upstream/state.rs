//! What a backend chooses from: its endpoints and policy, and how they follow the mesh.
//!
//! In: a snapshot. Out: a new [`State`], if anything in the snapshot that matters to the backend has changed.
//! Never: touches what is under way; an endpoint that stays keeps its counts, its history and its connections.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use decision::{
    balance::{self, Balancer},
    budget::Budget,
    locality,
};
use mesh::{
    Endpoints, Service, Snapshot, Workload,
    backend::{BackendKey, TrafficPolicy},
    route::Backend,
    service::{AppProtocol, LoadBalancing},
};

use crate::upstream::{
    behalf::Telling,
    breaker::Limit,
    cluster::{Cluster, Key},
    clusters::Shared,
    host::{Host, HostKey},
    hosts::{self, Found, Wanted},
};

/// The longest wait for the addresses of endpoints that are known by name.
const MAX_NAMES_TIME: Duration = Duration::from_secs(5);
/// The longest wait for endpoints of a backend that has just lost them or was just named: routes and the endpoints that
/// they lead to are told one after the other, and nobody is to fall between.
const MAX_NEWS_TIME: Duration = Duration::from_secs(1);

/// What a backend chooses from.
#[derive(Debug)]
pub(super) struct State {
    /// Sorted by address.
    pub(super) hosts: Arc<[Arc<Host>]>,
    pub(super) balancer: Balancer,
    /// How many changes of health the balancer knows; see [`Cluster::unbalance`].
    pub(super) health: u64,
    pub(super) policy: Arc<TrafficPolicy>,
    pub(super) budget: Arc<Budget>,
    pub(super) protocol: AppProtocol,
    /// What endpoints are told of clients.
    pub(super) telling: Telling,
    /// Endpoints are to be found by names that nobody has answered yet.
    pub(super) is_waiting: bool,
    /// Since when there is no endpoint, as time since the backend's epoch; `None`: there are some.
    empty_since: Option<Duration>,
}

impl Default for State {
    fn default() -> Self {
        let policy = Arc::new(TrafficPolicy::default());
        Self {
            hosts: Arc::default(),
            balancer: Balancer::new(Arc::default(), Arc::default(), |_| true, 0),
            health: 0,
            budget: Arc::new(Budget::new(&policy)),
            policy,
            protocol: AppProtocol::Unknown,
            telling: Telling::default(),
            is_waiting: false,
            empty_since: None,
        }
    }
}

impl State {
    /// How long a request may wait for endpoints; `None`: there is nothing to wait for. `now` is the time since the
    /// backend's epoch.
    pub(super) fn patience(&self, now: impl FnOnce() -> Duration) -> Option<Duration> {
        if self.is_waiting {
            return Some(MAX_NAMES_TIME);
        }
        let left = (self.empty_since? + MAX_NEWS_TIME).checked_sub(now())?;
        (!left.is_zero()).then_some(left)
    }

    /// The number of an endpoint. Several workloads may have one address (those of the host's network).
    pub(super) fn index_of(&self, key: &HostKey) -> Option<usize> {
        let first = self
            .hosts
            .partition_point(|host| host.address() < key.address);
        let there = self.hosts.iter().enumerate().skip(first);
        there
            .take_while(|(_, host)| host.address() == key.address)
            .find(|(_, host)| host.key() == key)
            .map(|(index, _)| index)
    }

    fn is_made_of(&self, found: &Found) -> bool {
        let (hosts, wanted) = (self.hosts.iter(), found.hosts.iter());
        self.is_waiting == found.is_waiting
            && hosts.map(|host| host.key()).eq(wanted.map(|it| &it.key))
    }

    /// The number of the first endpoint at an address.
    pub(super) fn at(&self, address: SocketAddr) -> Option<usize> {
        let first = self.hosts.partition_point(|host| host.address() < address);
        let host = self.hosts.get(first)?;
        (host.address() == address).then_some(first)
    }
}

/// What a [`State`] was made of. Equal pointers mean that there is nothing to do.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    /// The snapshot's version; `None`: nothing was made yet.
    version: Option<u64>,
    service: Option<Arc<Service>>,
    endpoints: Option<Arc<Endpoints>>,
    workload: Option<Arc<Workload>>,
    policy: Option<Arc<TrafficPolicy>>,
    own: Option<Arc<Workload>>,
    /// Whether the waypoint names its clients.
    names_clients: bool,
    /// What names had led to; `None`: they do not matter.
    names: Option<u64>,
}

impl Inputs {
    fn of(key: &Key, shared: &Shared, snapshot: &Snapshot) -> Self {
        let own = &shared.own;
        let mut inputs = Self {
            version: Some(snapshot.version),
            own: snapshot
                .workload_by_address(&own.network, own.instance_ip)
                .cloned(),
            ..Self::default()
        };
        let settings = snapshot.waypoint_settings(&own.namespace, &own.gateway);
        let default = settings.map(|settings| &settings.default_policy);
        inputs.names_clients = settings.is_some_and(|settings| settings.tell_client);
        match key {
            Key::Backend(backend) => {
                inputs.service = snapshot.service(&backend.service).cloned();
                inputs.endpoints = snapshot.endpoints(&backend.service).cloned();
                inputs.policy = policy(snapshot, backend).or(default).cloned();
            }
            Key::Workload { uid, .. } => {
                inputs.workload = snapshot.workload(uid).cloned();
                inputs.policy = default.cloned();
            }
        }
        inputs
    }

    fn is_same(&self, other: &Self) -> bool {
        same(&self.service, &other.service)
            && same(&self.endpoints, &other.endpoints)
            && same(&self.workload, &other.workload)
            && same(&self.policy, &other.policy)
            && same(&self.own, &other.own)
            && self.names_clients == other.names_clients
    }
}

fn same<T>(a: &Option<Arc<T>>, b: &Option<Arc<T>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// The subset's own policy, else the service's.
fn policy<'a>(snapshot: &'a Snapshot, backend: &Backend) -> Option<&'a Arc<TrafficPolicy>> {
    let of = |subset| {
        let key = BackendKey {
            service: backend.service.clone(),
            subset,
        };
        Some(snapshot.backend_policy(&key)?.of_port(backend.port))
    };
    of(backend.subset.clone()).or_else(|| of(mesh::Name::default()))
}

impl Cluster {
    /// Follows the mesh, whose `snapshot` may be older than what it follows already. Whether it is still there.
    pub(super) fn update(&self, snapshot: &Snapshot) -> bool {
        let mut inputs = self.inputs.lock();
        if inputs
            .version
            .is_some_and(|version| snapshot.version < version)
        {
            return true;
        }
        let mut next = Inputs::of(&self.key, &self.shared, snapshot);
        let is_there = next.service.is_some() || next.workload.is_some();
        let generation = self.shared.names.generation();
        let is_known = inputs.names.is_none_or(|names| names == generation);
        let is_same = inputs.version.is_some() && inputs.is_same(&next);
        if is_same && is_known {
            inputs.version = next.version;
            return is_there;
        }
        let found = self.find(&next, snapshot);
        next.names = found.has_names.then_some(generation);
        // The answer was about other names.
        if is_same && self.state.load().is_made_of(&found) {
            *inputs = next;
            return is_there;
        }
        let is_first = inputs.version.is_none();
        *inputs = next;
        self.adopt(&inputs, &found, is_first);
        drop(inputs);
        self.changed.notify_waiters();
        is_there
    }

    fn find(&self, inputs: &Inputs, snapshot: &Snapshot) -> Found {
        match (&self.key, &inputs.service, &inputs.workload) {
            (Key::Backend(backend), Some(service), _) => hosts::of_backend(
                snapshot,
                &self.shared.own,
                service,
                backend,
                &self.shared.names,
            ),
            (Key::Workload { address, .. }, _, Some(workload)) => {
                hosts::of_workload(workload, *address, &self.shared.own)
            }
            (Key::Backend(_), None, _) | (Key::Workload { .. }, _, None) => Found::default(),
        }
    }

    /// Goes over to other endpoints or another policy.
    fn adopt(&self, inputs: &Inputs, found: &Found, is_first: bool) {
        let before = self.state.load_full();
        let policy = inputs.policy.clone().unwrap_or_default();
        let hosts = self.keep(
            &before.hosts,
            found,
            policy.health_check.is_some(),
            is_first,
        );
        if policy.outlier.is_none() {
            let ejected = hosts.iter().filter(|host| host.is_ejected());
            ejected.for_each(|host| self.recover(host));
        }
        let telling = Telling {
            name: inputs.names_clients,
            proxy: policy.proxy_protocol,
        };
        if policy.pool != before.policy.pool || telling != before.telling {
            hosts.iter().for_each(|host| host.renew_connections());
        }
        let is_same_budget = policy.retry_budget == before.policy.retry_budget
            && policy.pool.max_retries == before.policy.pool.max_retries;
        let budget = if is_same_budget {
            Arc::clone(&before.budget)
        } else {
            Arc::new(Budget::new(&policy))
        };
        let health = self.health();
        let empty_since = hosts.is_empty().then(|| {
            let before = before.empty_since;
            before.unwrap_or_else(|| self.shared.since_epoch())
        });
        self.state.store(Arc::new(State {
            balancer: balancer(inputs, &policy, found, &hosts),
            health,
            hosts,
            policy,
            budget,
            protocol: self.protocol(inputs),
            telling,
            is_waiting: found.is_waiting,
            empty_since,
        }));
        self.count();
    }

    /// The endpoints that are wanted; those that were there already are the same as before.
    fn keep(
        &self,
        before: &[Arc<Host>],
        found: &Found,
        is_checked: bool,
        is_first: bool,
    ) -> Arc<[Arc<Host>]> {
        let now = self.shared.since_epoch();
        let mut old: HashMap<&HostKey, &Arc<Host>> =
            before.iter().map(|host| (host.key(), host)).collect();
        let mut gone = Vec::new();
        let mut keep = |wanted: &Wanted| {
            match old.remove(&wanted.key) {
                Some(host) if *host.way() == wanted.way => {
                    host.renew(Arc::clone(&wanted.workload));
                    if !is_checked && host.is_failing() {
                        host.set_failing(false, now);
                    }
                    return Arc::clone(host);
                }
                Some(host) => gone.push(host),
                None => {}
            }
            // What is there at the beginning has been there for long, as far as we know.
            let born = if is_first { Duration::ZERO } else { now };
            let host = Host::new(
                wanted.key.clone(),
                wanted.way.clone(),
                Arc::clone(&wanted.workload),
                born,
                self.shared.workers,
            );
            // One that comes while others serve is given requests once it was found well.
            if is_checked && !is_first {
                host.set_failing(true, now);
            }
            host
        };
        let hosts = found.hosts.iter().map(&mut keep).collect();
        for host in gone.into_iter().chain(old.into_values()) {
            host.retire();
            self.forget(host);
        }
        hosts
    }

    fn protocol(&self, inputs: &Inputs) -> AppProtocol {
        match (&self.key, &inputs.service) {
            (Key::Backend(backend), Some(service)) => service.protocol(backend.port),
            (Key::Backend(_), None) | (Key::Workload { .. }, _) => AppProtocol::Unknown,
        }
    }

    /// Says again which names are wanted.
    pub(super) fn renew_names(&self, snapshot: &Snapshot) {
        let inputs = self.inputs.lock();
        if inputs.names.is_some() {
            self.find(&inputs, snapshot);
        }
    }

    /// Takes the statistics of endpoints to what is so. Where several backends share them, they would tell of whoever
    /// came last, and are left out.
    fn count(&self) {
        if self.is_workload() {
            return;
        }
        let state = self.state.load();
        let well = state.hosts.iter().filter(|host| host.is_well()).count();
        let stats = self.stats();
        stats.membership_total.set(wide(state.hosts.len()));
        stats.membership_healthy.set(wide(well));
        stats
            .outlier_detection_ejections_active
            .set(wide(self.ejected()));
    }

    /// Takes the statistics of limits to what is so.
    pub(super) fn count_open(&self) {
        if self.is_workload() {
            return;
        }
        let state = self.state.load();
        let pool = &state.policy.pool;
        let (breakers, stats) = (self.breakers(), self.stats());
        let is_open = |limit, max: Option<u32>| {
            u64::from(max.is_some_and(|max| breakers.count(limit) >= max))
        };
        let open = is_open(Limit::Connections, pool.max_connections);
        stats.circuit_breakers_default_cx_open.set(open);
        let open = is_open(Limit::Requests, pool.max_requests);
        stats.circuit_breakers_default_rq_open.set(open);
        let open = is_open(Limit::Pending, pool.max_pending_requests);
        stats.circuit_breakers_default_rq_pending_open.set(open);
        let open = is_open(Limit::Retries, pool.max_retries);
        stats.circuit_breakers_default_rq_retry_open.set(open);
    }

    /// Says that the health of an endpoint has changed. The balancer is built anew by the control task, as tables of
    /// consistent hashing take their time; until then [`Cluster::pick`] leaves out whoever is not well.
    pub(super) fn unbalance(&self) {
        self.add_health_change();
        self.count();
        self.shared.unbalanced.notify_one();
    }

    /// Builds the balancer anew, if the health of an endpoint has changed. Takes its time.
    pub(super) fn rebalance(&self) {
        if self.state.load().health == self.health() {
            return;
        }
        let inputs = self.inputs.lock();
        let before = self.state.load();
        // Before their health is looked at: what changes meanwhile is seen the next time.
        let health = self.health();
        let hosts = Arc::clone(&before.hosts);
        let well = |index: usize| hosts.get(index).is_some_and(|host| host.is_well());
        let balancer = before.balancer.with_available(well, fastrand::u64(..));
        self.state.store(Arc::new(State {
            hosts: Arc::clone(&before.hosts),
            balancer,
            health,
            policy: Arc::clone(&before.policy),
            budget: Arc::clone(&before.budget),
            protocol: before.protocol,
            telling: before.telling,
            is_waiting: before.is_waiting,
            empty_since: before.empty_since,
        }));
        self.count();
        drop(inputs);
    }

    /// Keeps no connection any more.
    pub(super) fn retire(&self) {
        self.state
            .load()
            .hosts
            .iter()
            .for_each(|host| host.retire());
    }
}

fn balancer(
    inputs: &Inputs,
    policy: &TrafficPolicy,
    found: &Found,
    hosts: &[Arc<Host>],
) -> Balancer {
    let workloads: Vec<&Workload> = found.hosts.iter().map(|wanted| &*wanted.workload).collect();
    let nothing = (LoadBalancing::default(), Workload::default());
    let preference = inputs
        .service
        .as_ref()
        .map_or(&nothing.0, |service| &service.load_balancing);
    let own = inputs.own.as_deref().unwrap_or(&nothing.1);
    let layout = locality::arrange(policy, preference, own, &workloads);
    let ranked: Arc<[balance::Host]> = hosts
        .iter()
        .zip(&found.hosts)
        .zip(&layout.places)
        .map(|((host, wanted), place)| balance::Host {
            key: host.hash_key(),
            weight: wanted.weight,
            place: *place,
        })
        .collect();
    let rules = Arc::new(balance::Policy::new(policy, layout.locality_shares));
    let well = |index: usize| {
        hosts
            .get(index)
            .is_some_and(|host: &Arc<Host>| host.is_well())
    };
    Balancer::new(ranked, rules, well, fastrand::u64(..))
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
