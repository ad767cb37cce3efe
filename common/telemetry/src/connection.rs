//! An open connection, as telemetry sees it: live byte counters, and exactly one end.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use crate::{
    access,
    event::{Connection, Outcome, Reason},
    metrics::series::{Lease, Tcp},
    recorder::Telemetry,
};

/// A connection between [`Telemetry::opened`] and its end.
///
/// **Shape:** it is counted as closed exactly once: by [`close`](Self::close), or when it is dropped, for example
/// with the task that held it, as aborted.
#[derive(Debug)]
pub struct OpenConnection {
    telemetry: Telemetry,
    connection: Connection,
    bytes: ByteCounters,
    opened_at: Instant,
    ended: bool,
}

/// What a connection has carried so far; metrics show it at once. **Units:** bytes.
#[derive(Debug)]
pub struct ByteCounters {
    received: AtomicU64,
    sent: AtomicU64,
    lease: Lease<Tcp>,
}

impl ByteCounters {
    /// Counts bytes that came from the initiator.
    pub fn add_received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Relaxed);
        self.lease.counters().received.fetch_add(bytes, Relaxed);
    }

    /// Counts bytes that went to the initiator.
    pub fn add_sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Relaxed);
        self.lease.counters().sent.fetch_add(bytes, Relaxed);
    }

    /// How many bytes of this connection came from the initiator.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// How many bytes of this connection went to the initiator.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }
}

impl OpenConnection {
    pub(crate) fn new(
        telemetry: Telemetry,
        connection: Connection,
        lease: Lease<Tcp>,
        opened_at: Instant,
    ) -> Self {
        lease.counters().opened.fetch_add(1, Relaxed);
        let bytes = ByteCounters {
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            lease,
        };
        Self {
            telemetry,
            connection,
            bytes,
            opened_at,
            ended: false,
        }
    }

    /// Where the relay counts.
    #[must_use]
    pub fn counters(&self) -> &ByteCounters {
        &self.bytes
    }

    /// What was reported of the connection.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Reports how it ended: the counters, and one line of the access log.
    pub fn close(mut self, outcome: Outcome, now: Instant) {
        self.end(&outcome, now);
    }

    fn end(&mut self, outcome: &Outcome, now: Instant) {
        self.ended = true;
        let lease = &self.bytes.lease;
        let counters = lease.counters();
        let flag = outcome.flag().index();
        counters.closed[flag].fetch_add(1, Relaxed);
        match outcome {
            Outcome::Complete => {}
            Outcome::Failed(_) => {
                counters.failed[flag].fetch_add(1, Relaxed);
            }
        }
        self.telemetry.store().touch(lease, now);
        access::closed(
            self.telemetry.logging(),
            &self.connection,
            self.bytes.sent(),
            self.bytes.received(),
            now.saturating_duration_since(self.opened_at),
            outcome,
        );
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        if !self.ended {
            self.end(
                &Outcome::failed(Reason::Aborted, "connection aborted"),
                net::clock::now(),
            );
        }
    }
}
