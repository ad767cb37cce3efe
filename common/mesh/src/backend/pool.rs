//! How many connections and requests there may be, and how long they live.

use std::time::Duration;

/// Limits and timeouts of the connections to a backend. `None` is no limit.
/// Source: DestinationRule `trafficPolicy.connectionPool`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionPool {
    /// Connections to all endpoints together (`tcp.maxConnections`).
    pub max_connections: Option<u32>,
    /// Requests that wait for a connection (`http.http1MaxPendingRequests`).
    pub max_pending_requests: Option<u32>,
    /// Requests that are under way (`http.http2MaxRequests`).
    pub max_requests: Option<u32>,
    /// Retries that are under way (`http.maxRetries`), unless there is a [`RetryBudget`].
    pub max_retries: Option<u32>,
    /// After how many requests a connection ends; 1 means no keep-alive.
    pub max_requests_per_connection: Option<u32>,
    /// Streams on one connection of HTTP/2 (`http.maxConcurrentStreams`).
    pub max_concurrent_streams: Option<u32>,
    /// How long connecting may take (`tcp.connectTimeout`).
    pub connect_timeout: Duration,
    /// After how long without a request a connection ends; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// After how long a connection ends in any case; `None`: never.
    pub max_connection_duration: Option<Duration>,
    /// `None`: the system does not ask whether a silent peer still lives.
    pub keepalive: Option<TcpKeepalive>,
    /// How often a PING is sent on a connection of HTTP/2; `None`: never.
    pub http2_ping_interval: Option<Duration>,
    /// How long its answer may take; `None`: as long as the interval.
    pub http2_ping_timeout: Option<Duration>,
    /// Which version of HTTP endpoints are spoken to in.
    pub http2: Upgrade,
}

/// Source: DestinationRule `tcp.connectTimeout`.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Source: DestinationRule `http.idleTimeout` and `tcp.idleTimeout`.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

impl Default for ConnectionPool {
    /// No limit, 10 seconds to connect, an hour of idleness.
    fn default() -> Self {
        Self {
            max_connections: None,
            max_pending_requests: None,
            max_requests: None,
            max_retries: None,
            max_requests_per_connection: None,
            max_concurrent_streams: None,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            idle_timeout: Some(DEFAULT_IDLE_TIMEOUT),
            max_connection_duration: None,
            keepalive: None,
            http2_ping_interval: None,
            http2_ping_timeout: None,
            http2: Upgrade::Default,
        }
    }
}

/// Which version of HTTP endpoints are spoken to in, where their port does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Upgrade {
    /// The client's on a port whose protocol was detected, otherwise what the port's protocol says.
    #[default]
    Default,
    /// HTTP/2 (`h2UpgradePolicy: UPGRADE`).
    Http2,
    /// HTTP/1.1 (`h2UpgradePolicy: DO_NOT_UPGRADE`).
    Http1,
    /// The client's (`useClientProtocol`).
    Client,
}

/// When the system asks whether a silent peer still lives. `None` is what the system does by itself.
/// Source: DestinationRule `tcp.tcpKeepalive`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpKeepalive {
    /// How often it asks before it gives up.
    pub probes: Option<u32>,
    /// How long a connection is silent before it first asks.
    pub time: Option<Duration>,
    /// How long it waits between two.
    pub interval: Option<Duration>,
}

/// How many retries there may be at once, relative to the requests. Source: DestinationRule `retryBudget`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RetryBudget {
    /// Of the requests that are under way and waiting. Units: parts per million.
    pub share_ppm: u32,
    /// So many are allowed in any case.
    pub min_concurrency: u32,
    /// The requests of this last time count in the place of those of the moment.
    pub interval: Option<Duration>,
}
