//! When a connection is asked to leave, so that no replica and no worker keeps what others could share.
//!
//! In: ages, loads, replicas, a number that is random. Out: whether, and when. Never: ends anything by itself, reads a clock.
//!
//! A client's ztunnel chooses a waypoint per connection and keeps its tunnels, so a connection of HTTP that never ends keeps
//! all of its requests on one replica, and a tunnel that never ends keeps all of its connections on one worker
//! (LB-12). Both are told to make new ones: after a while, and when they weigh on one side.

use std::time::Duration;

use mesh::endpoints::scale;
use net::drain::{Draining, Phase};
use tokio::sync::watch;

/// How long a connection of HTTP takes new requests. Source: what gRPC servers set as MAX_CONNECTION_AGE.
pub const MAX_HTTP_AGE: Duration = Duration::from_secs(5 * 60);
/// How long a tunnel takes new connections.
pub const MAX_TUNNEL_AGE: Duration = Duration::from_secs(15 * 60);
/// When replicas come, clients leave within this time, not all at once.
pub const SPREAD_GROWTH: Duration = Duration::from_secs(30);
/// How often a tunnel looks whether its worker has more to do than others.
pub const INTERVAL_BALANCE: Duration = Duration::from_secs(15);
/// How long an idle connection of HTTP/1 may go on after the process began to drain: closing it at once could meet a
/// request that is under way, a response can say so.
pub const GRACE_IDLE: Duration = Duration::from_secs(2);
/// The same where nothing urges: it is closed as an idle one. Source: Envoy's idle timeout.
pub const TIMEOUT_IDLE: Duration = Duration::from_secs(3600);

/// Ages differ by a fifth, so that what came together does not leave together.
#[must_use]
pub fn jittered(age: Duration, random: u64) -> Duration {
    let fifth = age / 5;
    let width = u64::try_from(fifth.as_millis())
        .unwrap_or(u64::MAX)
        .saturating_mul(2);
    let more = scale(random, width).unwrap_or_default();
    age - fifth + Duration::from_millis(more)
}

/// How many replicas the waypoint has, as it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replicas {
    /// Before the last change.
    pub before: usize,
    /// Now.
    pub now: usize,
}

impl Replicas {
    /// What a new count makes of it.
    #[must_use]
    pub fn becomes(self, now: usize) -> Self {
        Self {
            before: self.now,
            now,
        }
    }

    /// Whether one connection leaves for the replicas that have come: as many do as are theirs in a fair share.
    #[must_use]
    pub fn sheds(self, random: u64) -> bool {
        // From nothing: these connections are here because they were told of us first.
        if self.before == 0 || self.now <= self.before {
            return false;
        }
        scale(random, self.now as u64).is_some_and(|point| point >= self.before as u64)
    }
}

/// What one worker carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Tunnels.
    pub tunnels: usize,
    /// Connections in them.
    pub streams: usize,
}

/// Up to this many connections no worker has too much to do.
const MIN_STREAMS: usize = 16;

/// Whether one tunnel of a worker leaves it: only where the worker has a half more than its share and other tunnels, and then
/// with such a probability that what is too much leaves.
#[must_use]
pub fn sheds(own: Load, all: &[Load], random: u64) -> bool {
    let total: usize = all.iter().map(|load| load.streams).sum();
    let share = total / all.len().max(1);
    if own.tunnels < 2 || own.streams < MIN_STREAMS || own.streams <= share + share / 2 {
        return false;
    }
    scale(random, own.streams as u64).is_some_and(|point| point >= share as u64)
}

/// Why a connection is to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// The process ends.
    Draining,
    /// It is old.
    Age,
    /// Other replicas have come.
    Replicas,
    /// The waypoint does not stand before its target any more.
    Unserved,
}

impl Why {
    /// How long a connection that is idle may stay.
    #[must_use]
    pub fn grace(self) -> Duration {
        match self {
            Self::Draining | Self::Unserved => GRACE_IDLE,
            Self::Age | Self::Replicas => TIMEOUT_IDLE,
        }
    }
}

/// When one connection of HTTP is asked to leave.
#[derive(Debug)]
pub struct Departure {
    draining: Draining,
    replicas: watch::Receiver<Replicas>,
    age: Duration,
}

impl Departure {
    /// For a connection that has just come.
    #[must_use]
    pub fn new(draining: Draining, mut replicas: watch::Receiver<Replicas>, random: u64) -> Self {
        // What came before the connection is nothing to leave for.
        replicas.mark_unchanged();
        Self {
            draining,
            replicas,
            age: jittered(MAX_HTTP_AGE, random),
        }
    }

    /// Waits until it is. `random` is asked for each time replicas come.
    pub async fn asked(mut self, mut random: impl FnMut() -> u64) -> Why {
        let age = tokio::time::sleep(self.age);
        tokio::select! {
            () = self.draining.reached(Phase::Draining) => Why::Draining,
            () = age => Why::Age,
            () = shed(&mut self.replicas, &mut random) => Why::Replicas,
        }
    }
}

async fn shed(replicas: &mut watch::Receiver<Replicas>, random: &mut impl FnMut() -> u64) {
    while replicas.changed().await.is_ok() {
        let change = *replicas.borrow_and_update();
        if change.sheds(random()) {
            let spread = u64::try_from(SPREAD_GROWTH.as_millis()).unwrap_or(u64::MAX);
            let wait = Duration::from_millis(scale(random(), spread).unwrap_or_default());
            tokio::time::sleep(wait).await;
            return;
        }
    }
    std::future::pending::<()>().await;
}

#[cfg(test)]
mod tests;
