//! Capture by programs in the kernel (`CAPTURE=ebpf`), with `ebpf-loader`.
//!
//! In: pods' namespaces. Out: listeners that get their connections.
//! Never: blocks a runtime; undoes anything because ztunnel ends: what is pinned then drops connections, until a
//! successor has put its listeners in. Never captures beside an agent.

use std::{net::IpAddr, num::NonZeroU16, path::Path, sync::Arc};

use ebpf_loader::{
    Capture, Cookie, Listener, PodSettings, Serving, Settings, Unsupported,
    listeners::{self, Traffic},
    probe, routes,
};
use net::{
    Netns,
    socket::{Answers, Options},
};

use super::{
    iptables::{self, Owner},
    listen::{Door, Kind},
};
use crate::config;

/// Why a pod cannot be captured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A step is refused.
    #[error(transparent)]
    Step(#[from] ebpf_loader::Error),
    /// Rules of netfilter: an agent's, or ours of another mode that cannot be read or removed. What we deliver would go into them.
    #[error(transparent)]
    Rules(#[from] iptables::Error),
    /// Something of ours broke on the way.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// Whether a successor captures: it is none of our business any more.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        matches!(self, Self::Step(ebpf_loader::Error::Superseded(_)))
    }
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
}

/// A pod that is captured.
#[derive(Debug)]
pub(super) struct Captured {
    /// Its new listeners.
    pub(super) doors: Vec<Door>,
    /// The places of all of its listeners, those from before too.
    pub(super) places: Vec<Listener>,
    /// Its addresses when it was captured. The first one of each family is what its connections come from.
    pub(super) addresses: Vec<IpAddr>,
    /// What captured connections come from that chose no address.
    pub(super) sources: Vec<IpAddr>,
    /// Whether it was captured before, by a predecessor or by us.
    pub(super) taken_over: bool,
}

/// How a pod that is served stands.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    /// Where its DNS is answered.
    pub(super) port_dns: Option<NonZeroU16>,
    /// The places of its listeners.
    pub(super) places: Vec<Listener>,
    /// Its addresses.
    pub(super) addresses: Vec<IpAddr>,
}

impl Ebpf {
    /// Moves this process into a cgroup of its own, tries out whether it works here, and attaches the programs.
    ///
    /// # Errors
    /// The reason why another mode has to capture.
    pub async fn open(
        config: &config::Capture,
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
                dns: config.dns,
                excluded_inbound_ports: config.exclusions.inbound_ports.clone(),
                excluded_outbound_ports: config.exclusions.outbound_ports.clone(),
                excluded_outbound_ranges: config.exclusions.outbound_ranges.clone(),
            },
            options: options.clone(),
            answers,
        })))
    }

    /// How answers to borrowed addresses come back.
    #[must_use]
    pub fn answers(&self) -> Answers {
        self.0.answers
    }

    /// Whether queries of pods are led to their DNS proxies.
    pub(super) fn captures_dns(&self) -> bool {
        self.0.pod.dns
    }

    /// Captures a pod that cannot be served: it gets nowhere, in either direction. One that is captured stays as it is.
    pub(super) async fn close(&self, netns: &Arc<Netns>) -> Result<(), Box<Error>> {
        let (shared, netns) = (Arc::clone(&self.0), Arc::clone(netns));
        blocking(move || match iptables::owner(&netns) {
            Ok(Owner::Agent) => Err(iptables::Error::Agent.into()),
            Ok(Owner::Nobody | Owner::Ours) | Err(_) => shared.close(&netns),
        })
        .await
    }

    /// Captures a pod, or takes it over. Where that fails it is closed, or as it was, unless an agent captures it.
    pub(super) async fn enrol(
        &self,
        netns: &Arc<Netns>,
        port_dns: Option<NonZeroU16>,
    ) -> Result<Captured, Box<Error>> {
        let (shared, netns) = (Arc::clone(&self.0), Arc::clone(netns));
        blocking(move || {
            // Before anything else: what is captured by rules stays so until the programs capture it.
            let owner = match iptables::owner(&netns) {
                Ok(Owner::Agent) => return Err(iptables::Error::Agent.into()),
                Ok(owner) => owner,
                // Where there are no tools, there are no rules of theirs.
                Err(iptables::Error::ProgramMissing { .. }) => Owner::Nobody,
                Err(error) => {
                    shared.close(&netns)?;
                    return Err(error.into());
                }
            };
            // Before it is captured, so that what changes meanwhile is told as a change.
            let addresses = routes::addresses(&netns)?;
            let captured = shared.enrol(&netns, addresses, port_dns, &[])?;
            if owner == Owner::Ours {
                // They would take what we deliver for a connection from outside.
                iptables::remove(&netns)?;
            }
            Ok(captured)
        })
        .await
    }

    /// Captures a pod again that we serve, if it has other addresses or if whoever took it over from us has died.
    pub(super) async fn enrol_again(
        &self,
        netns: &Arc<Netns>,
        standing: &Standing,
    ) -> Result<Option<Captured>, Box<Error>> {
        let (shared, netns, standing) = (Arc::clone(&self.0), Arc::clone(netns), standing.clone());
        blocking(move || {
            let found = routes::addresses(&netns)?;
            let known = &standing.addresses;
            let same = found.len() == known.len() && found.iter().all(|ip| known.contains(ip));
            let is_orphaned = shared.capture.is_orphaned(cookie(&netns)?)?;
            if same && !is_orphaned {
                return Ok(None);
            }
            // Those that it had come first: it goes on under the address that others know it by.
            let (mut addresses, new): (Vec<_>, Vec<_>) =
                found.iter().partition(|ip| known.contains(ip));
            addresses.sort_by_key(|ip| known.iter().position(|known| known == ip));
            addresses.extend(new);
            let kept: &[Listener] = if is_orphaned { &[] } else { &standing.places };
            shared
                .enrol(&netns, addresses, standing.port_dns, kept)
                .map(Some)
        })
        .await
    }

    /// Lets a pod go.
    pub(super) async fn remove(&self, netns: Arc<Netns>) -> Result<(), Box<Error>> {
        let shared = Arc::clone(&self.0);
        blocking(move || Ok(shared.capture.remove(&netns, cookie(&netns)?)?)).await
    }

    /// Lets go of what a predecessor captured and is not among `pods`. Says how many of them only a predecessor of another build
    /// holds yet.
    pub(super) async fn retain(&self, pods: Vec<Arc<Netns>>) -> Result<usize, Box<Error>> {
        let shared = Arc::clone(&self.0);
        blocking(move || Ok(shared.capture.retain(&cookies(&pods)?)?)).await
    }
}

impl Shared {
    fn close(&self, netns: &Netns) -> Result<(), Error> {
        self.capture.close(netns, cookie(netns)?, &self.pod)?;
        Ok(())
    }

    fn enrol(
        &self,
        netns: &Netns,
        addresses: Vec<IpAddr>,
        port_dns: Option<NonZeroU16>,
        kept: &[Listener],
    ) -> Result<Captured, Error> {
        let settings = PodSettings {
            addresses: addresses.clone(),
            ..self.pod.clone()
        };
        let serving = Serving {
            port_dns: port_dns.filter(|_| settings.dns),
            options: &self.options,
            kept,
        };
        let enrolled = self
            .capture
            .enrol(netns, cookie(netns)?, &settings, &serving)?;
        let mut places = kept.to_vec();
        places.extend(enrolled.listeners.iter().map(|(place, _)| *place));
        let door = |(place, listener)| Door {
            kind: match listeners::traffic(place) {
                Traffic::Outbound => Kind::Outbound,
                Traffic::Inbound => Kind::Plaintext,
                Traffic::Hbone => Kind::Hbone,
            },
            listener,
            steered: true,
        };
        let sources = [
            enrolled.source_v4.map(IpAddr::from),
            enrolled.source_v6.map(IpAddr::from),
        ];
        Ok(Captured {
            doors: enrolled.listeners.into_iter().map(door).collect(),
            places,
            addresses,
            sources: sources.into_iter().flatten().collect(),
            taken_over: enrolled.taken_over,
        })
    }
}

/// Removes what a predecessor that captured like this has left, once another way captures. `kept` cannot be captured by that yet, and
/// stay closed: how many they are is returned.
pub(super) async fn forget(pins: &Path, kept: Vec<Arc<Netns>>) -> Result<usize, Box<Error>> {
    let pins = pins.to_owned();
    blocking(move || Ok(ebpf_loader::capture::forget(&pins, &cookies(&kept)?)?)).await
}

fn cookie(netns: &Netns) -> Result<Cookie, Error> {
    Ok(Cookie::of(netns)?)
}

/// All of them, or none: whoever is missing in such a list loses its capture.
fn cookies(pods: &[Arc<Netns>]) -> Result<Vec<Cookie>, Error> {
    pods.iter().map(|pod| cookie(pod)).collect()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Box<Error>> {
    let done = tokio::task::spawn_blocking(|| work().map_err(Box::new)).await;
    done.unwrap_or_else(|_interrupted| Err(Box::new(Error::Interrupted)))
}
