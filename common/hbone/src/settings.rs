//! What both sides announce and keep to. Source: `HTTP2_*` and `POOL_*` of Istio's ztunnel.

use std::time::Duration;

use crate::held;

/// Settings of every tunnel of a process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What a peer may send on one stream before it is read. Units: bytes.
    pub stream_window: u32,
    /// What a peer may send on one connection at least. Units: bytes. A tunnel of many streams is given more.
    pub connection_window: u32,
    /// The largest frame that is accepted. Units: bytes.
    pub frame_size: u32,
    /// Streams that a client opens on one tunnel, at most.
    pub max_streams: u32,
    /// How long a tunnel without streams is kept.
    pub timeout_idle: Duration,
    /// Quiet before a PING, and between PINGs.
    pub ping_interval: Duration,
    /// How long a PING may stay without answer before the tunnel is given up.
    pub ping_timeout: Duration,
    /// Longest wait for the TLS handshake.
    pub timeout_handshake: Duration,
    /// Longest wait for the answer to a CONNECT. The server connects to the application meanwhile, which it
    /// gives up after 10 s.
    pub timeout_response: Duration,
}

/// Streams that a server lets a client open. Istio's ztunnel announces the same.
pub const MAX_SERVER_STREAMS: u32 = 200;
/// Header bytes that a server reads of one request.
pub const MAX_REQUEST_HEADER_BYTES: u32 = 65_536;
/// Header bytes that a client reads of one response.
pub const MAX_RESPONSE_HEADER_BYTES: u32 = 16_384;
/// What a stream buffers for a tunnel that is slower than its application. Units: bytes.
pub const MAX_SEND_BUFFER_BYTES: usize = 256 * 1024;
/// RFC 9113 §6.9.1.
const MAX_WINDOW: u32 = (1 << 31) - 1;
/// What h2 lets small unread DATA frames cost before it closes the connection. An application that writes
/// single bytes to a reader that is busy makes many of them and means no harm, so the stream windows are what
/// bounds memory. Units: bytes.
pub(crate) const DATA_FRAME_BUDGET: usize = 16 * 1024 * 1024;

impl Default for Settings {
    fn default() -> Self {
        Self {
            stream_window: 4 * 1024 * 1024,
            connection_window: 16 * 1024 * 1024,
            frame_size: 1024 * 1024,
            max_streams: 100,
            timeout_idle: Duration::from_secs(300),
            ping_interval: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(20),
            timeout_handshake: Duration::from_secs(10),
            timeout_response: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// The windows of a stream and of a connection that carries up to `streams` of them. Units: bytes.
    ///
    /// The connection's is the sum of the streams', so that applications which have stopped reading use up their own
    /// windows and never the connection's: a stalled stream stalls nobody else. Both are small while the process
    /// holds much already.
    pub(crate) fn windows(&self, streams: u32) -> (u32, u32) {
        let stream = held::window(self.stream_window);
        let connection = stream
            .saturating_mul(streams)
            .max(self.connection_window)
            .min(MAX_WINDOW);
        (stream, connection)
    }
}
