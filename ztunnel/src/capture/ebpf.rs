//! Capture by programs in the kernel (`CAPTURE=ebpf`), with `ebpf-loader`.
//!
//! In: pods' namespaces. Out: listeners that get their connections.
//! Never: blocks a runtime; undoes anything because ztunnel ends: what is pinned then drops connections, until a
//! successor has put its listeners in.

use std::{net::IpAddr, num::NonZeroU16, path::Path, sync::Arc};

use ebpf_loader::{Capture, PodSettings, Settings, Unsupported, listeners, probe, routes};
use net::{
    Netns,
    socket::{Answers, Options},
};
use parking_lot::Mutex;

use super::{
    iptables,
    listen::{Door, Kind},
};
use crate::config;

/// Why a pod cannot be captured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A step is refused.
    #[error(transparent)]
    Step(#[from] ebpf_loader::Error),
    /// Something of ours broke on the way.
    #[error("interrupted")]
    Interrupted,
}

/// The programs, attached.
#[derive(Clone, Debug)]
pub struct Ebpf(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    capture: Capture,
    pod: PodSettings,
    options: Options,
    answers: Answers,
    /// Held while a pod is captured again or let go, so that the second is the last.
    turn: Mutex<()>,
}

/// A pod that is captured.
#[derive(Debug)]
pub(super) struct Captured {
    pub(super) doors: Vec<Door>,
    /// Its addresses when it was captured. The first one of each family is what its connections come from.
    pub(super) addresses: Vec<IpAddr>,
    /// Whether it was captured before, by a predecessor or by us.
    pub(super) taken_over: bool,
}

impl Ebpf {
    /// Moves this process into a cgroup of its own, tries out whether it works here, and attaches the programs.
    ///
    /// # Errors
    /// The reason why another mode has to capture.
    pub async fn open(
        config: &config::Capture,
        port_dns: Option<NonZeroU16>,
        options: &Options,
    ) -> Result<Self, Box<Unsupported>> {
        let settings = Settings {
            cgroup: config.cgroup.clone(),
            pins: config.pins.clone(),
            ..Settings::default()
        };
        let answers = Answers::ByRoute(settings.mark);
        let of_listeners = options.clone();
        let start = move || probe::start(&settings, &of_listeners).map_err(Box::new);
        let capture = match tokio::task::spawn_blocking(start).await {
            Ok(opened) => opened?,
            Err(interrupted) => {
                return Err(Box::new(Unsupported::DryRun {
                    step: "the whole of it",
                    source: std::io::Error::other(interrupted),
                }));
            }
        };
        Ok(Self(Arc::new(Shared {
            capture,
            pod: PodSettings {
                addresses: Vec::new(),
                ipv6: config.ipv6,
                port_dns,
                excluded_inbound_ports: config.exclusions.inbound_ports.clone(),
                excluded_outbound_ports: config.exclusions.outbound_ports.clone(),
                excluded_outbound_ranges: config.exclusions.outbound_ranges.clone(),
            },
            options: options.clone(),
            answers,
            turn: Mutex::default(),
        })))
    }

    /// How answers to borrowed addresses come back.
    #[must_use]
    pub fn answers(&self) -> Answers {
        self.0.answers
    }

    /// Captures a pod, or takes it over.
    pub(super) async fn enrol(&self, netns: &Arc<Netns>) -> Result<Captured, Box<Error>> {
        let (shared, netns) = (Arc::clone(&self.0), Arc::clone(netns));
        blocking(move || {
            // Before it is captured, so that what changes meanwhile is told as a change.
            let found = routes::addresses(&netns)?;
            shared.enrol(&netns, found)
        })
        .await
    }

    /// Captures a pod again if it has other addresses than `known`, and is served still.
    pub(super) async fn enrol_again(
        &self,
        netns: &Arc<Netns>,
        known: &[IpAddr],
        is_served: impl FnOnce() -> bool + Send + 'static,
    ) -> Result<Option<Captured>, Box<Error>> {
        let (shared, netns, known) = (Arc::clone(&self.0), Arc::clone(netns), known.to_vec());
        blocking(move || {
            let _turn = shared.turn.lock();
            if !is_served() {
                return Ok(None);
            }
            let found = routes::addresses(&netns)?;
            if known.iter().all(|ip| found.contains(ip))
                && found.iter().all(|ip| known.contains(ip))
            {
                return Ok(None);
            }
            // Those that it had come first: it goes on under the address that others know it by.
            let (mut addresses, new): (Vec<_>, Vec<_>) =
                found.iter().partition(|ip| known.contains(ip));
            addresses.sort_by_key(|ip| known.iter().position(|known| known == ip));
            addresses.extend(new);
            shared.enrol(&netns, addresses).map(Some)
        })
        .await
    }

    /// Lets a pod go.
    pub(super) async fn remove(&self, netns: Arc<Netns>) -> Result<(), Box<Error>> {
        let shared = Arc::clone(&self.0);
        blocking(move || {
            let _turn = shared.turn.lock();
            Ok(shared.capture.remove(&netns)?)
        })
        .await
    }

    /// Lets go of what a predecessor captured and is not among `pods`.
    pub(super) async fn retain(&self, pods: Vec<Arc<Netns>>) -> Result<(), Box<Error>> {
        let shared = Arc::clone(&self.0);
        blocking(move || {
            // One that cannot say its number has no pins that could be kept for it.
            let cookies: Vec<u64> = pods.iter().filter_map(|pod| pod.cookie().ok()).collect();
            Ok(shared.capture.retain(&cookies)?)
        })
        .await
    }
}

impl Shared {
    fn enrol(&self, netns: &Netns, addresses: Vec<IpAddr>) -> Result<Captured, Error> {
        let settings = PodSettings {
            addresses: addresses.clone(),
            ..self.pod.clone()
        };
        let enrolled = self.capture.enrol(netns, &settings, &self.options)?;
        if !enrolled.taken_over {
            remove_rules(netns);
        }
        let door = |(place, listener)| Door {
            kind: if listeners::is_outbound(place) {
                Kind::Outbound
            } else {
                Kind::Plaintext
            },
            listener,
            steered: true,
        };
        Ok(Captured {
            doors: enrolled.listeners.into_iter().map(door).collect(),
            addresses,
            taken_over: enrolled.taken_over,
        })
    }
}

/// Removes what a predecessor that captured like this has left, once another way captures.
pub(super) async fn forget(pins: &Path) -> Result<(), Box<Error>> {
    let pins = pins.to_owned();
    blocking(move || Ok(ebpf_loader::capture::forget(&pins)?)).await
}

/// Rules of a predecessor that captured with them would take what we deliver for a connection from outside.
fn remove_rules(netns: &Netns) {
    let removed = match iptables::stand(netns) {
        Ok(true) => iptables::remove(netns),
        Ok(false) => Ok(()),
        // Where there are no tools, there are no rules of theirs.
        Err(iptables::Error::ProgramMissing { .. }) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = removed {
        tracing::warn!(%error, "rules of iptables are left in a pod that eBPF captures");
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Box<Error>> {
    let done = tokio::task::spawn_blocking(|| work().map_err(Box::new)).await;
    done.unwrap_or_else(|_interrupted| Err(Box::new(Error::Interrupted)))
}
