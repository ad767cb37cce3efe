//! Who leads a pod's connections to the proxy's listeners.
//!
//! In: the configuration, then pods' namespaces. Out: listeners that get what a pod sends and what comes to it in plain.
//! Never: two ways for one pod; a change of the way while ztunnel runs; a pod that is open because it cannot be served, where we capture.

use std::{net::IpAddr, num::NonZeroU16, path::PathBuf, sync::Arc};

use net::{
    Netns,
    addresses::AddressChanges,
    socket::{self, Answers, Options, Peers},
};
use prometheus_client::metrics::{family::Family, gauge::Gauge};
use telemetry::Telemetry;

use super::{
    ebpf::{self, Ebpf, Standing},
    iptables,
    listen::{Door, Kind},
    pods::PodError,
};
use crate::config::{self, CaptureMode};

/// A way.
#[derive(Debug)]
pub struct Redirection {
    way: Way,
    /// Sockets of the data path.
    options: Options,
    /// Where a predecessor that captured by eBPF has its pins.
    pins: PathBuf,
}

#[derive(Debug)]
enum Way {
    /// A CNI agent has written Istio's rules.
    Agent(iptables::Settings),
    /// We write them.
    Iptables(iptables::Settings),
    /// Programs in the kernel.
    Ebpf(Ebpf),
}

/// What stands for a pod before it is served.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Its listeners.
    pub(super) doors: Vec<Door>,
    /// What captured connections come from that chose no address, where that is not what they would come from without capture.
    pub(super) sources: Vec<IpAddr>,
    /// Set where it has to be captured again when its addresses change.
    pub(super) follow: Option<Follow>,
}

/// A pod whose addresses count.
#[derive(Debug)]
pub(super) struct Follow {
    pub(super) ebpf: Ebpf,
    pub(super) changes: AddressChanges,
    pub(super) standing: Standing,
}

impl Redirection {
    /// Chooses the way that the configuration asks for, and says in the log and as a metric which it is and why.
    ///
    /// # Errors
    /// The reason why eBPF is not possible, where nothing else is asked for.
    pub async fn open(
        config: &config::Capture,
        options: &Options,
        telemetry: &Telemetry,
    ) -> Result<Self, Box<ebpf_loader::Unsupported>> {
        let rules = || iptables::Settings {
            exclusions: config.exclusions.clone(),
            ..iptables::Settings::new(config.mark, config.ipv6, config.dns)
        };
        let (way, reason) = match config.mode {
            CaptureMode::Agent => (Way::Agent(rules()), None),
            CaptureMode::Iptables => (Way::Iptables(rules()), None),
            CaptureMode::Ebpf => (Way::Ebpf(Ebpf::open(config, options).await?), None),
            CaptureMode::Auto => match Ebpf::open(config, options).await {
                Ok(ebpf) => (Way::Ebpf(ebpf), None),
                Err(reason) => (Way::Iptables(rules()), Some(reason.to_string())),
            },
        };
        let mode = way.name();
        match &reason {
            Some(reason) => tracing::warn!(mode, %reason, "eBPF cannot capture here"),
            None => tracing::info!(mode, "capture"),
        }
        tell(telemetry, mode, reason.unwrap_or_default());
        Ok(Self {
            way,
            options: options.clone(),
            pins: config.pins.clone(),
        })
    }

    /// How the application's answers to borrowed addresses come back to the proxy.
    #[must_use]
    pub fn answers(&self) -> Answers {
        match &self.way {
            Way::Agent(_) | Way::Iptables(_) => Answers::ByConntrack,
            Way::Ebpf(ebpf) => ebpf.answers(),
        }
    }

    /// Whether any port will do for a pod's DNS proxy, and its listeners have no ports that could be taken. Then two may serve one pod.
    #[must_use]
    pub fn has_free_ports(&self) -> bool {
        match &self.way {
            Way::Agent(_) | Way::Iptables(_) => false,
            Way::Ebpf(_) => true,
        }
    }

    /// Whether nothing leads to a pod's DNS proxy but what we lead there, and we lead nothing.
    #[must_use]
    pub fn is_dns_idle(&self) -> bool {
        match &self.way {
            Way::Agent(_) | Way::Iptables(_) => false,
            Way::Ebpf(ebpf) => !ebpf.captures_dns(),
        }
    }

    /// Makes the listeners of a pod, and sees to it that its connections come to them. `port_dns` is where its DNS proxy listens, or why
    /// there is none. Where anything fails, and we capture, the pod is captured all the same: it gets nowhere. An application could else keep
    /// itself out of the mesh by what it holds.
    pub(super) async fn prepare(
        &self,
        uid: &str,
        netns: &Arc<Netns>,
        port_dns: Result<Option<NonZeroU16>, PodError>,
    ) -> Result<Prepared, PodError> {
        let doors = match &self.way {
            Way::Agent(ports) => port_dns.and_then(|_| self.listen(uid, netns, ports))?,
            Way::Iptables(rules) => {
                // First: where all is well nothing is captured before somebody listens.
                let doors = port_dns.and_then(|_| self.listen(uid, netns, rules));
                let (netns, rules) = (Arc::clone(netns), rules.clone());
                tokio::task::spawn_blocking(move || iptables::apply(&netns, &rules))
                    .await
                    .map_err(|_panic| PodError::Interrupted(uid.to_owned()))?
                    .map_err(|error| PodError::Rules(uid.to_owned(), error))?;
                doors?
            }
            Way::Ebpf(ebpf) => return self.enrol(uid, netns, ebpf, port_dns).await,
        };
        Ok(Prepared {
            doors,
            sources: Vec::new(),
            follow: None,
        })
    }

    async fn enrol(
        &self,
        uid: &str,
        netns: &Arc<Netns>,
        ebpf: &Ebpf,
        port_dns: Result<Option<NonZeroU16>, PodError>,
    ) -> Result<Prepared, PodError> {
        let failed = |error| PodError::Ebpf(uid.to_owned(), error);
        let watch =
            || AddressChanges::watch(netns).map_err(|error| PodError::Netns(uid.to_owned(), error));
        let (port_dns, changes) = match port_dns.and_then(|port| Ok((port, watch()?))) {
            Ok(ready) => ready,
            Err(error) => {
                if let Err(open) = ebpf.close(netns).await {
                    tracing::warn!(uid, error = %open, "pod that cannot be served is not captured");
                }
                return Err(error);
            }
        };
        let captured = ebpf.enrol(netns, port_dns).await.map_err(failed)?;
        if captured.taken_over {
            tracing::info!(uid, "capture of a pod taken over from a predecessor");
        }
        Ok(Prepared {
            doors: captured.doors,
            sources: captured.sources,
            follow: Some(Follow {
                ebpf: ebpf.clone(),
                changes,
                standing: Standing {
                    port_dns,
                    places: captured.places,
                    addresses: captured.addresses,
                },
            }),
        })
    }

    /// Binds the listeners that rules redirect to, and the one of tunnels.
    fn listen(
        &self,
        uid: &str,
        netns: &Netns,
        rules: &iptables::Settings,
    ) -> Result<Vec<Door>, PodError> {
        let doors = [
            (Kind::Outbound, rules.port_outbound, Peers::InPod),
            (
                Kind::Plaintext,
                rules.port_inbound_plaintext,
                Peers::Anywhere,
            ),
            (Kind::Hbone, rules.port_inbound_hbone, Peers::Anywhere),
        ];
        let doors = doors.map(|(kind, port, peers)| {
            let address = socket::wildcard(port, rules.ipv6);
            let listener = socket::listen(netns, address, peers, &self.options)
                .map_err(|error| PodError::Listen(uid.to_owned(), address, error))?;
            Ok(Door {
                kind,
                listener,
                steered: false,
            })
        });
        doors.into_iter().collect()
    }

    /// Undoes what [`Self::prepare`] has written, for a pod that goes.
    pub(super) async fn remove(&self, uid: &str, netns: Arc<Netns>) -> Result<(), PodError> {
        match &self.way {
            Way::Agent(_) => Ok(()),
            Way::Iptables(_) => tokio::task::spawn_blocking(move || iptables::remove(&netns))
                .await
                .map_err(|_interrupted| PodError::Interrupted(uid.to_owned()))?
                .map_err(|error| PodError::Rules(uid.to_owned(), error)),
            Way::Ebpf(ebpf) => match ebpf.remove(netns).await {
                // The successor has been told the same.
                Err(error) if error.is_superseded() => Ok(()),
                removed => removed.map_err(|error| PodError::Ebpf(uid.to_owned(), error)),
            },
        }
    }

    /// Forgets what a predecessor has left, once every pod that is wanted is known: `served`, and `failed`, which cannot be served yet and
    /// are to stay closed. Says whether it is done with; if not, it is to be called again once one of them is served.
    pub(super) async fn retain(
        &self,
        served: Vec<Arc<Netns>>,
        failed: Vec<Arc<Netns>>,
    ) -> Result<bool, Box<ebpf::Error>> {
        let left = match &self.way {
            Way::Ebpf(ebpf) => ebpf.retain([served, failed].concat()).await,
            Way::Agent(_) | Way::Iptables(_) => ebpf::forget(&self.pins, failed).await,
        };
        match left {
            Ok(left) => Ok(left == 0),
            Err(error) if error.is_superseded() => Ok(true),
            Err(error) => Err(error),
        }
    }
}

impl Way {
    fn name(&self) -> &'static str {
        match self {
            Self::Agent(_) => "agent",
            Self::Iptables(_) => "iptables",
            Self::Ebpf(_) => "ebpf",
        }
    }
}

/// `ambit_capture_mode`: 1, with the way and, where `auto` could not have eBPF, the reason.
fn tell(telemetry: &Telemetry, mode: &'static str, reason: String) {
    let family = Family::<Vec<(&'static str, String)>, Gauge>::default();
    let labels = vec![("mode", mode.to_owned()), ("reason", reason)];
    family.get_or_create(&labels).set(1);
    telemetry.register(|registry| {
        registry.register(
            "ambit_capture_mode",
            "Who captures pods, and why it is not eBPF where that was asked for first",
            family,
        );
    });
}
