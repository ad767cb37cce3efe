//! `connectionPool`, and that of `defaultTrafficPolicy` of the mesh.

use yaml::{Cursor, Error, scalar::word};

use crate::{
    objects::destination_rule::{
        ConnectionPool, H2Upgrade, Http2Keepalive, HttpPool, TcpKeepalive, TcpPool,
    },
    read::{
        duration, field,
        number::{self, optional_count},
    },
};

const TCP_FIELDS: &[&str] = &[
    "connectTimeout",
    "idleTimeout",
    "maxConnectionDuration",
    "maxConnections",
    "tcpKeepalive",
];
const HTTP_FIELDS: &[&str] = &[
    "h2UpgradePolicy",
    "http1MaxPendingRequests",
    "http2KeepAlive",
    "http2MaxRequests",
    "idleTimeout",
    "maxConcurrentStreams",
    "maxRequestsPerConnection",
    "maxRetries",
    "useClientProtocol",
];

/// Source: Istio, `maxRequestsPerConnection`: up to 2^29.
const MAX_REQUESTS_PER_CONNECTION: u32 = 1 << 29;

pub(in crate::read) fn connection_pool(at: &Cursor<'_>) -> Result<ConnectionPool, Error> {
    const POOL: &str = "a mapping with tcp or http";
    let object = at.object(POOL, &["http", "tcp"])?;
    let tcp = object.nullable("tcp", tcp)?;
    let http = object.nullable("http", http)?;
    if tcp.is_none() && http.is_none() {
        return Err(at.unexpected(POOL));
    }
    Ok(ConnectionPool {
        tcp: tcp.unwrap_or_default(),
        http: http.unwrap_or_default(),
    })
}

fn tcp(at: &Cursor<'_>) -> Result<TcpPool, Error> {
    let object = at.object("a mapping with maxConnections or the like", TCP_FIELDS)?;
    Ok(TcpPool {
        max_connections: optional_count(&object, "maxConnections")?,
        connect_timeout: object.nullable("connectTimeout", duration::positive)?,
        keepalive: object.nullable("tcpKeepalive", tcp_keepalive)?,
        max_connection_duration: object.nullable("maxConnectionDuration", duration::positive)?,
        idle_timeout: object.nullable("idleTimeout", duration::any)?,
    })
}

fn tcp_keepalive(at: &Cursor<'_>) -> Result<TcpKeepalive, Error> {
    let object = at.object(
        "a mapping with time, interval and probes",
        &["interval", "probes", "time"],
    )?;
    Ok(TcpKeepalive {
        probes: optional_count(&object, "probes")?,
        time: object.nullable("time", duration::positive)?,
        interval: object.nullable("interval", duration::positive)?,
    })
}

fn http(at: &Cursor<'_>) -> Result<HttpPool, Error> {
    const PER_CONNECTION: &str = "a whole number from 0 to 536870912";
    let object = at.object("a mapping with http2MaxRequests or the like", HTTP_FIELDS)?;
    let upgrades = [
        ("DEFAULT", H2Upgrade::Default),
        ("DO_NOT_UPGRADE", H2Upgrade::DoNot),
        ("UPGRADE", H2Upgrade::Upgrade),
    ];
    let per_connection = object.nullable("maxRequestsPerConnection", |at| {
        number::within(at, 0..=MAX_REQUESTS_PER_CONNECTION, PER_CONNECTION)
    })?;
    let pool = HttpPool {
        max_pending_requests: optional_count(&object, "http1MaxPendingRequests")?,
        max_requests: optional_count(&object, "http2MaxRequests")?,
        max_requests_per_connection: per_connection.filter(|count| *count != 0),
        max_retries: optional_count(&object, "maxRetries")?,
        idle_timeout: object.nullable("idleTimeout", duration::any)?,
        h2_upgrade: object
            .nullable("h2UpgradePolicy", |at| word(at, &upgrades))?
            .unwrap_or_default(),
        use_client_protocol: field::switch(&object, "useClientProtocol")?,
        max_concurrent_streams: optional_count(&object, "maxConcurrentStreams")?,
        http2_keepalive: object.nullable("http2KeepAlive", http2_keepalive)?,
    };
    if pool.use_client_protocol && pool.h2_upgrade == H2Upgrade::Upgrade {
        let expected = "not UPGRADE together with useClientProtocol";
        return field::refuse(&object, "h2UpgradePolicy", expected);
    }
    Ok(pool)
}

fn http2_keepalive(at: &Cursor<'_>) -> Result<Http2Keepalive, Error> {
    let object = at.object(
        "a mapping with interval and timeout",
        &["interval", "timeout"],
    )?;
    Ok(Http2Keepalive {
        interval: object.nullable("interval", duration::positive)?,
        timeout: object.nullable("timeout", duration::positive)?,
    })
}
