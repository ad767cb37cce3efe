//! `ambit.waypoint.v1.BackendPolicy`.
//!
//! What is absent gets the default that is written at its field. A number out of its range refuses the policy: the limit
//! that was meant is not known, and none would be the opposite of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use mesh::backend::{
    BackendKey, BackendPolicy, ConnectionPool, ProxyVersion, RetryBudget, TcpKeepalive,
    TrafficPolicy, Upgrade,
    pool::{DEFAULT_CONNECT_TIMEOUT, DEFAULT_IDLE_TIMEOUT},
};

use super::{error::Fault, field, names::Names};
use crate::proto::waypoint as proto;

mod balancing;
mod health;
mod locality;

/// All of a whole, in parts per million.
const WHOLE_PPM: u32 = 1_000_000;

/// Reads a policy.
pub(super) fn read(read: &proto::BackendPolicy, names: &mut Names) -> Result<BackendPolicy, Fault> {
    let (namespace, hostname) = field::namespaced_hostname("service", &read.service)?;
    let subset = field::label("subset", &read.subset)?;
    let key = BackendKey {
        service: names.service(namespace, &hostname),
        subset: names.labels.share(subset),
    };
    let mut ports = BTreeMap::new();
    for (number, policy) in &read.ports {
        let within = format!("ports[{number}]");
        let port = field::port(&within, *number)?.get();
        let policy = traffic_policy(Some(policy)).map_err(|fault| fault.within(&within))?;
        ports.insert(port, Arc::new(policy));
    }
    let policy = traffic_policy(read.policy.as_ref()).map_err(|fault| fault.within("policy"))?;
    Ok(BackendPolicy {
        key,
        policy: Arc::new(policy),
        ports,
    })
}

/// Reads what is done with endpoints; absent is all defaults.
pub(super) fn traffic_policy(read: Option<&proto::TrafficPolicy>) -> Result<TrafficPolicy, Fault> {
    let Some(read) = read else {
        return Ok(TrafficPolicy::default());
    };
    Ok(TrafficPolicy {
        load_balancer: optional(
            "load_balancer",
            read.load_balancer.as_ref(),
            balancing::read,
        )?
        .unwrap_or_default(),
        pool: optional("pool", read.pool.as_ref(), pool)?.unwrap_or_default(),
        outlier: optional("outlier", read.outlier.as_ref(), health::outlier)?,
        retry_budget: optional("retry_budget", read.retry_budget.as_ref(), retry_budget)?,
        health_check: optional("health_check", read.health_check.as_ref(), health::check)?,
        locality: optional("locality", read.locality.as_ref(), locality::read)?,
        proxy_protocol: proxy_protocol(read.proxy_protocol)?,
    })
}

fn proxy_protocol(number: i32) -> Result<Option<ProxyVersion>, Fault> {
    let expected = "a number of the enum ProxyProtocol";
    Ok(match field::choice("proxy_protocol", number, expected)? {
        proto::ProxyProtocol::ProxyNone => None,
        proto::ProxyProtocol::ProxyV1 => Some(ProxyVersion::V1),
        proto::ProxyProtocol::ProxyV2 => Some(ProxyVersion::V2),
    })
}

fn pool(read: &proto::ConnectionPool) -> Result<ConnectionPool, Fault> {
    let keepalive = |read: &proto::TcpKeepalive| TcpKeepalive {
        probes: number(read.probes),
        time: duration(read.time_us),
        interval: duration(read.interval_us),
    };
    Ok(ConnectionPool {
        max_connections: read.max_connections,
        max_pending_requests: read.max_pending_requests,
        max_requests: read.max_requests,
        max_retries: read.max_retries,
        max_requests_per_connection: number(read.max_requests_per_connection),
        max_concurrent_streams: read.max_concurrent_streams,
        connect_timeout: duration(read.connect_timeout_us).unwrap_or(DEFAULT_CONNECT_TIMEOUT),
        idle_timeout: read
            .idle_timeout_us
            .map_or(Some(DEFAULT_IDLE_TIMEOUT), duration),
        max_connection_duration: duration(read.max_connection_duration_us),
        keepalive: read.keepalive.as_ref().map(keepalive),
        http2_ping_interval: duration(read.http2_ping_interval_us),
        http2_ping_timeout: duration(read.http2_ping_timeout_us),
        http2: match field::choice("http2", read.http2, "a number of the enum Upgrade")? {
            proto::Upgrade::Default => Upgrade::Default,
            proto::Upgrade::Http2 => Upgrade::Http2,
            proto::Upgrade::Http1 => Upgrade::Http1,
            proto::Upgrade::Client => Upgrade::Client,
        },
    })
}

fn retry_budget(read: &proto::RetryBudget) -> Result<RetryBudget, Fault> {
    Ok(RetryBudget {
        share_ppm: share("share_ppm", read.share_ppm)?,
        min_concurrency: read.min_concurrency,
        interval: duration(read.interval_us),
    })
}

/// A time; 0 is none.
pub(super) fn duration(us: u64) -> Option<Duration> {
    (us > 0).then(|| Duration::from_micros(us))
}

/// A limit; 0 is none.
fn number(number: u32) -> Option<u32> {
    (number > 0).then_some(number)
}

fn share(field: &str, ppm: u32) -> Result<u32, Fault> {
    if ppm <= WHOLE_PPM {
        Ok(ppm)
    } else {
        Err(Fault::new(field, ppm.to_string(), "at most 1000000"))
    }
}

/// Reads a message that may be absent.
pub(super) fn optional<T, U>(
    field: &str,
    read: Option<&T>,
    convert: impl FnOnce(&T) -> Result<U, Fault>,
) -> Result<Option<U>, Fault> {
    let converted = read.map(convert).transpose();
    converted.map_err(|fault| fault.within(field))
}

#[cfg(test)]
mod tests;
