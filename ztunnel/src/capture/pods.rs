//! The pods that this ztunnel serves: how one is taken on and let go.
//!
//! In: what the agent says. Out: listeners in each pod's namespace, and what leads connections to them.
//! Never: gives up on a pod while the agent wants it served; undoes capture because ztunnel ends (then nothing
//! would pass rather than pass unseen); undoes capture of a namespace that another pod of the agent's is in.
//!
//! Reading order: this, `pods/serve.rs` (what a pod is given), `pods/retry.rs` (what failed), `pods/follow.rs` (what changes).
//!
//! Tasks, on the control runtime: one that tries again what failed, and one per new pod that fetches its certificate; they end
//! with the process. One per pod that follows its addresses, where capture knows it by them; it ends with the pod.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use decision::inbound::Speakers;
use mesh::{SpiffeId, Workload};
use net::Netns;
use parking_lot::Mutex;
use tokio::sync::watch;
use wire::zds::PodInfo;

use super::{ebpf, iptables, redirection::Redirection};
use crate::{pod::Pod, proxy::Proxy};

mod follow;
mod retry;
mod serve;

pub use serve::Names;

/// Rest before a failed pod is tried again. Source: Istio's ztunnel.
const PAUSE_RETRY: Duration = Duration::from_secs(5);
/// Pods of one node. Kubernetes supports 110, the largest providers a few hundred; this bounds a broken agent.
const MAX_PODS: usize = 4096;
/// How long the listeners of a pod may take to close whose ports another one gets.
const TIMEOUT_CLOSE: Duration = Duration::from_secs(1);

/// Why a pod cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// The descriptor is not one of a network namespace.
    #[error("pod {0}: expected the descriptor of a network namespace: {1}")]
    Netns(String, io::Error),
    /// A port is taken, or the like.
    #[error("pod {0}: failed to bind to address {1}: {2}")]
    Listen(String, SocketAddr, io::Error),
    /// The redirection rules.
    #[error("pod {0}: {1}")]
    Rules(String, iptables::Error),
    /// The programs in the kernel, or rules in their way.
    #[error("pod {0}: {1}")]
    Ebpf(String, Box<ebpf::Error>),
    /// The DNS proxy.
    #[error("pod {0}: failed to bind the DNS proxy: {1}")]
    Dns(String, io::Error),
    /// Something of ours broke while the rules were written.
    #[error("pod {0}: writing its rules was interrupted")]
    Interrupted(String),
    /// Another pod is in its namespace already.
    #[error("pod {0}: its network namespace is that of pod {1}, expected one of its own")]
    Shared(String, String),
    /// The bound of [`MAX_PODS`].
    #[error("pod {0}: {MAX_PODS} pods are served already")]
    TooMany(String),
}

impl PodError {
    /// Whether a successor serves the node's pods, and this one is to leave them alone.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        matches!(self, Self::Ebpf(_, error) if error.is_superseded())
    }
}

/// All pods.
#[derive(Debug)]
pub struct Pods {
    proxy: Arc<Proxy>,
    redirection: Redirection,
    dns: Names,
    served: Mutex<HashMap<String, Served>>,
    failed: Mutex<HashMap<String, (PodInfo, Arc<Netns>)>>,
    /// Namespaces that have left and are captured still.
    left: Mutex<Vec<retry::Left>>,
    /// Whether a whole snapshot was heard, and what a predecessor left is not forgotten yet.
    is_unsettled: AtomicBool,
    /// Held while a pod is taken on, let go or captured again: what two of them do to one namespace must not mix.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Served {
    pod: Arc<Pod>,
    hold: Arc<Mutex<Hold>>,
    /// Tells when all of its listeners are closed.
    listeners: Arc<watch::Sender<()>>,
}

/// A pod's claim on its certificate.
#[derive(Debug, PartialEq, Eq)]
enum Hold {
    /// Its identity is not known yet.
    Waiting,
    /// The certificate is kept for it.
    Held(SpiffeId),
    /// The pod has left.
    Over,
}

impl Pods {
    /// No pods yet.
    #[must_use]
    pub fn new(proxy: Arc<Proxy>, redirection: Redirection, dns: Names) -> Arc<Self> {
        Arc::new(Self {
            proxy,
            redirection,
            dns,
            served: Mutex::default(),
            failed: Mutex::default(),
            left: Mutex::default(),
            is_unsettled: AtomicBool::default(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// Whether a pod is served.
    #[must_use]
    pub fn contains(&self, uid: &str) -> bool {
        self.served.lock().contains_key(uid)
    }

    /// Those that are served.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Pod>> {
        self.served
            .lock()
            .values()
            .map(|served| Arc::clone(&served.pod))
            .collect()
    }

    /// Those that are to be served and cannot be, by uid.
    #[must_use]
    pub fn failed(&self) -> Vec<(String, PodInfo)> {
        self.failed
            .lock()
            .iter()
            .map(|(uid, (info, _netns))| (uid.clone(), info.clone()))
            .collect()
    }

    /// Takes a pod on. The same pod in the same namespace again is no change. Under another name or account its connections are cut, and it
    /// stays captured meanwhile; another namespace replaces it.
    ///
    /// # Errors
    /// See [`PodError`]. The pod is tried again until it is removed, unless its descriptor is useless.
    pub async fn add(
        self: &Arc<Self>,
        uid: String,
        info: PodInfo,
        netns: OwnedFd,
    ) -> Result<(), PodError> {
        let netns = Netns::from_fd(netns).map_err(|error| PodError::Netns(uid.clone(), error))?;
        let netns = Arc::new(netns);
        let _turn = self.turn.lock().await;
        let known = self.served.lock().get(&uid).cloned();
        let is_there = known
            .as_ref()
            .is_some_and(|served| served.pod.netns.inode() == netns.inode());
        if is_there && known.as_ref().is_some_and(|it| it.pod.info == info) {
            return Ok(());
        }
        let mut before = None;
        if is_there {
            // Not served any more: who follows its addresses is to leave its namespace alone from here on.
            before = self.served.lock().remove(&uid);
        } else {
            self.let_go(&uid).await;
        }
        self.leave_failed(&uid, Some(&netns)).await;
        if self.served.lock().len() + self.failed.lock().len() >= MAX_PODS {
            if let Some(before) = before {
                self.end(&uid, &before);
                self.release(&uid, netns).await;
            }
            return Err(PodError::TooMany(uid));
        }
        if let Some(before) = before.take_if(|_| !self.has_free_ports()) {
            // Whoever comes next needs its ports.
            self.end(&uid, &before);
            let closed = before.listeners.closed();
            drop(tokio::time::timeout(TIMEOUT_CLOSE, closed).await);
        }
        let prepared = self.prepare(&uid, &netns).await;
        let result = match prepared {
            Ok(prepared) => {
                self.start(uid.clone(), info, netns, prepared);
                Ok(())
            }
            Err(error) => {
                self.failed.lock().insert(uid.clone(), (info, netns));
                Err(error)
            }
        };
        if let Some(before) = before {
            self.end(&uid, &before);
        }
        result
    }

    /// Lets a pod go: its listeners close, its connections are cut, its capture ends.
    pub async fn remove(&self, uid: &str) {
        let _turn = self.turn.lock().await;
        self.let_go(uid).await;
    }

    /// Lets go of every pod that is not in `uids`, and of what a predecessor has left of others.
    pub async fn retain(&self, uids: &[String]) {
        let _turn = self.turn.lock().await;
        let known: Vec<String> = {
            let (served, failed) = (self.served.lock(), self.failed.lock());
            served
                .keys()
                .chain(failed.keys())
                .filter(|uid| !uids.contains(uid))
                .cloned()
                .collect()
        };
        for uid in known {
            self.let_go(&uid).await;
        }
        self.is_unsettled.store(true, Ordering::Relaxed);
        self.settle().await;
    }

    async fn let_go(&self, uid: &str) {
        self.leave_failed(uid, None).await;
        let served = self.served.lock().remove(uid);
        if let Some(served) = served {
            self.end(uid, &served);
            tracing::info!(pod = %served.pod.info.name, namespace = %served.pod.info.namespace, uid, "pod removed");
            self.release(uid, Arc::clone(&served.pod.netns)).await;
        }
    }

    /// What failed earlier is not wanted any more; unless it is in `stays`, it is not captured any more either.
    async fn leave_failed(&self, uid: &str, stays: Option<&Arc<Netns>>) {
        let failed = self.failed.lock().remove(uid);
        let left = failed.map(|(_info, netns)| netns);
        let left = left.filter(|netns| stays.is_none_or(|it| it.inode() != netns.inode()));
        if let Some(netns) = left {
            self.release(uid, netns).await;
        }
    }

    /// Ends everything of a pod but its capture.
    fn end(&self, uid: &str, Served { pod, hold, .. }: &Served) {
        pod.cut();
        if let Some(neighbours) = &self.proxy.neighbours {
            neighbours.remove(&self.workload_uid(&pod.info), pod);
        }
        if let Hold::Held(id) = std::mem::replace(&mut *hold.lock(), Hold::Over) {
            self.proxy.store.release(&id);
        }
        tracing::debug!(uid, "connections and listeners of a pod ended");
    }

    /// Whether another pod is to be in a namespace, or the same one under another name.
    fn is_wanted(&self, netns: &Netns) -> bool {
        let (served, failed) = (self.served.lock(), self.failed.lock());
        let served = served.values().map(|served| &served.pod.netns);
        let failed = failed.values().map(|(_info, netns)| netns);
        served.chain(failed).any(|it| it.inode() == netns.inode())
    }

    /// Whether two may serve one pod, because nothing of it needs a port that is told to others.
    fn has_free_ports(&self) -> bool {
        self.redirection.has_free_ports() && !self.dns.is_listen_set
    }

    /// Re-examines open connections whenever the mesh changes, and forgets the metrics of workloads that have left,
    /// until there is nobody left to change the mesh.
    ///
    /// A pod whose own workload and whose policies are what they were, and before which the same waypoints stand, is passed over: most
    /// changes are of others.
    pub async fn recheck(self: Arc<Self>) {
        let mut view = self.proxy.view.clone();
        let mut seen: HashMap<String, (u64, Option<Arc<Workload>>, Speakers)> = HashMap::new();
        while let Ok(snapshot) = view.changed().await {
            self.proxy
                .telemetry
                .forget_workloads(|uid| snapshot.workload(uid).is_none());
            let pods = self.list();
            seen.retain(|uid, _| pods.iter().any(|pod| pod.uid == *uid));
            for pod in pods {
                let info = &pod.info;
                let own = snapshot
                    .workload_by_pod(&info.namespace, &info.name, &info.service_account)
                    .cloned();
                let speakers = own
                    .as_deref()
                    .map(|own| Speakers::of(&snapshot, own))
                    .unwrap_or_default();
                let now = (snapshot.policies().generation(), own, speakers);
                if seen.get(&pod.uid) != Some(&now) {
                    pod.connections.recheck(&snapshot);
                    seen.insert(pod.uid.clone(), now);
                }
            }
        }
    }

    fn workload_uid(&self, info: &PodInfo) -> String {
        let cluster = self.proxy.node.cluster.as_str();
        wire::xds::name::pod(cluster, &info.namespace, &info.name)
    }
}
