//! What is done to a subject in a block.

use std::fmt;

use serde::Serialize;

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    /// Client to server.
    Up,
    /// Server to client.
    Down,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// One kind of load. All of them go from one client pod to one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(crate) enum Scenario {
    /// As many bytes as pass, in writes of [`crate::load::CHUNK`].
    Bulk {
        /// Which way.
        direction: Direction,
        /// Connections, each with a thread on both sides.
        streams: usize,
    },
    /// A closed loop of small requests over standing connections: each has one outstanding.
    Requests {
        /// Standing connections.
        connections: usize,
    },
    /// A closed loop of connect, request, response, close.
    Connections {
        /// Connections that are at it at a time.
        parallel: usize,
    },
    /// The same, one at a time and blocking, timed in parts: what one connection costs whoever waits for it.
    Dials,
    /// Requests while one stream of bulk passes between the same pods.
    Mixed {
        /// Which way the bulk goes.
        direction: Direction,
        /// Standing connections of the requests.
        connections: usize,
    },
}

impl Scenario {
    /// The scenario that this one is compared with: the same requests with nothing beside them.
    pub(crate) fn alone(self) -> Option<Self> {
        match self {
            Self::Mixed { connections, .. } => Some(Self::Requests { connections }),
            Self::Bulk { .. } | Self::Requests { .. } | Self::Connections { .. } | Self::Dials => {
                None
            }
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        match *self {
            Self::Bulk { direction, streams } => {
                write!(f, "bulk {direction}, {streams} stream{}", plural(streams))
            }
            Self::Requests { connections } => {
                write!(
                    f,
                    "requests, {connections} connection{}",
                    plural(connections)
                )
            }
            Self::Connections { parallel } => write!(f, "new connections, {parallel} parallel"),
            Self::Dials => f.write_str("new connections, one at a time"),
            Self::Mixed {
                direction,
                connections,
            } => write!(
                f,
                "requests, {connections} connections, beside bulk {direction}, 1 stream"
            ),
        }
    }
}
