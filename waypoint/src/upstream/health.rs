//! Active health checks: endpoints are asked whether they are well.
//!
//! In: policies that say how, endpoints. Out: endpoints that fail their checks, and a balancer that knows.
//! Never: on a connection that carries requests; another way to the endpoint than that of requests.
//!
//! Tasks: one per endpoint that is checked, on the first worker. [`Checks`] ends it when the endpoint, its backend or the
//! policy goes; it holds nothing that anyone waits for, so dropping it is safe.
//!
//! As Envoy: the first answer decides at once, then as many in a row as the thresholds say; a check that goes well ends
//! an ejection. A connection is made for every check, so that one that cannot be made is found out.

use std::{collections::HashMap, sync::Arc, time::Duration};

use identity::PeerCertificate;
use mesh::backend::HealthCheck;
use net::Workers;
use tokio::task::AbortHandle;

use crate::upstream::{Worker, cluster::Cluster, host::Host};

mod probe;

/// The checks that are under way.
#[derive(Debug)]
pub(super) struct Checks {
    workers: Workers,
    worker: Arc<Worker>,
    running: HashMap<Subject, Running>,
}

/// An endpoint of a backend. Both are known by where they are, which [`Running`] keeps from being used again.
type Subject = (usize, usize);

#[derive(Debug)]
struct Running {
    _cluster: Arc<Cluster>,
    _host: Arc<Host>,
    policy: HealthCheck,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Checks {
    pub(super) fn new(workers: Workers, worker: Arc<Worker>) -> Self {
        Self {
            workers,
            worker,
            running: HashMap::new(),
        }
    }

    /// Starts and ends checks, so that they are those of these backends.
    pub(super) fn follow(&mut self, clusters: &[Arc<Cluster>]) {
        let mut before = std::mem::take(&mut self.running);
        for cluster in clusters {
            let policy = cluster.policy();
            let Some(check) = &policy.health_check else {
                continue;
            };
            for host in cluster.hosts().iter() {
                let subject = (Arc::as_ptr(cluster).addr(), Arc::as_ptr(host).addr());
                let running = match before.remove(&subject) {
                    Some(running) if running.policy == *check => running,
                    Some(_) | None => self.start(cluster, host, check),
                };
                self.running.insert(subject, running);
            }
        }
    }

    fn start(&self, cluster: &Arc<Cluster>, host: &Arc<Host>, policy: &HealthCheck) -> Running {
        let task = check(
            Arc::clone(cluster),
            Arc::clone(host),
            Arc::clone(&self.worker),
            policy.clone(),
        );
        Running {
            _cluster: Arc::clone(cluster),
            _host: Arc::clone(host),
            policy: policy.clone(),
            task: self.workers.nth(0).spawn(task).abort_handle(),
        }
    }

    /// Lets go of tunnels to a peer that is not believed any more.
    pub(super) fn let_go(&self, believed: &dyn Fn(&PeerCertificate) -> bool) {
        self.worker.tunnels().let_go(believed);
    }
}

async fn check(cluster: Arc<Cluster>, host: Arc<Host>, worker: Arc<Worker>, policy: HealthCheck) {
    let mut row = Row::default();
    // Not all endpoints in the same moment.
    tokio::time::sleep(jitter(policy.interval) / 10).await;
    loop {
        let probe = probe::probe(&cluster, &host, &worker, &policy);
        let result = tokio::time::timeout(policy.timeout, probe).await;
        let well = match result {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::debug!(cluster = %cluster.name(), host = %host.name(), %error, "health check failed");
                false
            }
            Err(_elapsed) => {
                tracing::debug!(cluster = %cluster.name(), host = %host.name(), "health check took too long");
                false
            }
        };
        if let Some(well) = row.add(well, &policy) {
            apply(&cluster, &host, well);
        }
        let interval = policy.interval;
        tokio::time::sleep(interval + jitter(interval) / 10).await;
    }
}

/// The answers so far.
#[derive(Debug, Default)]
struct Row {
    /// The last one, and how many times in a row; `None` before the first.
    last: Option<(bool, u32)>,
}

impl Row {
    /// Adds an answer; what it shows, if it shows anything now.
    fn add(&mut self, well: bool, policy: &HealthCheck) -> Option<bool> {
        let (count, is_first) = match self.last {
            Some((last, count)) if last == well => (count.saturating_add(1), false),
            Some(_) => (1, false),
            None => (1, true),
        };
        self.last = Some((well, count));
        let enough = if well {
            policy.healthy_threshold
        } else {
            policy.unhealthy_threshold
        };
        (is_first || count >= enough.get()).then_some(well)
    }
}

fn apply(cluster: &Arc<Cluster>, host: &Arc<Host>, well: bool) {
    let was_failing = host.is_failing();
    let was_ejected = host.is_ejected();
    if was_failing == well {
        host.set_failing(!well, cluster.shared().since_epoch());
        let name = host.name();
        tracing::info!(cluster = %cluster.name(), host = %name, well, "health of an endpoint changed");
    }
    if well && was_ejected {
        cluster.recover(host);
    }
    if was_failing == well || (well && was_ejected) {
        cluster.unbalance();
    }
}

/// Any time up to `longest`.
fn jitter(longest: Duration) -> Duration {
    longest.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests;
