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

/// One kind of load. All of them go from one pod on the first node to one pod on the second.
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
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        match *self {
            Self::Bulk { direction, streams } => {
                let way = match direction {
                    Direction::Up => "up",
                    Direction::Down => "down",
                };
                write!(f, "bulk {way}, {streams} stream{}", plural(streams))
            }
            Self::Requests { connections } => {
                write!(
                    f,
                    "requests, {connections} connection{}",
                    plural(connections)
                )
            }
            Self::Connections { parallel } => write!(f, "new connections, {parallel} parallel"),
        }
    }
}
