//! The task of a connection of HTTP/2, and when the connection has lived long enough.

use std::{
    pin::pin,
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::{Ping, PingPong, client::Connection};
use mesh::backend::ConnectionPool;

use super::Facts;
use crate::upstream::{
    http1::first,
    pool::{Ending, HostPool},
    socket::Socket,
};

/// Drives a connection until it ends.
pub(super) async fn drive(
    connection: Connection<Socket, Bytes>,
    facts: Arc<Facts>,
    tending: impl Future<Output = ()>,
    ending: Ending,
    host: Arc<str>,
) {
    let mut connection = pin!(connection);
    let mut tending = pin!(tending);
    loop {
        tokio::select! {
            result = &mut connection => {
                match result {
                    Ok(()) => tracing::debug!(%host, "connection ended"),
                    Err(error) => tracing::debug!(%host, %error, "connection failed"),
                }
                break;
            }
            () = facts.nudge.notified() => {}
            () = &mut tending => {
                tracing::debug!(%host, "no answer to PING");
                break;
            }
        }
    }
    facts.is_leaving.store(true, Ordering::Relaxed);
    drop(ending);
}

/// Retires a connection that has long been idle, or is old; asks whether it still lives. Returns when it does not.
pub(super) async fn tend(
    pool: Weak<HostPool>,
    facts: Arc<Facts>,
    mut ping: Option<PingPong>,
    limits: ConnectionPool,
) {
    let born = net::clock::now();
    let end = limits.max_connection_duration.map(|oldest| born + oldest);
    let ping_after = |now: Instant| limits.http2_ping_interval.map(|after| now + after);
    let mut next_ping = ping_after(born).filter(|_| ping.is_some());
    let mut idle_until = limits.idle_timeout.map(|idle| born + idle);
    loop {
        let Some(wake) = first(first(idle_until, end), next_ping) else {
            return std::future::pending().await;
        };
        tokio::time::sleep_until(wake.into()).await;
        let now = net::clock::now();
        if next_ping.is_some_and(|at| at <= now) {
            if let Some(ping) = &mut ping {
                let limit = limits
                    .http2_ping_timeout
                    .or(limits.http2_ping_interval)
                    .unwrap_or(Duration::MAX);
                if !answers(ping, limit).await {
                    return;
                }
            }
            next_ping = ping_after(net::clock::now());
        }
        let is_idle = facts.streams.load(Ordering::Relaxed) == 0;
        let since = *facts.idle_since.lock();
        let is_late = idle_until.is_some_and(|at| at <= now);
        let is_forgotten = limits
            .idle_timeout
            .is_some_and(|idle| is_late && is_idle && since + idle <= now);
        if is_forgotten || end.is_some_and(|end| end <= now) {
            if let Some(pool) = pool.upgrade() {
                pool.retire(facts.member.number());
            }
            facts.leave();
            return std::future::pending().await;
        }
        if is_late {
            let from = if is_idle { since } else { now };
            idle_until = limits.idle_timeout.map(|idle| from + idle);
        }
    }
}

async fn answers(ping: &mut PingPong, limit: Duration) -> bool {
    // An error here is the connection's and shows there.
    tokio::time::timeout(limit, ping.ping(Ping::opaque()))
        .await
        .is_ok()
}
