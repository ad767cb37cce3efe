//! What is asked of a waypoint in a block.

use std::fmt;
use std::net::Ipv4Addr;

use serde::Serialize;

/// The port of every service.
pub(crate) const PORT: u16 = 80;

/// Bytes of a KiB.
const KIBIBYTE: usize = 1024;

/// The application protocol, the same on both sides of a waypoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Protocol {
    /// HTTP/1.1, GET.
    Http1,
    /// HTTP/2 without TLS, GET.
    Http2,
    /// A unary call: POST, a message each way, trailers.
    Grpc,
}

/// How many routes the table has; the last one matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Routes {
    /// One.
    One,
    /// A thousand.
    Many,
}

/// How many requests are under way at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Depth {
    /// One.
    Single,
    /// Sixteen: as many connections of HTTP/1.1, or four of HTTP/2 with four streams each.
    Sixteen,
}

/// A table of routes, with a service of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// What its service speaks.
    pub(crate) protocol: Protocol,
    /// How long it is.
    pub(crate) routes: Routes,
}

/// A closed loop of requests of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Exchange {
    /// The protocol.
    pub(crate) protocol: Protocol,
    /// The size of an answer's body, in KiB.
    pub(crate) answer_kib: usize,
    /// The table that it meets.
    pub(crate) routes: Routes,
    /// How many at a time.
    pub(crate) depth: Depth,
}

impl Protocol {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Http1, Self::Http2, Self::Grpc];

    /// The name of a service's port, by which Kubernetes users declare a protocol.
    pub(crate) fn port_name(self) -> &'static str {
        match self {
            Self::Http1 => "http",
            Self::Http2 => "http2",
            Self::Grpc => "grpc",
        }
    }

    /// Whether it is carried by HTTP/2.
    pub(crate) fn is_http2(self) -> bool {
        match self {
            Self::Http1 => false,
            Self::Http2 | Self::Grpc => true,
        }
    }
}

impl Routes {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::One, Self::Many];

    /// How many.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Many => 1000,
        }
    }

    /// The ending of the names of services with this table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Many => "many",
        }
    }
}

impl Table {
    /// The one that a waypoint is weighed with.
    pub(crate) const HEAVY: Self = Self {
        protocol: Protocol::Http1,
        routes: Routes::Many,
    };

    /// All of them.
    pub(crate) fn all() -> Vec<Self> {
        let of = |protocol| Routes::ALL.map(|routes| Self { protocol, routes });
        Protocol::ALL.into_iter().flat_map(of).collect()
    }

    /// The name of its service, without that of the waypoint.
    pub(crate) fn name(self) -> String {
        format!("{}-{}", self.protocol.port_name(), self.routes.name())
    }
}

impl Exchange {
    /// All that are measured, in order.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for protocol in Protocol::ALL {
            for answer_kib in [1, 64] {
                for routes in Routes::ALL {
                    let exchange = Self {
                        protocol,
                        answer_kib,
                        routes,
                        depth: Depth::Sixteen,
                    };
                    all.push(exchange);
                }
            }
        }
        all.push(Self {
            protocol: Protocol::Http1,
            answer_kib: 1,
            routes: Routes::One,
            depth: Depth::Single,
        });
        all
    }

    /// Whether ours with two workers is measured, too: once per protocol.
    pub(crate) fn with_two(&self) -> bool {
        self.answer_kib == 1 && self.routes == Routes::One && self.depth == Depth::Sixteen
    }

    /// Whether a goal speaks of it.
    pub(crate) fn is_judged(&self) -> bool {
        self.answer_kib == 1 && self.depth == Depth::Sixteen
    }

    /// The table that it meets.
    pub(crate) fn table(&self) -> Table {
        Table {
            protocol: self.protocol,
            routes: self.routes,
        }
    }

    /// Bytes of an answer's body.
    pub(crate) fn answer(&self) -> usize {
        self.answer_kib * KIBIBYTE
    }

    /// Connections and streams per connection.
    pub(crate) fn shape(&self) -> (usize, usize) {
        match (self.depth, self.protocol.is_http2()) {
            (Depth::Single, _) => (1, 1),
            (Depth::Sixteen, true) => (4, 4),
            (Depth::Sixteen, false) => (16, 1),
        }
    }

    /// What is asked for.
    pub(crate) fn path(&self) -> String {
        let folder = match self.protocol {
            Protocol::Http1 | Protocol::Http2 => "plain",
            Protocol::Grpc => "grpc",
        };
        format!("/last/{folder}/{}k", self.answer_kib)
    }

    /// The same, at a service on [`PORT`].
    pub(crate) fn url(&self, vip: Ipv4Addr) -> String {
        format!("http://{vip}{}", self.path())
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Http1 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
            Protocol::Grpc => "gRPC",
        };
        let routes = match self.routes {
            Routes::One => "1 route",
            Routes::Many => "1,000 routes",
        };
        let depth = match self.depth {
            Depth::Single => "1",
            Depth::Sixteen => "16",
        };
        let size = self.answer_kib;
        write!(f, "{protocol}, {size} KiB, {routes}, {depth} at a time")
    }
}
