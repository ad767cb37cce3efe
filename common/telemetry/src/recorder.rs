//! Where stages report: the one recorder of a process.
//!
//! In: events. Out: counters and log lines; the text of a scrape.
//! Never: awaits; its one lock is shared by all who open connections and exclusive only for a new kind of one.

use std::{
    sync::{Arc, OnceLock, atomic::Ordering::Relaxed},
    time::Instant,
};

use parking_lot::RwLock;
use prometheus_client::{
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{
    access,
    connection::OpenConnection,
    event::{Connection, Direction, Reason},
    http::Http,
    logging::Logging,
    metrics::{
        Dns, Exposition,
        collector::Connections,
        series::Tcp,
        store::{Limits, Store},
    },
};

/// What is running, for `istio_build`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Build {
    /// For example `ztunnel`.
    pub component: &'static str,
    /// Its version.
    pub tag: &'static str,
}

/// Where stages report connections. Cheap to clone; all clones count in the same place.
#[derive(Clone, Debug)]
pub struct Telemetry(Arc<Shared>);

/// `istio_tcp_sockets_open`, by reporter.
#[derive(Debug)]
struct Sockets {
    inbound: Gauge,
    outbound: Gauge,
    /// Made when it is first asked for: a process without layer 7 has no such reporter.
    through: OnceLock<Gauge>,
    family: Family<[(&'static str, &'static str); 1], Gauge>,
}

impl Sockets {
    fn of(&self, direction: Direction) -> &Gauge {
        match direction {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
            Direction::Through => self
                .through
                .get_or_init(|| reported(&self.family, direction)),
        }
    }
}

fn reported(
    family: &Family<[(&'static str, &'static str); 1], Gauge>,
    direction: Direction,
) -> Gauge {
    family.get_or_create_owned(&[("reporter", direction.reporter())])
}

#[derive(Debug)]
struct Shared {
    began: Instant,
    store: Arc<Store<Tcp>>,
    /// Made when it is first asked for: a process without layer 7 shows none of its metrics.
    http: Arc<OnceLock<Http>>,
    logging: Logging,
    sockets: Sockets,
    dns: Dns,
    registry: RwLock<Registry>,
}

impl Telemetry {
    /// A recorder with nothing recorded; `now` is when the process began.
    #[must_use]
    pub fn new(build: Build, logging: Logging, now: Instant) -> Self {
        Self::with_limits(build, logging, now, Limits::default())
    }

    pub(crate) fn with_limits(
        build: Build,
        logging: Logging,
        now: Instant,
        limits: Limits,
    ) -> Self {
        let mut registry = Registry::default();
        let store = Arc::new(Store::new(now, limits));
        let http = Arc::new(OnceLock::new());
        let connections = Connections {
            store: Arc::clone(&store),
            http: Arc::clone(&http),
            queue: logging.queue(),
        };
        registry.register_collector(Box::new(connections));

        let family = Family::default();
        let sockets = Sockets {
            inbound: reported(&family, Direction::Inbound),
            outbound: reported(&family, Direction::Outbound),
            through: OnceLock::new(),
            family: family.clone(),
        };
        registry.register(
            "istio_tcp_sockets_open",
            "Captured sockets that are open now",
            family,
        );

        let builds = Family::<[(&str, &str); 2], Gauge>::default();
        builds
            .get_or_create_owned(&[("component", build.component), ("tag", build.tag)])
            .set(1);
        registry.register("istio_build", "What is running", builds);

        let dns = Dns::register(&mut registry);
        Self(Arc::new(Shared {
            began: now,
            store,
            http,
            logging,
            sockets,
            dns,
            registry: RwLock::new(registry),
        }))
    }

    /// Reports that a connection was opened. Counters are resolved here, once.
    #[must_use]
    pub fn opened(&self, connection: Connection, now: Instant) -> OpenConnection {
        access::opened(&self.0.logging, &connection);
        let lease = self.0.store.lease(&connection, now);
        OpenConnection::new(self.clone(), connection, lease, now)
    }

    /// Reports a connection that was refused before it was opened: it counts as failed only. `error` is the text
    /// for people, which a stage makes from its error and the chain of its sources.
    pub fn refused(&self, connection: &Connection, reason: Reason, error: &str, now: Instant) {
        let lease = self.0.store.lease(connection, now);
        lease.counters().failed[reason.flag().index()].fetch_add(1, Relaxed);
        access::refused(&self.0.logging, connection, error);
    }

    /// Counts a captured socket as open until the guard is dropped.
    #[must_use]
    pub fn socket(&self, direction: Direction) -> SocketGuard {
        let gauge = self.0.sockets.of(direction);
        gauge.inc();
        SocketGuard(gauge.clone())
    }

    /// Where requests of layer 7 are counted. Its metrics are shown from the first call on.
    #[must_use]
    pub fn http(&self) -> &Http {
        self.0.http.get_or_init(|| {
            let http = Http::new(self.0.began);
            http.register(&mut self.0.registry.write());
            http
        })
    }

    /// What a DNS proxy counts.
    #[must_use]
    pub fn dns(&self) -> &Dns {
        &self.0.dns
    }

    /// Reports that workloads left the mesh, in one batch per delta: `is_gone` holds for them. Their series go
    /// ten minutes after their last connection has ended, so that no scraper misses a last value; a series that
    /// other pods of the same owner use stays.
    pub fn forget_workloads(&self, is_gone: impl Fn(&mesh::Uid) -> bool) {
        self.0.store.forget(&is_gone);
        if let Some(http) = self.0.http.get() {
            http.forget_workloads(&is_gone);
        }
    }

    /// Adds the metrics of another component. Names are written in full, counters without `_total`.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.0.registry.write());
    }

    /// All metrics as text, after the removal of series that are over. It takes as long as there are series:
    /// not for a data worker.
    #[must_use]
    pub fn expose(&self, exposition: Exposition, now: Instant) -> String {
        self.0.store.expire(now);
        if let Some(http) = self.0.http.get() {
            http.expire(now);
        }
        exposition.render(&self.0.registry.read())
    }

    pub(crate) fn store(&self) -> &Store<Tcp> {
        &self.0.store
    }

    /// The log that lines go to.
    #[must_use]
    pub fn logging(&self) -> &Logging {
        &self.0.logging
    }
}

/// One open socket in `istio_tcp_sockets_open`.
#[derive(Debug)]
pub struct SocketGuard(Gauge);

impl Drop for SocketGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests;
