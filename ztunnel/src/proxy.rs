//! What every connection of the process shares.

use std::{sync::Arc, time::Duration};

use control::publish::View;
use identity::{Credential, Store};
use mesh::{SpiffeId, Workload};
use net::Workers;
use telemetry::Telemetry;

use crate::{config, pod::Pod};

/// How long a connection waits for its own pod to appear in the configuration, in which a new pod may come
/// later than its first connection. Source: Istio's ztunnel.
const TIMEOUT_OWN_WORKLOAD: Duration = Duration::from_secs(5);

/// The shared parts. Every field is cheap to use from any worker.
#[derive(Debug)]
pub struct Proxy {
    /// The mesh as it is now.
    pub view: View,
    /// Certificates.
    pub store: Arc<Store>,
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
    /// The pod's own workload; waits for it if it is not known yet.
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
        if let Some(workload) = find(&self.view.borrow()) {
            return Ok(workload);
        }
        let deadline = net::clock::now() + TIMEOUT_OWN_WORKLOAD;
        self.view
            .clone()
            .wait_until(find, deadline)
            .await
            .map_err(|_timeout| UnknownPod {
                namespace: info.namespace.clone(),
                name: info.name.clone(),
                service_account: info.service_account.clone(),
            })
    }

    /// The current certificate of an identity, issued if it is the first time.
    ///
    /// # Errors
    /// When there is none and none can be had.
    pub async fn credential(&self, id: &SpiffeId) -> Result<Arc<Credential>, identity::Error> {
        match self.store.current(id) {
            Some(credential) => Ok(credential),
            None => self.store.fetch(id).await,
        }
    }
}
