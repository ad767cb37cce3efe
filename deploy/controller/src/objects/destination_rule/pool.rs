//! `connectionPool`. Numbers that are 0 in a manifest are as if they were absent, as in Istio's API.

use std::time::Duration;

/// Limits of connections and requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionPool {
    /// `tcp`.
    pub tcp: TcpPool,
    /// `http`.
    pub http: HttpPool,
}

/// `tcp`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpPool {
    /// `maxConnections`; `None` is 2^32-1.
    pub max_connections: Option<u32>,
    /// `connectTimeout`; `None` is 10 s.
    pub connect_timeout: Option<Duration>,
    /// `tcpKeepalive`.
    pub keepalive: Option<TcpKeepalive>,
    /// `maxConnectionDuration`; `None` is without end.
    pub max_connection_duration: Option<Duration>,
    /// `idleTimeout`; `None` is 1 h, zero is without end.
    pub idle_timeout: Option<Duration>,
}

/// `tcpKeepalive`; what is absent is the kernel's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the API")]
pub struct TcpKeepalive {
    pub probes: Option<u32>,
    pub time: Option<Duration>,
    pub interval: Option<Duration>,
}

/// `http`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpPool {
    /// `http1MaxPendingRequests`; `None` is 2^32-1.
    pub max_pending_requests: Option<u32>,
    /// `http2MaxRequests`: at once, of either version; `None` is 2^32-1.
    pub max_requests: Option<u32>,
    /// `maxRequestsPerConnection`; `None` is without end.
    pub max_requests_per_connection: Option<u32>,
    /// `maxRetries` at once; `None` is 2^32-1.
    pub max_retries: Option<u32>,
    /// `idleTimeout`; `None` is 1 h, zero is without end.
    pub idle_timeout: Option<Duration>,
    /// `h2UpgradePolicy`.
    pub h2_upgrade: H2Upgrade,
    /// `useClientProtocol`.
    pub use_client_protocol: bool,
    /// `maxConcurrentStreams` of a connection; `None` is 2^31-1.
    pub max_concurrent_streams: Option<u32>,
    /// `http2KeepAlive`.
    pub http2_keepalive: Option<Http2Keepalive>,
}

/// `h2UpgradePolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum H2Upgrade {
    /// `DEFAULT`: the mesh's.
    #[default]
    Default,
    /// `DO_NOT_UPGRADE`.
    DoNot,
    /// `UPGRADE`: HTTP/2 to endpoints, whatever the client speaks.
    Upgrade,
}

/// `http2KeepAlive`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Http2Keepalive {
    /// `interval` between pings; `None` is none.
    pub interval: Option<Duration>,
    /// `timeout` of an answer; `None` is the default.
    pub timeout: Option<Duration>,
}
