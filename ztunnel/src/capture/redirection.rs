//! Who leads a pod's connections to the proxy's listeners.
//!
//! In: the configuration, then pods' namespaces. Out: listeners that get what a pod sends and what comes to it in plain.
//! Never: two ways for one pod; a change of the way while ztunnel runs.

use std::{net::IpAddr, num::NonZeroU16, path::PathBuf, sync::Arc};

use net::{
    Netns,
    addresses::AddressChanges,
    socket::{self, Answers, Options, Peers},
};
use prometheus_client::metrics::{family::Family, gauge::Gauge};
use telemetry::Telemetry;

use super::{
    ebpf::{self, Ebpf},
    iptables,
    listen::{Door, Kind},
    pods::PodError,
};
use crate::config::{self, CaptureMode, DnsListen};

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
    /// Set where it has to be captured again when its addresses change.
    pub(super) follow: Option<Follow>,
}

/// A pod whose addresses count.
#[derive(Debug)]
pub(super) struct Follow {
    pub(super) ebpf: Ebpf,
    pub(super) changes: AddressChanges,
    pub(super) known: Vec<IpAddr>,
}

impl Redirection {
    /// Chooses the way that the configuration asks for, and says in the log and as a metric which it is and why.
    ///
    /// # Errors
    /// The reason why eBPF is not possible, where nothing else is asked for.
    pub async fn open(
        config: &config::Capture,
        dns: DnsListen,
        options: &Options,
        telemetry: &Telemetry,
    ) -> Result<Self, Box<ebpf_loader::Unsupported>> {
        let port_dns = match dns {
            DnsListen::Localhost { port } if config.dns => NonZeroU16::new(port),
            DnsListen::Localhost { .. } | DnsListen::Address(_) => None,
        };
        let rules = || iptables::Settings {
            exclusions: config.exclusions.clone(),
            ..iptables::Settings::new(config.mark, config.ipv6, config.dns)
        };
        let (way, reason) = match config.mode {
            CaptureMode::Agent => (Way::Agent(rules()), None),
            CaptureMode::Iptables => (Way::Iptables(rules()), None),
            CaptureMode::Ebpf => (
                Way::Ebpf(Ebpf::open(config, port_dns, options).await?),
                None,
            ),
            CaptureMode::Auto => match Ebpf::open(config, port_dns, options).await {
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

    /// Makes the listeners of a pod, and then sees to it that its connections come to them.
    pub(super) async fn prepare(
        &self,
        uid: &str,
        netns: &Arc<Netns>,
    ) -> Result<Prepared, PodError> {
        let doors = match &self.way {
            Way::Agent(ports) => self.listen(uid, netns, ports)?,
            Way::Iptables(rules) => {
                // First: nothing is captured before somebody listens.
                let doors = self.listen(uid, netns, rules)?;
                let (netns, rules) = (Arc::clone(netns), rules.clone());
                tokio::task::spawn_blocking(move || iptables::apply(&netns, &rules))
                    .await
                    .map_err(|_panic| PodError::Interrupted(uid.to_owned()))?
                    .map_err(|error| PodError::Rules(uid.to_owned(), error))?;
                doors
            }
            Way::Ebpf(ebpf) => {
                let changes = AddressChanges::watch(netns)
                    .map_err(|error| PodError::Netns(uid.to_owned(), error))?;
                let captured = ebpf
                    .enrol(netns)
                    .await
                    .map_err(|error| PodError::Ebpf(uid.to_owned(), error))?;
                if captured.taken_over {
                    tracing::info!(uid, "capture of a pod taken over from a predecessor");
                }
                return Ok(Prepared {
                    doors: captured.doors,
                    follow: Some(Follow {
                        ebpf: ebpf.clone(),
                        changes,
                        known: captured.addresses,
                    }),
                });
            }
        };
        Ok(Prepared {
            doors,
            follow: None,
        })
    }

    /// Binds the listeners that rules redirect to.
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
    pub(super) async fn remove(&self, uid: &str, netns: Arc<Netns>) {
        let removed = match &self.way {
            Way::Agent(_) => Ok(()),
            Way::Iptables(_) => {
                let removed = tokio::task::spawn_blocking(move || iptables::remove(&netns)).await;
                match removed {
                    Ok(removed) => removed.map_err(|error| PodError::Rules(uid.to_owned(), error)),
                    Err(_interrupted) => Err(PodError::Interrupted(uid.to_owned())),
                }
            }
            Way::Ebpf(ebpf) => ebpf
                .remove(netns)
                .await
                .map_err(|error| PodError::Ebpf(uid.to_owned(), error)),
        };
        if let Err(error) = removed {
            tracing::warn!(%error, "capture of a removed pod is left");
        }
    }

    /// Forgets what a predecessor has left, once every pod that is wanted is known. `pods` are all of them, those that cannot be served
    /// yet as well: they are to stay closed.
    pub(super) async fn retain(&self, pods: Vec<Arc<Netns>>) {
        let retained = match &self.way {
            Way::Ebpf(ebpf) => ebpf.retain(pods).await,
            Way::Agent(_) | Way::Iptables(_) => ebpf::forget(&self.pins).await,
        };
        if let Err(error) = retained {
            tracing::warn!(%error, "what a predecessor captured by eBPF is left");
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
