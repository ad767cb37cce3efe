//! One connection of an application, as it came through a tunnel: who, to what, and what it speaks.
//!
//! In: what [`crate::accept`] found out and [`crate::detect`] saw. Out: what every request of the connection shares.
//! Never: anything that a change of configuration could make wrong. Rules and endpoints are looked up by the names in
//! here, request by request.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Instant,
};

use decision::waypoint::{Refusal, Target, readmit};
use identity::PeerCertificate;
use mesh::{
    Snapshot, SpiffeId, Workload,
    access::Certified,
    route::{RouteKey, RouteTable},
    settings::WaypointSettings,
};

mod behalf;
mod ending;
mod flips;
mod proxied;

pub use crate::detect::Protocol;
pub use ending::{Ending, Told};
pub use flips::{Compared, Flips, Place, Standing};
pub use proxied::Proxied;

use crate::{accept::admit, proxy::Proxy, upstream};

/// A connection. **Shape:** one per CONNECT; its requests share it.
#[derive(Debug)]
pub struct Session {
    /// The process.
    pub proxy: Arc<Proxy>,
    /// The worker that serves it, with its connections to backends.
    pub worker: Arc<upstream::Worker>,
    /// The client: the TCP peer of its tunnel, never what a header says. Source: `%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%`.
    pub client: SocketAddr,
    /// What the PROXY header said with which the connection began; `None`: none was asked for. Whether it counts is for the policy that
    /// holds when somebody asks: `request::client`.
    pub proxied: Option<Proxied>,
    /// The client's certificate; its identity is the only one that decisions may use.
    pub peer: Arc<PeerCertificate>,
    /// The client's workload: the one of its address, if that has the certified identity. For telemetry, not for policy.
    pub source: Option<Arc<Workload>>,
    /// What the client asked for, as it was when the connection came.
    pub target: Target,
    /// Where the client thinks it is connected to: the service's VIP or the pod, and the port. `None` where it named a
    /// service that has no VIP. Source: `%DOWNSTREAM_LOCAL_ADDRESS%`.
    pub destination: Option<SocketAddr>,
    /// What it speaks.
    pub protocol: Protocol,
    /// The server name of its TLS, if it is TLS and has one. Lower case. Source: `%REQUESTED_SERVER_NAME%`.
    pub sni: Option<Arc<str>>,
    /// When it came.
    pub opened: Instant,
    /// Whether it is to end.
    pub ending: Ending,
    /// Whether policies have changed.
    pub flips: Flips,
    /// The client as policies see it, once one has looked.
    pub certified: OnceLock<Certified>,
}

impl Session {
    /// Who the client is, by its certificate.
    #[must_use]
    pub fn identity(&self) -> &SpiffeId {
        &self.peer.id
    }

    /// The client as policies see it.
    #[must_use]
    pub fn certified(&self) -> &Certified {
        self.certified
            .get_or_init(|| Certified::new(self.peer.id.clone()))
    }

    /// What the waypoint is told of itself; `None`: nothing.
    #[must_use]
    pub fn settings<'s>(&self, snapshot: &'s Snapshot) -> Option<&'s Arc<WaypointSettings>> {
        let own = &self.proxy.own;
        snapshot.waypoint_settings(&own.namespace, &own.gateway)
    }

    /// The routes of what was asked for; `None`: none were told, or it is a workload, which has none.
    #[must_use]
    pub fn table<'s>(&self, snapshot: &'s Snapshot) -> Option<&'s Arc<RouteTable>> {
        let service = self.target.service()?;
        snapshot.routes(&RouteKey::new(service.key(), self.target.port()))
    }

    /// Whether the waypoint still stands before what was asked for.
    ///
    /// # Errors
    /// Why it does not.
    pub fn readmit(&self, snapshot: &Snapshot) -> Result<(), Refusal> {
        let own = admit::own(&self.proxy.own);
        let serves = admit::serves(&self.proxy.own, snapshot);
        readmit(
            snapshot,
            &own,
            serves,
            &self.identity().namespace,
            &self.target,
        )
    }
}
