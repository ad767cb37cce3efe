//! Blocks of a policy as they go over the wire.

use wire::proto::waypoint::{
    ConnectionPool as WirePool, ConsistentHash as WireHash, GrpcCheck, HashCookie, Header,
    HealthCheck as WireCheck, HttpCheck, LoadBalancer as WireBalancer, Maglev,
    OutlierDetection as WireOutlier, ProxyProtocol, RetryBudget as WireBudget, RingHash, Simple,
    StatusRange as WireRange, TcpCheck, TcpKeepalive, TrafficPolicy, Upgrade, Warmup,
    consistent_hash::{Key, Table},
    health_check,
    load_balancer::Kind,
};

use super::policy::{Blocks, locality};
use crate::{
    objects::{
        MeshConfig,
        destination_rule::{
            self as object, Algorithm, ConnectionPool, H2Upgrade, HashKey, HashTable, LoadBalancer,
            OutlierDetection, RetryBudget,
        },
        traffic_policy::{HealthCheck, Probe},
    },
    render::routing::convert::{micros, micros_or_none},
};

/// All blocks but those that only a rule or a TrafficPolicy has; a rule may ask for PROXY headers beside them.
pub(in crate::render::routing) fn traffic_policy(
    blocks: &Blocks<'_>,
    has_preference: bool,
    config: &MeshConfig,
) -> TrafficPolicy {
    TrafficPolicy {
        load_balancer: blocks.load_balancer.map(load_balancer),
        pool: blocks.pool.map(pool),
        outlier: blocks.outlier.map(outlier),
        retry_budget: None,
        health_check: None,
        locality: locality(blocks, has_preference, config),
        proxy_protocol: ProxyProtocol::ProxyNone.into(),
    }
}

fn load_balancer(it: &LoadBalancer) -> WireBalancer {
    let simple = |it: Simple| Kind::Simple(it.into());
    let kind = match &it.algorithm {
        None | Some(Algorithm::LeastRequest) => simple(Simple::LeastRequest),
        Some(Algorithm::RoundRobin) => simple(Simple::RoundRobin),
        Some(Algorithm::Random) => simple(Simple::Random),
        Some(Algorithm::Passthrough) => simple(Simple::Passthrough),
        Some(Algorithm::ConsistentHash(it)) => Kind::Hash(hash(it)),
    };
    WireBalancer {
        kind: Some(kind),
        warmup: it.warmup.as_ref().map(warmup),
    }
}

fn hash(it: &object::ConsistentHash) -> WireHash {
    let key = match &it.key {
        HashKey::Header(name) => Key::Header(name.clone()),
        HashKey::Cookie(cookie) => Key::Cookie(HashCookie {
            name: cookie.name.clone(),
            path: cookie.path.clone(),
            ttl_us: cookie.ttl.map(micros),
            attributes: cookie
                .attributes
                .iter()
                .map(|(name, value)| Header {
                    name: name.clone(),
                    value: value.clone(),
                })
                .collect(),
        }),
        HashKey::SourceIp => Key::SourceIp(true),
        HashKey::QueryParameter(name) => Key::QueryParameter(name.clone()),
    };
    let table = match it.table {
        HashTable::Ring { minimum_size } => Table::Ring(RingHash {
            minimum_size: minimum_size.into(),
        }),
        HashTable::Maglev { table_size } => Table::Maglev(Maglev {
            table_size: table_size.into(),
        }),
    };
    WireHash {
        key: Some(key),
        table: Some(table),
    }
}

fn warmup(it: &object::Warmup) -> Warmup {
    Warmup {
        duration_us: micros(it.duration),
        minimum_ppm: it.minimum.parts_per_million(),
        aggression_milli: thousandths(it.aggression),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates, and it is at least 1.0"
)]
fn thousandths(number: f64) -> u32 {
    (number * 1000.0).round() as u32
}

fn pool(it: &ConnectionPool) -> WirePool {
    let (tcp, http) = (&it.tcp, &it.http);
    let ping = http.http2_keepalive.unwrap_or_default();
    let http2 = match (http.use_client_protocol, http.h2_upgrade) {
        (true, _) => Upgrade::Client,
        (false, H2Upgrade::Default) => Upgrade::Default,
        (false, H2Upgrade::Upgrade) => Upgrade::Http2,
        (false, H2Upgrade::DoNot) => Upgrade::Http1,
    };
    WirePool {
        max_connections: tcp.max_connections,
        max_pending_requests: http.max_pending_requests,
        max_requests: http.max_requests,
        max_retries: http.max_retries,
        max_requests_per_connection: http.max_requests_per_connection.unwrap_or(0),
        max_concurrent_streams: http.max_concurrent_streams,
        connect_timeout_us: micros_or_none(tcp.connect_timeout),
        // Of connections of HTTP the former, of others the latter; the wire has one word for both.
        idle_timeout_us: http.idle_timeout.or(tcp.idle_timeout).map(micros),
        max_connection_duration_us: micros_or_none(tcp.max_connection_duration),
        keepalive: tcp.keepalive.map(|it| TcpKeepalive {
            probes: it.probes.unwrap_or(0),
            time_us: micros_or_none(it.time),
            interval_us: micros_or_none(it.interval),
        }),
        http2_ping_interval_us: micros_or_none(ping.interval),
        http2_ping_timeout_us: micros_or_none(ping.timeout),
        http2: http2.into(),
    }
}

fn outlier(it: &OutlierDetection) -> WireOutlier {
    WireOutlier {
        consecutive_5xx: it.consecutive_5xx,
        consecutive_gateway_errors: it.consecutive_gateway,
        split_local_origin: it.split_local_origin,
        consecutive_local_origin: it.consecutive_local_origin,
        interval_us: micros(it.interval),
        base_ejection_us: micros(it.base_ejection_time),
        max_ejection_percent: it.max_ejection_percent,
        min_health_percent: it.min_health_percent,
        error_statuses: it.error_codes.iter().copied().map(u32::from).collect(),
    }
}

/// Source: DestinationRule `proxyProtocol`.
pub(super) fn proxy_protocol(it: object::ProxyProtocol) -> ProxyProtocol {
    match it {
        object::ProxyProtocol::V1 => ProxyProtocol::ProxyV1,
        object::ProxyProtocol::V2 => ProxyProtocol::ProxyV2,
    }
}

pub(super) fn retry_budget(it: &RetryBudget) -> WireBudget {
    WireBudget {
        share_ppm: it.share.parts_per_million(),
        min_concurrency: it.min_concurrency,
        interval_us: micros_or_none(it.interval),
    }
}

pub(super) fn health_check(it: &HealthCheck) -> WireCheck {
    let kind = match &it.probe {
        Probe::Http {
            path,
            host,
            expected,
        } => health_check::Kind::Http(HttpCheck {
            path: path.clone(),
            host: host.clone().unwrap_or_default(),
            expected: expected
                .iter()
                .map(|it| WireRange {
                    first: it.first.into(),
                    last: it.last.into(),
                })
                .collect(),
        }),
        Probe::Grpc { service } => health_check::Kind::Grpc(GrpcCheck {
            service: service.clone(),
        }),
        Probe::Tcp => health_check::Kind::Tcp(TcpCheck {}),
    };
    WireCheck {
        kind: Some(kind),
        port: it.port.map(u32::from).unwrap_or_default(),
        interval_us: micros(it.interval),
        timeout_us: micros(it.timeout),
        unhealthy_threshold: it.unhealthy_threshold,
        healthy_threshold: it.healthy_threshold,
    }
}
