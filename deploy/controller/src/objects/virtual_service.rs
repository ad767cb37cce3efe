//! `networking.istio.io/v1 VirtualService`.
//!
//! Never: hosts made whole. `reviews` stays `reviews`; what it stands for depends on the namespace and the domain of
//! the mesh, which are the compiler's.

mod http;
mod l4;
mod retry;

pub use http::{
    Abort, AbortStatus, ClaimMatch, Delay, Delegate, DerivedPort, DirectResponse, Fault,
    HttpAction, HttpDestination, HttpMatch, HttpRoute, Mirror, Redirect, RegexRewrite, Rewrite,
};
pub use l4::{L4Match, TcpRoute, TlsRoute, WeightedDestination};
pub use retry::{Retries, RetryCondition, RetryOn};

use super::{ExportTo, Meta};

/// The name in `gateways` of all proxies within the mesh, waypoints among them.
pub const MESH_GATEWAY: &str = "mesh";

/// Where requests to hosts go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VirtualService {
    /// `metadata`.
    pub meta: Meta,
    /// `spec.hosts`, in lower case: a short name, a name, `*.` and a name, an address, or `*`. Empty only for what others
    /// delegate to.
    pub hosts: Vec<String>,
    /// `spec.gateways`, as written; `mesh` alone where there are none.
    pub gateways: Vec<String>,
    /// `spec.exportTo`.
    pub export_to: ExportTo,
    /// `spec.http`: the first that matches.
    pub http: Vec<HttpRoute>,
    /// `spec.tls`: the first that matches.
    pub tls: Vec<TlsRoute>,
    /// `spec.tcp`: the first that matches.
    pub tcp: Vec<TcpRoute>,
}

impl VirtualService {
    /// Whether `gateways` hold `mesh`.
    #[must_use]
    pub fn is_for_mesh(&self) -> bool {
        self.gateways.iter().any(|it| it == MESH_GATEWAY)
    }
}

/// `destination`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// `host`, in lower case: a short name or a name.
    pub host: String,
    /// `subset`; empty where it is absent.
    pub subset: String,
    /// `port.number`; `None` is that of the request.
    pub port: Option<u16>,
}
