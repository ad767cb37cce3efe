//! All backends that are in use, and how they follow the mesh.
//!
//! In: the names of backends, snapshots. Out: backends. Never: makes one before somebody asks for it; forgets one that is
//! in use.
//!
//! Tasks: [`Clusters::run`], on the runtime of control work, which the process ends by dropping it: it takes backends to
//! the newest snapshot, ends ejections, builds balancers for the health that endpoints have, resolves names, keeps
//! statistics and starts health checks. What it has begun, the next run finishes, so dropping it is safe. Health checks
//! are tasks of the first worker; see [`super::health`].

use std::{
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use control::publish::View;
use identity::{PeerCertificate, Store};
use mesh::{Workload, pmap::PersistentMap, route::Backend};
use net::{Workers, drain::Draining};
use parking_lot::Mutex;
use telemetry::Telemetry;
use tokio::sync::Notify;

use crate::{
    proxy::Own,
    upstream::{
        Worker,
        breaker::Limit,
        cluster::{Cluster, Key},
        health::Checks,
        names::{Names, Questions},
        ports::{Port, Ports, Room},
    },
};

/// After how many looks a backend that nobody asks for is forgotten: after a quarter of an hour, which is longer than the
/// usual pause of a periodic job.
const FORGET: u32 = 15;
/// How often ejections and statistics are looked at. An interval of outlier detection is at least as long.
const TICK: Duration = Duration::from_millis(500);
/// Ticks between looks at what has become idle.
const TICKS_PER_SWEEP: u32 = 120;
/// Ports of workloads that are backends of their own. A client may name any port of a workload, so the mesh does not
/// bound them.
const MAX_WORKLOAD_CLUSTERS: usize = 16 * 1024;

/// What all backends share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    pub(super) own: Own,
    pub(super) hbone: Arc<hbone::Settings>,
    pub(super) telemetry: Telemetry,
    /// How many workers there are.
    pub(super) workers: usize,
    pub(super) names: Names,
    /// Told when a balancer has to be built anew.
    pub(super) unbalanced: Notify,
    epoch: Instant,
}

impl Shared {
    /// The time since the first backend could be asked for.
    pub(super) fn since_epoch(&self) -> Duration {
        net::clock::now().saturating_duration_since(self.epoch)
    }
}

type Map = PersistentMap<Key, Arc<Port>>;

/// The backends in use.
#[derive(Debug)]
pub struct Clusters {
    view: View,
    shared: Arc<Shared>,
    /// Replaced as a whole by whoever holds `writer`; read without a lock.
    services: ArcSwap<PersistentMap<Backend, Arc<Cluster>>>,
    workloads: ArcSwap<Map>,
    writer: Mutex<Ports>,
    /// How many ports of workloads were made.
    turn: AtomicU64,
    checks: Mutex<Checks>,
}

impl Clusters {
    /// No backend yet. Tunnels of health checks are the first worker's, and `draining` ends them.
    #[must_use]
    pub fn new(
        view: View,
        store: Arc<Store>,
        own: Own,
        hbone: Arc<hbone::Settings>,
        telemetry: Telemetry,
        workers: &Workers,
        draining: Draining,
    ) -> Arc<Self> {
        let checker = Worker::new(0, Arc::clone(&hbone), draining);
        let shared = Shared {
            store,
            own,
            hbone,
            telemetry,
            workers: workers.count(),
            names: Names::default(),
            unbalanced: Notify::new(),
            epoch: net::clock::now(),
        };
        Arc::new(Self {
            view,
            shared: Arc::new(shared),
            services: ArcSwap::default(),
            workloads: ArcSwap::default(),
            writer: Mutex::default(),
            turn: AtomicU64::new(0),
            checks: Mutex::new(Checks::new(workers.clone(), checker)),
        })
    }

    /// A backend; `None` where the mesh has no such port. Ask for it anew for every request: one that is kept does not
    /// follow the mesh for ever.
    #[must_use]
    pub fn get(&self, backend: &Backend) -> Option<Arc<Cluster>> {
        if let Some(cluster) = self.services.load().get(backend) {
            cluster.touch();
            return Some(Arc::clone(cluster));
        }
        let snapshot = self.view.load();
        let service = snapshot.service(&backend.service)?;
        if !service.ports.0.contains_key(&backend.port) {
            return None;
        }
        // Nobody finds it before it knows its endpoints. Not under the lock: tables take their time.
        let made = Cluster::new(Key::Backend(backend.clone()), &self.shared);
        made.update(&snapshot);
        drop(snapshot);
        let cluster = {
            let _writer = self.writer.lock();
            let before = self.services.load_full();
            match before.get(backend) {
                Some(cluster) => Arc::clone(cluster),
                None => {
                    let mut next = (*before).clone();
                    next.insert(backend.clone(), Arc::clone(&made));
                    self.services.store(Arc::new(next));
                    made
                }
            }
        };
        // It is in the map by now: whatever is published after this look reaches it by `run`.
        cluster.update(&self.view.load());
        Some(cluster)
    }

    /// The port of a workload that was asked for by its own address; `None` where there are too many of them. Of one
    /// workload, the port that was not asked for in the longest time makes room, unless all are in use.
    #[must_use]
    pub fn workload(&self, workload: &Workload, address: SocketAddr) -> Option<Arc<Cluster>> {
        let key = Key::Workload {
            uid: workload.uid.clone(),
            address,
        };
        if let Some(port) = self.workloads.load().get(&key) {
            port.touch(self.turn.load(Relaxed));
            return Some(Arc::clone(&port.cluster));
        }
        let made = Cluster::new(key.clone(), &self.shared);
        made.update(&self.view.load());
        let (cluster, gone) = self.open_port(workload, key, made)?;
        if let Some(gone) = gone {
            gone.retire();
        }
        cluster.update(&self.view.load());
        Some(cluster)
    }

    /// Makes a port a backend, unless it is one, and says which one has made room for it.
    fn open_port(
        &self,
        workload: &Workload,
        key: Key,
        made: Arc<Cluster>,
    ) -> Option<(Arc<Cluster>, Option<Arc<Cluster>>)> {
        let mut ports = self.writer.lock();
        let before = self.workloads.load_full();
        if let Some(port) = before.get(&key) {
            return Some((Arc::clone(&port.cluster), None));
        }
        let mut next = (*before).clone();
        let gone = match ports.room(&workload.uid) {
            Room::Free if before.len() >= MAX_WORKLOAD_CLUSTERS => return None,
            Room::Free => None,
            Room::Instead(gone) => {
                next.remove(&gone.key);
                ports.remove(&workload.uid, &gone);
                Some(gone)
            }
            Room::None => return None,
        };
        let turn = self.turn.fetch_add(1, Relaxed) + 1;
        let port = Port::new(Arc::clone(&made), turn);
        ports.insert(&workload.uid, Arc::clone(&port));
        next.insert(key, port);
        self.workloads.store(Arc::new(next));
        Some((made, gone))
    }

    /// All backends in use, in no order that means anything.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Cluster>> {
        let (services, workloads) = (self.services.load(), self.workloads.load());
        let services = services.values().cloned();
        let workloads = workloads.values().map(|port| Arc::clone(&port.cluster));
        services.chain(workloads).collect()
    }

    /// Cuts every connection to a peer that is not believed any more. Streams that were handed out by
    /// [`Cluster::connect`] belong to whoever has them.
    pub fn let_go(&self, believed: impl Fn(&PeerCertificate) -> bool) {
        for cluster in self.all() {
            for host in cluster.hosts().iter() {
                host.let_go(&believed);
            }
        }
        self.checks.lock().let_go(&believed);
    }

    /// Follows the mesh until it is dropped, or the mesh's publisher is gone.
    pub async fn run(self: Arc<Self>) {
        let me = Arc::downgrade(&self);
        let mut view = self.view.clone();
        drop(self);
        tokio::join!(
            follow(&me, &mut view),
            resolve(&me),
            tick(&me),
            balance(&me)
        );
    }

    /// Takes all backends to the newest snapshot.
    fn update(&self) {
        let snapshot = self.view.load();
        for cluster in self.all() {
            if !cluster.update(&snapshot) {
                self.forget(&cluster);
            }
        }
        self.check();
    }

    fn check(&self) {
        self.checks.lock().follow(&self.all());
    }

    fn forget(&self, cluster: &Arc<Cluster>) {
        let mut ports = self.writer.lock();
        match &cluster.key {
            Key::Backend(backend) => {
                let mut next = (*self.services.load_full()).clone();
                next.remove(backend);
                self.services.store(Arc::new(next));
            }
            Key::Workload { uid, .. } => {
                ports.remove(uid, cluster);
                let mut next = (*self.workloads.load_full()).clone();
                // It may have made room and have come back since, as another one.
                let is_it = |port: &Arc<Port>| Arc::ptr_eq(&port.cluster, cluster);
                if next.get(&cluster.key).is_some_and(is_it) {
                    next.remove(&cluster.key);
                    self.workloads.store(Arc::new(next));
                }
            }
        }
        cluster.retire();
    }

    /// Forgets what nobody has asked for in a long time.
    pub(super) fn sweep(&self) {
        let (snapshot, now) = (self.view.load(), net::clock::now());
        for cluster in self.all() {
            let count = |limit| cluster.breakers().count(limit);
            cluster.hosts().iter().for_each(|host| host.tidy(now));
            // Connections that are kept for the next request, too: they are worth as much as what is known of endpoints.
            let is_used = [Limit::Requests, Limit::Pending, Limit::Connections]
                .into_iter()
                .any(|limit| count(limit) > 0);
            if is_used {
                cluster.touch();
            }
            if cluster.look() >= FORGET {
                self.forget(&cluster);
            } else {
                // Names are asked for again only as long as somebody says that they are wanted.
                cluster.renew_names(&snapshot);
            }
        }
    }
}

async fn follow(clusters: &Weak<Clusters>, view: &mut View) {
    while view.changed().await.is_ok() {
        match clusters.upgrade() {
            Some(clusters) => clusters.update(),
            None => break,
        }
    }
}

async fn resolve(clusters: &Weak<Clusters>) {
    let mut questions = Questions::default();
    while let Some(shared) = clusters
        .upgrade()
        .map(|clusters| Arc::clone(&clusters.shared))
    {
        if shared.names.refresh(&mut questions).await
            && let Some(clusters) = clusters.upgrade()
        {
            clusters.update();
        }
    }
}

/// Builds balancers for the health that endpoints have now.
async fn balance(clusters: &Weak<Clusters>) {
    while let Some(shared) = clusters
        .upgrade()
        .map(|clusters| Arc::clone(&clusters.shared))
    {
        shared.unbalanced.notified().await;
        if let Some(clusters) = clusters.upgrade() {
            clusters.all().iter().for_each(|it| it.rebalance());
        }
    }
}

async fn tick(clusters: &Weak<Clusters>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut count = 0_u32;
    loop {
        ticks.tick().await;
        let Some(clusters) = clusters.upgrade() else {
            break;
        };
        let now = net::clock::now();
        for cluster in clusters.all() {
            cluster.sweep(now);
            cluster.count_open();
        }
        // A backend that was asked for just now may have checks to start.
        clusters.check();
        count = count.wrapping_add(1);
        if count.is_multiple_of(TICKS_PER_SWEEP) {
            clusters.sweep();
        }
    }
}
