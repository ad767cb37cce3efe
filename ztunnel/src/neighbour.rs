//! Pods of this node that are joined without a tunnel between them (HB-11).
//!
//! In: a plan, the pod that a connection comes from. Out: a [`Passage`] to the neighbour, or none, and then a tunnel is opened, which finds
//! out by itself what is wrong. Never: a passage past a waypoint or to a pod of another node; with a certificate that a handshake would refuse
//! now; between pods that the cluster's network keeps apart.
//!
//! ```text
//! plan `HBONE to a pod` ─▶ served here? ─▶ both certificates, as a handshake checks them ─▶ path ─▶ Passage ─▶ inbound::neighbour
//!          └──────────────────┴─ no ────────┴──────────────────────────────────────────────┴─▶ tunnel
//! ```
//! What is joined is admitted, reported and cut as what comes through a tunnel. `SAME_NODE=hbone` makes no passages.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use decision::outbound::{Plan, Via};
use identity::PeerCertificate;
use mesh::Workload;
use net::drain::Phase;
use parking_lot::RwLock;

use crate::{pod::Pod, proxy::Proxy};

mod path;

use path::{Ends, Paths, Use};

/// The pods of this node, by the uids of their workloads.
#[derive(Debug, Default)]
pub struct Neighbours {
    pods: RwLock<HashMap<String, Arc<Pod>>>,
    paths: Paths,
}

/// Leave to join two pods.
pub(crate) struct Passage {
    /// The neighbour.
    pub(crate) to: Arc<Pod>,
    /// Its workload, as planned.
    pub(crate) workload: Arc<Workload>,
    /// Where a tunnel would go.
    pub(crate) peer: SocketAddr,
    /// What a CONNECT would ask for.
    pub(crate) authority: SocketAddr,
    /// Who the neighbour sees.
    pub(crate) client: Arc<PeerCertificate>,
    /// Who the client sees.
    pub(crate) server: Arc<PeerCertificate>,
    path: Use,
}

impl Passage {
    /// Waits until the network keeps the two apart.
    pub(crate) fn closed(&self) -> impl Future<Output = ()> + use<> {
        self.path.closed()
    }
}

impl Neighbours {
    /// A pod is served from now on.
    pub(crate) fn add(&self, uid: String, pod: &Arc<Pod>) {
        self.pods.write().insert(uid, Arc::clone(pod));
    }

    /// It is not any more. Another one that has come under the same name stays.
    pub(crate) fn remove(&self, uid: &str, pod: &Arc<Pod>) {
        let mut pods = self.pods.write();
        if pods.get(uid).is_some_and(|known| Arc::ptr_eq(known, pod)) {
            pods.remove(uid);
        }
    }

    fn find(&self, workload: &Workload) -> Option<Arc<Pod>> {
        let pods = self.pods.read();
        let pod = pods.get(&*workload.uid)?;
        let is_same = pod.info.service_account == *workload.service_account;
        (is_same && pod.draining().phase() == Phase::Running).then(|| Arc::clone(pod))
    }

    /// Leave to join `from` with the pod that a plan leads to.
    pub(crate) async fn passage(
        &self,
        proxy: &Proxy,
        from: &Arc<Pod>,
        client: IpAddr,
        source: &Workload,
        plan: &Plan,
    ) -> Option<Passage> {
        let Plan::Hbone {
            peer,
            authority,
            expected,
            via: Via::Endpoint,
            workload,
            ..
        } = plan
        else {
            return None;
        };
        // A pod that calls itself has no path to ask about.
        let to = self.find(workload).filter(|to| !Arc::ptr_eq(to, from))?;
        let ours = proxy.store.current(&source.identity())?;
        let theirs = proxy.store.current(&workload.identity())?;
        let ends = Ends {
            from,
            client,
            to: &to,
            peer: *peer,
        };
        let path = self.paths.find(&ends, &proxy.sockets.socket)?;
        let (client, server) = path.introduce(&ours, &theirs, expected)?;
        // A list may have come after they were introduced.
        let is_revoked = |peer: &PeerCertificate| proxy.store.revocation(peer).is_some();
        if is_revoked(&client) || is_revoked(&server) {
            return None;
        }
        let path = path.enter().await?;
        Some(Passage {
            to,
            workload: Arc::clone(workload),
            peer: *peer,
            authority: *authority,
            client,
            server,
            path,
        })
    }
}
