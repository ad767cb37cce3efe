//! Who is left out for what it answers: outlier detection, wired to endpoints.
//!
//! In: what came of every try. Out: endpoints that are left out and come back, and a balancer that knows.
//! Never: judges by itself; [`decision::outlier`] does.
//!
//! A success costs a look at three counts. The lock is taken when a count is full, which is rare, and once an interval.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use decision::outlier::{Cause, Detector, Outcome};
use mesh::backend::OutlierDetection;
use parking_lot::Mutex;

use crate::upstream::{cluster::Cluster, host::Host};

/// What is known of the endpoints of a backend together.
#[derive(Debug, Default)]
pub(super) struct Judge {
    detector: Mutex<Detector>,
    /// When the interval ends, as time since the epoch. Units: milliseconds.
    next: AtomicU64,
}

impl Cluster {
    /// Takes note of what came of a try.
    pub(super) fn record(self: &Arc<Self>, host: &Arc<Host>, outcome: Outcome) {
        let state = self.state.load();
        let Some(policy) = &state.policy.outlier else {
            return;
        };
        if let Some(cause) = host.counts.record(policy, outcome) {
            let endpoints = state.hosts.len();
            self.eject(policy, host, cause, endpoints);
        }
    }

    fn eject(
        self: &Arc<Self>,
        policy: &OutlierDetection,
        host: &Arc<Host>,
        cause: Cause,
        endpoints: usize,
    ) {
        let now = net::clock::now();
        let ejected = {
            let mut detector = self.judge.detector.lock();
            let mut history = host.history.lock();
            // What was under way to one that has left meanwhile counts for nothing: nobody would take it back.
            let Some(history) = &mut *history else {
                return;
            };
            let ejected = detector.eject(policy, endpoints, &host.counts, history, cause, now);
            host.set_ejected(history.is_ejected());
            ejected
        };
        let Some(length) = ejected else {
            return;
        };
        let (cluster, host, seconds) = (self.name(), host.name(), length.as_secs());
        tracing::info!(%cluster, %host, ?cause, seconds, "endpoint is left out");
        self.stats().outlier_detection_ejections_total.increment();
        self.unbalance();
    }

    /// Looks whose time is over, if an interval has ended.
    pub(super) fn sweep(self: &Arc<Self>, now: Instant) {
        let state = self.state.load_full();
        let Some(policy) = &state.policy.outlier else {
            return;
        };
        let since = self.shared.since_epoch();
        if millis(since) < self.judge.next.load(Ordering::Relaxed) {
            return;
        }
        self.judge
            .next
            .store(millis(since + policy.interval), Ordering::Relaxed);
        let mut is_changed = false;
        {
            let mut detector = self.judge.detector.lock();
            for host in state.hosts.iter() {
                let mut history = host.history.lock();
                let Some(history) = &mut *history else {
                    continue;
                };
                if detector.sweep(policy, &host.counts, history, now) {
                    host.set_ejected(false);
                    is_changed = true;
                    tracing::info!(cluster = %self.name(), host = %host.name(), "endpoint is back");
                }
            }
        }
        if is_changed {
            self.add_health_change();
            self.rebalance();
        }
    }

    /// Takes back an endpoint that a health check has found well. The caller says that the balancer is behind.
    pub(super) fn recover(&self, host: &Host) {
        let mut detector = self.judge.detector.lock();
        let mut history = host.history.lock();
        if let Some(history) = &mut *history {
            detector.recover(&host.counts, history, net::clock::now());
            host.set_ejected(history.is_ejected());
        }
    }

    /// Forgets an endpoint that is one no more.
    pub(super) fn forget(&self, host: &Host) {
        let mut detector = self.judge.detector.lock();
        if let Some(history) = host.history.lock().take() {
            detector.forget(&history);
        }
    }

    /// How many endpoints are left out.
    pub(super) fn ejected(&self) -> usize {
        self.judge.detector.lock().ejected()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
