//! What every connection of the process shares.

use std::{sync::Arc, time::Duration};

use control::{
    publish::View,
    xds::{Demand, Outcome},
};
use identity::{CrlFile, PeerCertificate, Store};
use mesh::Workload;
use net::Workers;
use telemetry::Telemetry;
use tokio::sync::SetOnce;

use crate::{config, neighbour::Neighbours, pod::Pod};

/// How long a connection waits for its own pod to appear in the configuration, in which a new pod may come
/// later than its first connection. Source: Istio's ztunnel.
const TIMEOUT_OWN_WORKLOAD: Duration = Duration::from_secs(5);

/// How long a connection waits for the control plane to say what its destination is. Source: Istio's ztunnel, as for
/// its own workload.
const TIMEOUT_DEMAND: Duration = Duration::from_secs(5);

/// The shared parts. Every field is cheap to use from any worker.
#[derive(Debug)]
pub struct Proxy {
    /// The mesh as it is now.
    pub view: View,
    /// Set once the first configuration is in force, whole: a mesh of which only a part is known would let pass what the
    /// rest denies, and unprotected what it protects.
    pub configured: SetOnce<()>,
    /// Asks the control plane for what it tells only when it is asked.
    pub demand: Demand,
    /// Certificates.
    pub store: Arc<Store>,
    /// Revocation lists, if there are any.
    pub crl: Option<Arc<CrlFile>>,
    /// Metrics and the access log.
    pub telemetry: Telemetry,
    /// The data path's threads.
    pub workers: Workers,
    /// What tunnels announce.
    pub hbone: Arc<hbone::Settings>,
    /// What sockets are given.
    pub sockets: config::Proxy,
    /// Where this ztunnel runs.
    pub node: config::Node,
    /// The pods of this node, if they may be joined without a tunnel (`SAME_NODE`).
    pub neighbours: Option<Neighbours>,
    /// Authorization's options.
    pub policy: config::Policy,
}

/// A pod that is not, or no longer, in the configuration.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to fetch information about local workload: {namespace}/{name} with service account {service_account}"
)]
pub struct UnknownPod {
    namespace: String,
    name: String,
    service_account: String,
}

impl Proxy {
    /// The pod's own workload; waits for it, and for the first configuration, if they are not known yet.
    ///
    /// # Errors
    /// When it stays unknown.
    pub async fn own_workload(&self, pod: &Pod) -> Result<Arc<Workload>, UnknownPod> {
        let info = &pod.info;
        let find = |snapshot: &mesh::snapshot::Snapshot| {
            snapshot
                .workload_by_pod(&info.namespace, &info.name, &info.service_account)
                .cloned()
        };
        if self.configured.initialized()
            && let Some(workload) = find(&self.view.borrow())
        {
            return Ok(workload);
        }
        let deadline = net::clock::now() + TIMEOUT_OWN_WORKLOAD;
        let unknown = || UnknownPod {
            namespace: info.namespace.clone(),
            name: info.name.clone(),
            service_account: info.service_account.clone(),
        };
        if tokio::time::timeout_at(deadline.into(), self.configured.wait())
            .await
            .is_err()
        {
            return Err(unknown());
        }
        if self.demand.is_enabled() {
            let uid = wire::xds::name::pod(self.node.cluster.as_str(), &info.namespace, &info.name);
            // The view is what tells: an answer, or a push that nobody asked for.
            drop(tokio::time::timeout_at(deadline.into(), self.demand.fetch(&uid)).await);
        }
        self.view
            .clone()
            .wait_until(find, deadline)
            .await
            .map_err(|_timeout| unknown())
    }

    /// Whether a revocation list names a peer's certificate, or one that it rests on. Takes no lock.
    #[must_use]
    pub fn is_revoked(&self, peer: &PeerCertificate) -> bool {
        self.crl.is_some() && self.store.revocation(peer).is_some()
    }

    /// Asks the control plane for a name and waits for its answer; without one in time, as if nothing could be asked.
    pub async fn ask(&self, name: &str) -> Outcome {
        let answer = tokio::time::timeout(TIMEOUT_DEMAND, self.demand.fetch(name)).await;
        answer.unwrap_or(Outcome::Disabled)
    }
}
