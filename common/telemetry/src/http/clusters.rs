//! Statistics of backends, under the names that dashboards of Envoy ask for.
//!
//! Counters among them have no `_total`, as in Envoy; OpenMetrics does not know such a counter, so their type is given
//! as unknown, which Prometheus treats alike.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::RwLock;
use prometheus_client::{encoding::DescriptorEncoder, metrics::MetricType};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn increment(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that rises and falls, never below 0.
#[derive(Debug, Default)]
pub struct Level(AtomicU64);

impl Level {
    /// One more.
    pub fn increment(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// One less.
    pub fn decrement(&self) {
        // A call too many must not show 18 quintillion.
        let _ = self
            .0
            .fetch_update(Relaxed, Relaxed, |value| value.checked_sub(1));
    }

    /// This many; 1 and 0 for what is and what is not.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! statistics {
    (
        counts { $(#[doc = $count_doc:literal] $count:ident = $count_name:literal;)* }
        levels { $(#[doc = $level_doc:literal] $level:ident = $level_name:literal;)* }
    ) => {
        /// The statistics of one backend, shared by all workers.
        ///
        /// **Source:** Envoy, "Cluster manager statistics".
        #[derive(Debug)]
        pub struct ClusterStats {
            name: Box<str>,
            $(#[doc = $count_doc] pub $count: Count,)*
            $(#[doc = $level_doc] pub $level: Level,)*
        }

        impl ClusterStats {
            fn new(name: &str) -> Self {
                Self {
                    name: name.into(),
                    $($count: Count::default(),)*
                    $($level: Level::default(),)*
                }
            }
        }

        /// Name, help, type and value of every statistic.
        const STATISTICS: &[Statistic] = &[
            $(Statistic {
                name: $count_name,
                help: $count_doc,
                kind: Kind::Count,
                value: |stats| stats.$count.get(),
            },)*
            $(Statistic {
                name: $level_name,
                help: $level_doc,
                kind: Kind::Level,
                value: |stats| stats.$level.get(),
            },)*
        ];
    };
}

statistics! {
    counts {
        /// Attempts after the first
        upstream_rq_retry = "envoy_cluster_upstream_rq_retry";
        /// Attempts after the first that succeeded
        upstream_rq_retry_success = "envoy_cluster_upstream_rq_retry_success";
        /// Attempts after the first that were not made for want of a budget
        upstream_rq_retry_overflow = "envoy_cluster_upstream_rq_retry_overflow";
        /// Requests that took too long
        upstream_rq_timeout = "envoy_cluster_upstream_rq_timeout";
        /// Requests that were refused for the limit of pending ones
        upstream_rq_pending_overflow = "envoy_cluster_upstream_rq_pending_overflow";
        /// Ejections of endpoints
        outlier_detection_ejections_total = "envoy_cluster_outlier_detection_ejections_total";
    }
    levels {
        /// Connections that are open
        upstream_cx_active = "envoy_cluster_upstream_cx_active";
        /// Whether the limit of connections is reached
        circuit_breakers_default_cx_open = "envoy_cluster_circuit_breakers_default_cx_open";
        /// Whether the limit of requests is reached
        circuit_breakers_default_rq_open = "envoy_cluster_circuit_breakers_default_rq_open";
        /// Whether the limit of pending requests is reached
        circuit_breakers_default_rq_pending_open = "envoy_cluster_circuit_breakers_default_rq_pending_open";
        /// Whether the limit of retries is reached
        circuit_breakers_default_rq_retry_open = "envoy_cluster_circuit_breakers_default_rq_retry_open";
        /// Endpoints that are ejected
        outlier_detection_ejections_active = "envoy_cluster_outlier_detection_ejections_active";
        /// Endpoints that may be given requests
        membership_healthy = "envoy_cluster_membership_healthy";
        /// Endpoints
        membership_total = "envoy_cluster_membership_total";
    }
}

impl ClusterStats {
    /// The backend.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

struct Statistic {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    value: fn(&ClusterStats) -> u64,
}

#[derive(Clone, Copy)]
enum Kind {
    Count,
    Level,
}

impl Kind {
    const fn metric_type(self) -> MetricType {
        match self {
            Self::Count => MetricType::Unknown,
            Self::Level => MetricType::Gauge,
        }
    }
}

/// The statistics that are in use, by name. **Shape:** as many as there are backends; one leaves with its last user.
#[derive(Debug, Default)]
pub(super) struct Clusters(RwLock<HashMap<Box<str>, Weak<ClusterStats>>>);

impl Clusters {
    /// The statistics of that name.
    pub(super) fn of(&self, name: &str) -> Arc<ClusterStats> {
        if let Some(found) = self.0.read().get(name).and_then(Weak::upgrade) {
            return found;
        }
        let mut clusters = self.0.write();
        if let Some(found) = clusters.get(name).and_then(Weak::upgrade) {
            return found;
        }
        clusters.retain(|_, stats| stats.strong_count() > 0);
        let stats = Arc::new(ClusterStats::new(name));
        clusters.insert(name.into(), Arc::downgrade(&stats));
        stats
    }

    /// Encodes all of them, by name.
    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut all: Vec<Arc<ClusterStats>> =
            self.0.read().values().filter_map(Weak::upgrade).collect();
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        for statistic in STATISTICS {
            let mut metric = encoder.encode_descriptor(
                statistic.name,
                statistic.help.trim(),
                None,
                statistic.kind.metric_type(),
            )?;
            for stats in &all {
                metric
                    .encode_family(&[("cluster_name", stats.name())])?
                    .encode_gauge(&(statistic.value)(stats))?;
            }
        }
        Ok(())
    }
}
