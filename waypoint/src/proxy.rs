//! What every connection of the process shares.

use std::{net::IpAddr, sync::Arc};

use control::publish::View;
use identity::{CrlFile, Store};
use mesh::{
    ClusterId, Name, Namespace, Network, Service, ServiceAccount, ServiceKey, Snapshot, SpiffeId,
    service::GatewayDestination,
};
use net::{Workers, drain::Draining};
use telemetry::Telemetry;
use tokio::sync::SetOnce;

use crate::{access::shared::Shared, upstream::Clusters};

/// The shared parts. Every field is cheap to use from any worker.
#[derive(Debug)]
pub struct Proxy {
    /// The mesh as it is now.
    pub view: View,
    /// Set once the first configuration is in force, whole: a mesh of which only a part is known would let pass what the
    /// rest denies.
    pub configured: SetOnce<()>,
    /// Our certificate, and whom we believe.
    pub store: Arc<Store>,
    /// Revocation lists, if there are any.
    pub crl: Option<Arc<CrlFile>>,
    /// Metrics and the access log.
    pub telemetry: Telemetry,
    /// The data path's threads.
    pub workers: Workers,
    /// What tunnels announce.
    pub hbone: Arc<hbone::Settings>,
    /// Who we are.
    pub own: Own,
    /// The backends in use.
    pub clusters: Arc<Clusters>,
    /// What the access stages of all requests share.
    pub access: Shared,
    /// Whether we are leaving.
    pub draining: Draining,
}

/// Who this waypoint is.
#[derive(Clone, Debug)]
pub struct Own {
    /// The Gateway that it was made from.
    pub gateway: Name,
    /// The Gateway's namespace, and the pod's.
    pub namespace: Namespace,
    /// The pod's service account.
    pub service_account: ServiceAccount,
    /// The pod.
    pub pod_name: Name,
    /// The pod's address, on which tunnels arrive.
    pub instance_ip: IpAddr,
    /// Its network.
    pub network: Network,
    /// Its cluster.
    pub cluster: ClusterId,
    /// What others know it as.
    pub identity: SpiffeId,
    /// The service in front of all replicas.
    pub service: ServiceKey,
}

impl Own {
    /// Whether this waypoint, or a replica of it, stands before a service.
    #[must_use]
    pub fn stands_before(&self, service: &Service, snapshot: &Snapshot) -> bool {
        service
            .waypoints()
            .any(|waypoint| match &waypoint.destination {
                GatewayDestination::Service(key) => *key == self.service,
                GatewayDestination::Address(address) => {
                    address.ip == self.instance_ip
                        || snapshot
                            .service(&self.service)
                            .is_some_and(|own| own.vips.iter().any(|vip| vip.ip == address.ip))
                }
            })
    }
}
