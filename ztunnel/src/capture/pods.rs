//! The pods that this ztunnel serves: how one is taken on and let go.
//!
//! In: what the agent says. Out: listeners in each pod's namespace, and what leads connections to them.
//! Never: gives up on a pod while the agent wants it served; undoes capture because ztunnel ends (then nothing
//! would pass rather than pass unseen).
//!
//! Tasks, on the control runtime: one that tries failed pods again, and one per new pod that fetches its certificate; they end
//! with the process. One per pod that follows its addresses, where capture knows it by them; it ends with the pod.

use std::{collections::HashMap, io, net::SocketAddr, os::fd::OwnedFd, sync::Arc, time::Duration};

use decision::inbound::Speakers;
use mesh::{SpiffeId, Workload};
use net::{
    Netns,
    drain::Phase,
    socket::{self, Peers, SpoofedPorts},
};
use parking_lot::Mutex;
use telemetry::Telemetry;
use tokio::task::AbortHandle;
use wire::zds::PodInfo;

use super::{
    ebpf, iptables,
    listen::{self, Door, Kind},
    redirection::{Follow, Redirection},
};
use crate::{config, dns, pod::Pod, proxy::Proxy};

mod follow;

/// Rest before a failed pod is tried again. Source: Istio's ztunnel.
const PAUSE_RETRY: Duration = Duration::from_secs(5);
/// Pods of one node. Kubernetes supports 110, the largest providers a few hundred; this bounds a broken agent.
const MAX_PODS: usize = 4096;
/// Where tunnels end, in every mode.
const PORT_HBONE: u16 = 15008;

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
    /// The programs in the kernel.
    #[error("pod {0}: {1}")]
    Ebpf(String, Box<ebpf::Error>),
    /// The DNS proxy.
    #[error("pod {0}: failed to bind the DNS proxy: {1}")]
    Dns(String, io::Error),
    /// Something of ours broke while the rules were written.
    #[error("pod {0}: writing its rules was interrupted")]
    Interrupted(String),
    /// The bound of [`MAX_PODS`].
    #[error("pod {0}: {MAX_PODS} pods are served already")]
    TooMany(String),
}

/// All pods.
#[derive(Debug)]
pub struct Pods {
    proxy: Arc<Proxy>,
    redirection: Redirection,
    dns: Names,
    served: Mutex<HashMap<String, Served>>,
    failed: Mutex<HashMap<String, (PodInfo, Arc<Netns>)>>,
}

/// What the DNS proxies of all pods share.
#[derive(Debug)]
pub struct Names {
    /// Where each listens.
    pub listen: config::DnsListen,
    /// How names are read.
    pub zone: Arc<dns::Zone>,
    /// The servers that know all other names.
    pub resolv_conf: Arc<dns::ResolvConf>,
    /// Who counts.
    pub telemetry: Telemetry,
}

impl Names {
    fn observer(&self) -> dns::Observer {
        let telemetry = self.telemetry.clone();
        Arc::new(move |event| {
            let metrics = telemetry.dns();
            match event {
                dns::Event::Request => {
                    metrics.requests.inc();
                }
                dns::Event::UpstreamRequest => {
                    metrics.upstream_requests.inc();
                }
                dns::Event::UpstreamFailure => {
                    metrics.upstream_failures.inc();
                }
                dns::Event::UpstreamDuration(duration) => {
                    metrics
                        .upstream_request_duration
                        .observe(duration.as_secs_f64());
                }
            }
        })
    }
}

#[derive(Clone, Debug)]
struct Served {
    pod: Arc<Pod>,
    hold: Arc<Mutex<Hold>>,
}

/// What is bound and written before a pod is served.
struct Prepared {
    doors: Vec<Door>,
    names: dns::Sockets,
    follow: Option<Follow>,
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

    /// Takes a pod on. The same pod in the same namespace again is no change; another namespace replaces it.
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
        let served = self.served.lock().get(&uid).cloned();
        if let Some(served) = served {
            if served.pod.netns.inode() == netns.inode() && served.pod.info == info {
                return Ok(());
            }
            self.remove(&uid).await;
        }
        if self.served.lock().len() + self.failed.lock().len() >= MAX_PODS {
            return Err(PodError::TooMany(uid));
        }
        let netns = Arc::new(netns);
        // What failed earlier is not wanted any more, not even where it is just being tried again.
        self.failed.lock().remove(&uid);
        match self.prepare(&uid, &netns).await {
            Ok(prepared) => {
                self.start(uid, info, netns, prepared);
                Ok(())
            }
            Err(error) => {
                self.failed.lock().insert(uid, (info, netns));
                Err(error)
            }
        }
    }

    /// Lets a pod go: its listeners close, its connections are cut, its rules go.
    pub async fn remove(&self, uid: &str) {
        let failed = self.failed.lock().remove(uid).map(|(_info, netns)| netns);
        let served = self.served.lock().remove(uid);
        let netns = match served {
            Some(Served { pod, hold }) => {
                pod.cut();
                if let Some(neighbours) = &self.proxy.neighbours {
                    neighbours.remove(&self.workload_uid(&pod.info), &pod);
                }
                if let Hold::Held(id) = std::mem::replace(&mut *hold.lock(), Hold::Over) {
                    self.proxy.store.release(&id);
                }
                tracing::info!(pod = %pod.info.name, namespace = %pod.info.namespace, uid, "pod removed");
                Some(Arc::clone(&pod.netns))
            }
            None => failed,
        };
        if let Some(netns) = netns {
            self.redirection.remove(uid, netns).await;
        }
    }

    /// Lets go of every pod that is not in `uids`, and of what a predecessor has left of others.
    pub async fn retain(&self, uids: &[String]) {
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
            self.remove(&uid).await;
        }
        let wanted = {
            let (served, failed) = (self.served.lock(), self.failed.lock());
            let served = served.values().map(|served| &served.pod.netns);
            let failed = failed.values().map(|(_info, netns)| netns);
            served.chain(failed).map(Arc::clone).collect()
        };
        self.redirection.retain(wanted).await;
    }

    /// Tries failed pods again, for ever.
    pub async fn retry(self: Arc<Self>) {
        loop {
            tokio::time::sleep(PAUSE_RETRY).await;
            let failed: Vec<_> = self
                .failed
                .lock()
                .iter()
                .map(|(uid, pod)| (uid.clone(), pod.clone()))
                .collect();
            for (uid, (info, netns)) in failed {
                match self.prepare(&uid, &netns).await {
                    Ok(prepared) if self.take_failed(&uid, &netns) => {
                        self.start(uid, info, netns, prepared);
                    }
                    // The agent has let it go meanwhile, and its rules were taken away while these were written.
                    Ok(_unwanted) if !self.knows(&uid) => {
                        self.redirection.remove(&uid, netns).await;
                    }
                    Ok(_unwanted) => {}
                    Err(error) => tracing::warn!(%error, "pod is still not served; trying again"),
                }
            }
        }
    }

    /// Takes a pod out of those that failed, if the agent still means this very one.
    fn take_failed(&self, uid: &str, netns: &Arc<Netns>) -> bool {
        let mut failed = self.failed.lock();
        let same = failed
            .get(uid)
            .is_some_and(|(_info, wanted)| Arc::ptr_eq(wanted, netns));
        same && failed.remove(uid).is_some()
    }

    /// Whether a pod is to be served, in whichever namespace.
    fn knows(&self, uid: &str) -> bool {
        self.contains(uid) || self.failed.lock().contains_key(uid)
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

    /// Capture comes last: nothing is captured before everybody listens.
    async fn prepare(&self, uid: &str, netns: &Arc<Netns>) -> Result<Prepared, PodError> {
        let (ipv6, options) = (self.dns.zone.ipv6, &self.proxy.sockets.socket);
        let address = socket::wildcard(PORT_HBONE, ipv6);
        let listener = socket::listen(netns, address, Peers::Anywhere, options)
            .map_err(|error| PodError::Listen(uid.to_owned(), address, error))?;
        let names = dns::Sockets::bind(netns, self.dns.listen, ipv6, options)
            .map_err(|error| PodError::Dns(uid.to_owned(), error))?;
        let prepared = self.redirection.prepare(uid, netns).await?;
        let mut doors = prepared.doors;
        doors.push(Door {
            kind: Kind::Hbone,
            listener,
            steered: false,
        });
        Ok(Prepared {
            doors,
            names,
            follow: prepared.follow,
        })
    }

    /// Serves a pod. Never waits, so that whoever has just seen that it is wanted is still right.
    fn start(
        self: &Arc<Self>,
        uid: String,
        info: PodInfo,
        netns: Arc<Netns>,
        Prepared {
            doors,
            names,
            follow,
        }: Prepared,
    ) {
        let proxy = &self.proxy;
        let upstream = dns::Upstream {
            netns: Some(Arc::clone(&netns)),
            mark: Some(proxy.sockets.socket.mark),
            servers: Arc::clone(&self.dns.resolv_conf),
        };
        let pod = Arc::new(Pod::new(
            uid.clone(),
            info,
            netns,
            SpoofedPorts::new(self.redirection.answers()),
            Arc::new(dns::Resolver::new(upstream.clone(), self.dns.zone.ipv6)),
            proxy.workers.count(),
            &proxy.hbone,
        ));
        let home = self.served.lock().len();
        let captured = self.open(&pod, doors, home);
        self.serve_names(&pod, upstream, names, home);
        if let Some(neighbours) = &proxy.neighbours {
            neighbours.add(self.workload_uid(&pod.info), &pod);
        }
        let hold = Arc::new(Mutex::new(Hold::Waiting));
        tokio::spawn(warm_up(
            Arc::clone(proxy),
            Arc::clone(&pod),
            Arc::clone(&hold),
        ));
        tracing::info!(pod = %pod.info.name, namespace = %pod.info.namespace, uid, "pod added");
        let served = Served {
            pod: Arc::clone(&pod),
            hold,
        };
        self.served.lock().insert(uid, served);
        if let Some(follow) = follow {
            tokio::spawn(Arc::clone(self).follow(pod, home, follow, captured));
        }
    }

    /// Serves listeners. What goes through the same workers is told apart by its listener: outbound begins on `home`,
    /// inbound on the next. Returns those that capture may exchange.
    fn open(&self, pod: &Arc<Pod>, doors: Vec<Door>, home: usize) -> Vec<AbortHandle> {
        let mut captured = Vec::new();
        for door in doors {
            let (kind, steered) = (door.kind, door.steered);
            let home = match kind {
                Kind::Outbound => home,
                Kind::Plaintext | Kind::Hbone => home + 1,
            };
            let task = listen::spawn(&self.proxy, pod, door, home);
            if steered {
                captured.push(task);
            }
        }
        captured
    }

    fn serve_names(
        &self,
        pod: &Arc<Pod>,
        upstream: dns::Upstream,
        sockets: dns::Sockets,
        home: usize,
    ) {
        let server = dns::Server {
            zone: Arc::clone(&self.dns.zone),
            client: dns::Client {
                namespace: pod.info.namespace.as_str().into(),
                network: self.proxy.node.network.clone(),
            },
            view: self.proxy.view.clone(),
            upstream,
            resolver: Arc::clone(&pod.resolver),
            observer: Some(self.dns.observer()),
        };
        let mut draining = pod.draining();
        let pod = Arc::clone(pod);
        self.proxy.workers.nth(home).spawn(async move {
            let ended = tokio::select! {
                ended = dns::serve(server, sockets) => ended,
                () = draining.reached(Phase::Cut) => return,
            };
            let Err(error) = ended;
            tracing::error!(pod = %pod.info.name, namespace = %pod.info.namespace, %error, "DNS proxy failed");
        });
    }
}

/// Has a new pod's certificate made before its first connection asks for it, and kept while the pod is there.
async fn warm_up(proxy: Arc<Proxy>, pod: Arc<Pod>, hold: Arc<Mutex<Hold>>) {
    // A pod that is not in the configuration yet asks again with its first connection.
    let Ok(workload) = proxy.own_workload(&pod).await else {
        return;
    };
    let id = workload.identity();
    let mut hold = hold.lock();
    if *hold == Hold::Waiting {
        match proxy.store.retain(&id) {
            Ok(()) => *hold = Hold::Held(id),
            Err(error) => tracing::warn!(%id, %error, "no certificate"),
        }
    }
}
