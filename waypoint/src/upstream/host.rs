//! One endpoint of a backend, with what is known of it while it is one.
//!
//! In: what came of its requests and checks. Out: whether it is well, how much it has to do, its connections.
//! Never: decides anything; [`super::judge`] and [`super::health`] do.
//!
//! It is kept over changes of configuration for as long as workload, address and identity stay.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use decision::outlier;
use http::Uri;
use identity::PeerCertificate;
use mesh::{San, Uid, Workload};
use parking_lot::Mutex;

use crate::upstream::{behalf::Lane, breaker::Overflow, lanes::Lanes, pool::HostPool};

/// What an endpoint is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostKey {
    /// The workload.
    pub uid: Uid,
    /// Its address and the port that it serves.
    pub address: SocketAddr,
}

/// How an endpoint is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Plain TCP: it is not in the mesh.
    Plain,
    /// A tunnel to its ztunnel, or to itself where it ends tunnels.
    Hbone {
        /// Where the tunnel ends.
        peer: SocketAddr,
        /// What is asked for: the endpoint's address and port.
        authority: Uri,
        /// Who may answer: the workload itself, and whom its service names. Source: ID-08, where Envoy takes anyone of
        /// the trust domain.
        expected: Vec<San>,
    },
}

/// One endpoint.
#[derive(Debug)]
pub struct Host {
    key: HostKey,
    /// `address:port`, as logs write it.
    name: Arc<str>,
    way: Way,
    workload: ArcSwap<Workload>,
    active: AtomicU32,
    is_ejected: AtomicBool,
    is_failing: AtomicBool,
    /// Since when it is to be given requests, as time since the backend's epoch; 0 is long ago. Units: microseconds.
    well_since: AtomicU64,
    pub(super) counts: outlier::Counts,
    /// Whoever takes it holds the backend's detector. `None`: it is no endpoint any more, and is not judged again.
    pub(super) history: Mutex<Option<outlier::History>>,
    /// **Shape:** by worker.
    pools: Box<[Pools]>,
}

/// The connections of one worker.
#[derive(Debug, Default)]
struct Pools {
    /// Those that any request may use.
    shared: OnceLock<Arc<HostPool>>,
    /// Those that are for one client each.
    lanes: Lanes,
}

impl Host {
    /// An endpoint of which nothing is known; `well_since` is zero for one that need not warm up.
    pub(super) fn new(
        key: HostKey,
        way: Way,
        workload: Arc<Workload>,
        well_since: Duration,
        workers: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: key.address.to_string().into(),
            key,
            way,
            workload: ArcSwap::new(workload),
            active: AtomicU32::new(0),
            is_ejected: AtomicBool::new(false),
            is_failing: AtomicBool::new(false),
            well_since: AtomicU64::new(micros(well_since)),
            counts: outlier::Counts::default(),
            history: Mutex::new(Some(outlier::History::default())),
            pools: (0..workers.max(1)).map(|_| Pools::default()).collect(),
        })
    }

    /// What it is known by.
    #[must_use]
    pub fn key(&self) -> &HostKey {
        &self.key
    }

    /// Its address and port. Source: `%UPSTREAM_HOST%`.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.key.address
    }

    /// The same as text.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// What consistent hashing knows it by, so that those who come from Istio's waypoint keep their keys. There, what is
    /// behind a tunnel is an internal address whose endpoint id is the address, and Envoy hashes the whole of it.
    #[must_use]
    pub fn hash_key(&self) -> Arc<str> {
        match self.way {
            Way::Plain => self.name(),
            Way::Hbone { .. } => format!("envoy://connect_originate/{}", self.name).into(),
        }
    }

    /// The workload, as it is now.
    #[must_use]
    pub fn workload(&self) -> Arc<Workload> {
        self.workload.load_full()
    }

    pub(super) fn renew(&self, workload: Arc<Workload>) {
        if !Arc::ptr_eq(&self.workload.load(), &workload) {
            self.workload.store(workload);
        }
    }

    /// How it is reached.
    #[must_use]
    pub fn way(&self) -> &Way {
        &self.way
    }

    /// How many requests and connections it has now.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    pub(super) fn enter(&self) {
        self.active.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        self.active.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether it is to be given requests.
    #[must_use]
    pub fn is_well(&self) -> bool {
        !self.is_ejected() && !self.is_failing()
    }

    /// Whether it is left out for what it answered.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        self.is_ejected.load(Ordering::Relaxed)
    }

    pub(super) fn set_ejected(&self, ejected: bool) {
        self.is_ejected.store(ejected, Ordering::Relaxed);
    }

    /// Whether it has failed its health check.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Takes note of a health check that changes something; `now` is the time since the backend's epoch.
    pub(super) fn set_failing(&self, failing: bool, now: Duration) {
        if !failing {
            self.well_since.store(micros(now), Ordering::Relaxed);
        }
        self.is_failing.store(failing, Ordering::Relaxed);
    }

    /// How long it has been well; `None`: for long.
    pub(super) fn age(&self, now: Duration) -> Option<Duration> {
        match self.well_since.load(Ordering::Relaxed) {
            0 => None,
            since => Some(now.saturating_sub(Duration::from_micros(since))),
        }
    }

    /// The same workload on another port, for a health check; nothing of it is kept.
    pub(super) fn on_port(&self, port: u16) -> Arc<Self> {
        let address = SocketAddr::new(self.key.address.ip(), port);
        let way = match (&self.way, Uri::try_from(address.to_string())) {
            (Way::Hbone { peer, expected, .. }, Ok(authority)) => Way::Hbone {
                peer: *peer,
                authority,
                expected: expected.clone(),
            },
            (way, _) => way.clone(),
        };
        let key = HostKey {
            uid: self.key.uid.clone(),
            address,
        };
        Self::new(key, way, self.workload(), Duration::ZERO, 1)
    }

    /// The connections of one worker that any request may use.
    pub(super) fn pool(&self, worker: usize) -> &Arc<HostPool> {
        self.of_worker(worker).shared.get_or_init(Arc::default)
    }

    /// Those of a lane.
    ///
    /// # Errors
    /// When there are too many lanes.
    pub(super) fn pool_of(&self, worker: usize, lane: Lane) -> Result<Arc<HostPool>, Overflow> {
        let lanes = &self.of_worker(worker).lanes;
        lanes.pool(lane, net::clock::now())
    }

    fn of_worker(&self, worker: usize) -> &Pools {
        // There is at least one, and the index is below their count.
        &self.pools[worker % self.pools.len()]
    }

    fn pools(&self) -> impl Iterator<Item = Arc<HostPool>> {
        self.pools.iter().flat_map(|pools| {
            let shared = pools.shared.get().cloned();
            shared.into_iter().chain(pools.lanes.all())
        })
    }

    /// Lets go of lanes that nobody needs.
    pub(super) fn tidy(&self, now: Instant) {
        self.pools.iter().for_each(|pools| pools.lanes.tidy(now));
    }

    /// Keeps no connection any more, as it is no endpoint any more. What is under way ends by itself.
    pub(super) fn retire(&self) {
        self.pools().for_each(|pool| pool.close());
    }

    /// Lets go of connections that were made by other rules. What is under way ends by itself.
    pub(super) fn renew_connections(&self) {
        self.pools().for_each(|pool| pool.renew());
    }

    /// Cuts every connection to a peer that is not believed any more.
    pub(super) fn let_go(&self, believed: &dyn Fn(&PeerCertificate) -> bool) {
        self.pools().for_each(|pool| pool.let_go(believed));
    }

    /// Whether there is a connection to it, on any worker: then who waits for one waits for room.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.pools().any(|pool| pool.is_connected())
    }

    /// How many connections there are, on all workers.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.pools().map(|pool| pool.connections()).sum()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
