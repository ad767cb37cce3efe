//! One backend: a port of a service, of a subset of its endpoints, or of one workload.
//!
//! In: requests and connections that were routed to it. Out: an endpoint of it, an answer, or an end to relay to.
//! Never: chooses a backend; waits for a lock that another worker holds for long.
//!
//! What a request costs here, beside the codec: five counts that workers share, no allocation but the copy of the head
//! that the codec consumes.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use decision::{
    balance::{self, View, warm},
    outlier,
};
use http::Version;
use mesh::{
    Uid,
    backend::{Simple, TrafficPolicy, Upgrade, Warmup},
    route::Backend,
    service::AppProtocol,
};
use parking_lot::Mutex;
use telemetry::http::ClusterStats;
use tokio::sync::Notify;

use crate::upstream::{
    behalf::Telling,
    breaker::{Breakers, Limit, Overflow, RequestPermit, RetryPermit},
    clusters::Shared,
    error::NoHost,
    host::Host,
    judge::Judge,
    state::{Inputs, State},
};

/// How often another endpoint is drawn because one is not well, which the balancer does not know yet. Reason: it is one
/// out of many, mostly; after it, all are looked at.
const MAX_DRAWS: usize = 4;

/// What a backend is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A port of a service, or of a subset of its endpoints.
    Backend(Backend),
    /// A port of one workload.
    Workload {
        /// The workload.
        uid: Uid,
        /// Where it serves.
        address: SocketAddr,
    },
}

/// One backend.
#[derive(Debug)]
pub struct Cluster {
    pub(super) key: Key,
    name: Arc<str>,
    tcp_name: Arc<str>,
    pub(super) shared: Arc<Shared>,
    breakers: Arc<Breakers>,
    stats: Arc<ClusterStats>,
    pub(super) state: ArcSwap<State>,
    /// Whoever changes `state` holds it.
    pub(super) inputs: Mutex<Inputs>,
    /// Told whenever `state` has changed.
    pub(super) changed: Notify,
    pub(super) judge: Judge,
    /// How often the health of an endpoint has changed. What [`State`] knows of it may be behind.
    health: AtomicU64,
    /// Whether it was asked for since the last look, and how many looks have found that it was not.
    is_used: AtomicBool,
    unused: AtomicU32,
}

/// What a choice of endpoint depends on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// The hash of the request's key; `None`: it has none.
    pub hash: Option<u64>,
    /// The endpoints that were tried, in this order.
    pub tried: &'a [Arc<Host>],
    /// Whether retries go down in locality (`retryRemoteLocalities`).
    pub remote_localities: bool,
    /// Where the client meant to connect to, for `PASSTHROUGH`.
    pub original_destination: Option<SocketAddr>,
}

/// An endpoint that was chosen. It counts as one of its requests while this lives.
#[derive(Debug)]
pub struct Pick {
    cluster: Arc<Cluster>,
    host: Arc<Host>,
}

impl Pick {
    fn new(cluster: &Arc<Cluster>, host: &Arc<Host>) -> Self {
        host.enter();
        Self {
            cluster: Arc::clone(cluster),
            host: Arc::clone(host),
        }
    }

    /// The endpoint.
    #[must_use]
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// The endpoint's answer broke off.
    pub(super) fn failed(&self) {
        self.cluster.record(&self.host, outlier::Outcome::Failed);
    }
}

impl Drop for Pick {
    fn drop(&mut self) {
        self.host.leave();
    }
}

impl Cluster {
    pub(super) fn new(key: Key, shared: &Arc<Shared>) -> Arc<Self> {
        let (name, tcp_name) = names(&key);
        // Istio ends the name of statistics so.
        let stats = shared.telemetry.http().cluster(&format!("{name};"));
        Arc::new(Self {
            key,
            name: name.into(),
            tcp_name: tcp_name.into(),
            shared: Arc::clone(shared),
            breakers: Arc::default(),
            stats,
            state: ArcSwap::default(),
            inputs: Mutex::default(),
            changed: Notify::new(),
            judge: Judge::default(),
            health: AtomicU64::new(0),
            is_used: AtomicBool::new(true),
            unused: AtomicU32::new(0),
        })
    }

    /// Its name, for requests: `inbound-vip|80|http|reviews.default.svc.cluster.local`, with `http/<subset>` for a subset.
    /// Source: Istio; `encap` is a workload that was asked for by its own address.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its name, for connections.
    #[must_use]
    pub fn tcp_name(&self) -> &Arc<str> {
        &self.tcp_name
    }

    /// What is known of its endpoints, and by which policy.
    #[must_use]
    pub fn policy(&self) -> Arc<TrafficPolicy> {
        Arc::clone(&self.state.load().policy)
    }

    /// What its endpoints are told of clients.
    pub(super) fn telling(&self) -> Telling {
        self.state.load().telling
    }

    /// Its endpoints now.
    #[must_use]
    pub fn hosts(&self) -> Arc<[Arc<Host>]> {
        Arc::clone(&self.state.load().hosts)
    }

    /// Its statistics.
    #[must_use]
    pub fn stats(&self) -> &Arc<ClusterStats> {
        &self.stats
    }

    /// What is under way.
    #[must_use]
    pub fn breakers(&self) -> &Arc<Breakers> {
        &self.breakers
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn health(&self) -> u64 {
        self.health.load(Ordering::Acquire)
    }

    /// To be called when the change can be seen.
    pub(super) fn add_health_change(&self) {
        self.health.fetch_add(1, Ordering::Release);
    }

    /// Whether it is one port of a workload. All of these share a name, and with it their statistics.
    pub(super) fn is_workload(&self) -> bool {
        matches!(self.key, Key::Workload { .. })
    }

    pub(super) fn touch(&self) {
        // Read first: threads must not take each other's cache for every request.
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
        }
    }

    /// How many looks in a row, with this one, have found that nobody asked for it since the one before.
    pub(super) fn look(&self) -> u32 {
        if self.is_used.swap(false, Ordering::Relaxed) {
            self.unused.store(0, Ordering::Relaxed);
            0
        } else {
            self.unused.fetch_add(1, Ordering::Relaxed) + 1
        }
    }

    /// Waits until its endpoints are known, where a name stands for some of them, for 5 seconds at most; and where there
    /// are none, until some come, within a second of when they went or it was first asked for. Otherwise it costs a look.
    pub async fn warmed(&self) {
        let patience = || self.state.load().patience(|| self.shared.since_epoch());
        let Some(longest) = patience() else {
            return;
        };
        let known = async {
            loop {
                let changed = self.changed.notified();
                let mut changed = std::pin::pin!(changed);
                changed.as_mut().enable();
                if patience().is_none() {
                    return;
                }
                changed.await;
            }
        };
        drop(tokio::time::timeout(longest, known).await);
    }

    /// Admits a request. Keep the permit until its response has ended; retries of it need no further one.
    ///
    /// # Errors
    /// When `max_requests` are under way.
    pub fn request(self: &Arc<Self>) -> Result<RequestPermit, Overflow> {
        let state = self.state.load();
        let place = self.overflows(
            self.breakers
                .take(Limit::Requests, state.policy.pool.max_requests),
        )?;
        if state.policy.retry_budget.is_some() {
            state.budget.begin(self.shared.since_epoch());
        }
        Ok(RequestPermit { _place: place })
    }

    /// Admits a retry. Keep the permit until it has an answer.
    ///
    /// # Errors
    /// When the retry budget is used up, or `max_retries` are under way.
    pub fn retry(self: &Arc<Self>) -> Result<RetryPermit, Overflow> {
        let state = self.state.load();
        let requests = self.breakers.count(Limit::Requests);
        let max = state
            .budget
            .limit(u64::from(requests), self.shared.since_epoch());
        let max = u32::try_from(max).ok();
        match self.breakers.take(Limit::Retries, max) {
            Ok(place) => {
                self.stats.upstream_rq_retry.increment();
                Ok(RetryPermit { _place: place })
            }
            Err(overflow) => {
                self.stats.upstream_rq_retry_overflow.increment();
                Err(overflow)
            }
        }
    }

    fn overflows<T>(&self, result: Result<T, Overflow>) -> Result<T, Overflow> {
        if result.is_err() {
            self.stats.upstream_rq_pending_overflow.increment();
        }
        result
    }

    /// Chooses an endpoint.
    ///
    /// # Errors
    /// When none may be chosen.
    pub fn pick(self: &Arc<Self>, ask: &Ask<'_>) -> Result<Pick, NoHost> {
        let state = self.state.load();
        let warmup = state.policy.load_balancer.warmup.as_ref();
        let seen = Seen {
            hosts: &state.hosts,
            warmup,
            now: warmup
                .map(|_| self.shared.since_epoch())
                .unwrap_or_default(),
        };
        let index_of = |host: &Arc<Host>| state.index_of(host.key());
        let tried: Vec<usize> = ask.tried.iter().filter_map(index_of).collect();
        let ask = balance::Ask {
            hash: ask.hash,
            tried: &tried,
            other_priorities: ask.remote_localities,
            original: ask
                .original_destination
                .and_then(|address| state.at(address)),
        };
        let mut index = state.balancer.pick(&seen, &ask, &mut || fastrand::u64(..));
        if state.health != self.health() {
            index = well(&state, &seen, &ask, index);
        }
        index
            .and_then(|index| state.hosts.get(index))
            .map(|host| Pick::new(self, host))
            .ok_or_else(|| NoHost {
                cluster: Arc::clone(&self.name),
                known: state.hosts.len(),
            })
    }

    /// Any endpoint that was not tried, also one that is left out for what it has answered or did not: for who must find out by itself whether
    /// nobody is there. `None`: there is none at all.
    #[must_use]
    pub fn pick_left_out(self: &Arc<Self>, tried: &[Arc<Host>]) -> Option<Pick> {
        let hosts = self.hosts();
        let is_tried = |host: &Arc<Host>| tried.iter().any(|it| Arc::ptr_eq(it, host));
        let left: Vec<_> = hosts.iter().filter(|host| !is_tried(host)).collect();
        let chosen = left.get(fastrand::usize(..left.len().max(1)))?;
        Some(Pick::new(self, chosen))
    }

    /// The version in which its endpoints are spoken to for a client that speaks `client`.
    #[must_use]
    pub fn version(&self, client: Version) -> Version {
        let state = self.state.load();
        match (state.policy.pool.http2, state.protocol) {
            (Upgrade::Client, _) => of_client(client),
            (_, AppProtocol::Http2 | AppProtocol::Grpc) | (Upgrade::Http2, _) => Version::HTTP_2,
            (Upgrade::Http1, _) | (Upgrade::Default, AppProtocol::Http11) => Version::HTTP_11,
            (Upgrade::Default, AppProtocol::Unknown | AppProtocol::Tcp | AppProtocol::Tls) => {
                of_client(client)
            }
        }
    }
}

/// The choice where the balancer does not know yet who is well: another one if that one is not.
fn well(
    state: &State,
    seen: &Seen<'_>,
    ask: &balance::Ask<'_>,
    chosen: Option<usize>,
) -> Option<usize> {
    let policy = state.balancer.policy();
    let is_passthrough = policy.load_balancer.simple == Simple::Passthrough;
    if chosen.is_some() && chosen == ask.original && is_passthrough {
        return chosen;
    }
    let is_well = |index: usize| state.hosts.get(index).is_some_and(|host| host.is_well());
    let mut left_out = ask.tried.to_vec();
    let mut next = chosen;
    for _ in 0..MAX_DRAWS {
        let Some(index) = next else {
            break;
        };
        if is_well(index) {
            return Some(index);
        }
        left_out.push(index);
        let ask = balance::Ask {
            tried: &left_out,
            original: None,
            ..*ask
        };
        next = state.balancer.pick(seen, &ask, &mut || fastrand::u64(..));
    }
    let hosts = state.balancer.hosts().iter().enumerate();
    let well = hosts.filter_map(|(index, host)| {
        let place = host.place.filter(|_| host.weight > 0 && is_well(index))?;
        let is_tried = ask.tried.contains(&index);
        Some(((is_tried, place.priority, fastrand::u32(..)), index))
    });
    // Where nobody is well, all are, if the policy has them panic.
    let panics = policy.panic_percent > 0;
    let best = well.min().map(|(_, index)| index);
    best.or(chosen.filter(|_| panics))
}

fn of_client(client: Version) -> Version {
    if client >= Version::HTTP_2 {
        Version::HTTP_2
    } else {
        Version::HTTP_11
    }
}

/// The names of a backend, for requests and for connections.
fn names(key: &Key) -> (String, String) {
    match key {
        Key::Backend(backend) => {
            let name = |protocol: &str| {
                let (port, host) = (backend.port, &backend.service.hostname);
                if backend.subset.is_empty() {
                    format!("inbound-vip|{port}|{protocol}|{host}")
                } else {
                    format!("inbound-vip|{port}|{protocol}/{}|{host}", backend.subset)
                }
            };
            (name("http"), name("tcp"))
        }
        Key::Workload { .. } => ("encap".to_owned(), "encap".to_owned()),
    }
}

/// What a choice asks about endpoints.
struct Seen<'a> {
    hosts: &'a [Arc<Host>],
    warmup: Option<&'a Warmup>,
    now: Duration,
}

impl View for Seen<'_> {
    fn active(&self, host: usize) -> u64 {
        self.hosts
            .get(host)
            .map_or(0, |host| u64::from(host.active()))
    }

    fn warmth(&self, host: usize) -> f64 {
        let age = self.hosts.get(host).and_then(|host| host.age(self.now));
        match (self.warmup, age) {
            (Some(warmup), Some(age)) => warm::share(warmup, age),
            (Some(_) | None, _) => 1.0,
        }
    }
}
