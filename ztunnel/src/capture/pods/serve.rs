//! What a pod is given: listeners, a DNS proxy, its capture, its certificate.

use std::{num::NonZeroU16, sync::Arc};

use net::{Netns, drain::Phase, socket::SpoofedPorts};
use parking_lot::Mutex;
use telemetry::Telemetry;
use tokio::{sync::watch, task::AbortHandle};
use wire::zds::PodInfo;

use super::{Hold, PodError, Pods, Served};
use crate::{
    capture::{
        listen::{self, Door, Kind},
        redirection::{self, Follow},
    },
    config, dns,
    pod::Pod,
    proxy::Proxy,
};

/// What the DNS proxies of all pods share.
#[derive(Debug)]
pub struct Names {
    /// Where each listens.
    pub listen: config::DnsListen,
    /// Whether it has to be there, or may be wherever capture leads to.
    pub is_listen_set: bool,
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

/// What is bound and written before a pod is served.
pub(super) struct Prepared {
    doors: Vec<Door>,
    sources: Vec<std::net::IpAddr>,
    names: dns::Sockets,
    follow: Option<Follow>,
}

impl Pods {
    /// Binds everything, and captures the pod.
    pub(super) async fn prepare(
        &self,
        uid: &str,
        netns: &Arc<Netns>,
    ) -> Result<Prepared, PodError> {
        let other = {
            let served = self.served.lock();
            let other =
                |(of, it): &(&String, &Served)| *of != uid && it.pod.netns.inode() == netns.inode();
            served.iter().find(other).map(|(of, _)| of.clone())
        };
        if let Some(other) = other {
            return Err(PodError::Shared(uid.to_owned(), other));
        }
        let (names, port) = match self.bind_names(uid, netns) {
            Ok((names, port)) => (Some(names), Ok(port)),
            Err(error) => (None, Err(error)),
        };
        let redirection::Prepared {
            doors,
            sources,
            follow,
        } = self.redirection.prepare(uid, netns, port).await?;
        Ok(Prepared {
            doors,
            sources,
            names: names.unwrap_or_default(),
            follow,
        })
    }

    /// The pod's DNS proxy, and the port of it that queries can be led to.
    fn bind_names(
        &self,
        uid: &str,
        netns: &Netns,
    ) -> Result<(dns::Sockets, Option<NonZeroU16>), PodError> {
        let (ipv6, options) = (self.dns.zone.ipv6, &self.proxy.sockets.socket);
        let listen = self.dns.listen;
        if self.has_free_ports() && self.redirection.is_dns_idle() {
            // Nobody could know the port.
            return Ok((dns::Sockets::default(), None));
        }
        let bound = if self.has_free_ports() {
            dns::Sockets::bind_free(netns, ipv6, options)
        } else {
            let port = match listen {
                config::DnsListen::Localhost { port } => port,
                config::DnsListen::Address(_) => 0,
            };
            dns::Sockets::bind(netns, listen, ipv6, options).map(|sockets| (sockets, port))
        };
        let (sockets, port) = bound.map_err(|error| PodError::Dns(uid.to_owned(), error))?;
        Ok((sockets, NonZeroU16::new(port)))
    }

    /// Serves a pod. Never waits, so that whoever has just seen that it is wanted is still right.
    pub(super) fn start(
        self: &Arc<Self>,
        uid: String,
        info: PodInfo,
        netns: Arc<Netns>,
        Prepared {
            doors,
            sources,
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
        *pod.sources.lock() = sources;
        let home = self.served.lock().len();
        let listeners = Arc::new(watch::Sender::new(()));
        let tasks = self.open(&pod, doors, home, &listeners);
        self.serve_names(&pod, upstream, names, home, &listeners);
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
            listeners: Arc::clone(&listeners),
        };
        self.served.lock().insert(uid, served);
        if let Some(follow) = follow {
            tokio::spawn(Arc::clone(self).follow(pod, home, follow, tasks, listeners));
        }
    }

    /// Serves listeners. What goes through the same workers is told apart by its listener: outbound begins on `home`,
    /// inbound on the next.
    pub(super) fn open(
        &self,
        pod: &Arc<Pod>,
        doors: Vec<Door>,
        home: usize,
        listeners: &watch::Sender<()>,
    ) -> Vec<AbortHandle> {
        let serve = |door: Door| {
            let home = match door.kind {
                Kind::Outbound => home,
                Kind::Plaintext | Kind::Hbone => home + 1,
            };
            listen::spawn(&self.proxy, pod, door, home, listeners.subscribe())
        };
        doors.into_iter().map(serve).collect()
    }

    fn serve_names(
        &self,
        pod: &Arc<Pod>,
        upstream: dns::Upstream,
        sockets: dns::Sockets,
        home: usize,
        listeners: &watch::Sender<()>,
    ) {
        if sockets.udp.is_empty() && sockets.tcp.is_empty() {
            return;
        }
        let open = listeners.subscribe();
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
            let _open = open;
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
