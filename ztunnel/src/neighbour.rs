//! Pods of this node that are joined without a tunnel between them (HB-11).
//!
//! In: a plan, the pod that a connection comes from. Out: a [`Passage`] to the neighbour, or none, and then a tunnel is opened, which finds
//! out by itself what is wrong. Never: a passage past a waypoint or to a pod of another node; with a certificate that a handshake would refuse
//! now; from an address of another family than a tunnel would come from; over a path that the cluster's network does not let a tunnel go.
//!
//! ```text
//! plan `HBONE to a pod` ─▶ served here? ─▶ one family? ─▶ both introduced, as in a handshake ─▶ path ─▶ Passage ─▶ inbound::joined
//!          └──────────────────┴─ no ─────────┴──────────────┴──────────────────────────────────┴─▶ tunnel
//! ```
//! What is joined is admitted, reported and cut as what comes through a tunnel. `SAME_NODE=hbone` makes no passages.
//!
//! Reading order: [`path`] (what is known of a path, and who is inside), [`keeper`] (who finds out), [`probe`] and [`expected`] (how), [`tally`].

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use arc_swap::ArcSwap;
use decision::outbound::{Plan, Via};
use identity::{Introduced, NotIntroduced, Store};
use mesh::{San, Workload};
use net::{drain::Phase, socket};
use telemetry::Telemetry;

use crate::pod::Pod;

pub mod expected;
mod keeper;
pub mod path;
mod probe;
mod tally;

use keeper::{Keeper, Walk};
use path::{OpenPath, PathKey, State, TIMEOUT_FIRST};
use probe::{Ends, Failure};
use tally::Tally;

/// The pods of this node, and what their joining comes to.
#[derive(Debug)]
pub struct Neighbours {
    /// By the uids of their workloads; replaced as a whole, read without a lock.
    pods: ArcSwap<HashMap<String, Vec<Arc<Pod>>>>,
    tally: Arc<Tally>,
}

/// Who wants to be joined.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    /// The pod.
    pub(crate) pod: &'a Arc<Pod>,
    /// The address that the connection comes from.
    pub(crate) client: IpAddr,
    /// The pod's own workload.
    pub(crate) source: &'a Workload,
}

/// Leave to join two pods.
#[derive(Debug)]
pub(crate) struct Passage {
    /// The neighbour.
    pub(crate) to: Arc<Pod>,
    /// Its workload, as planned.
    pub(crate) workload: Arc<Workload>,
    /// Where a tunnel would go: an address that the neighbour was found to have.
    pub(crate) peer: SocketAddr,
    /// What a CONNECT would ask for.
    pub(crate) authority: SocketAddr,
    /// Who each end sees.
    pub(crate) introduced: Arc<Introduced>,
    /// The path that it takes.
    pub(crate) path: OpenPath,
}

/// Why a neighbour is reached by a tunnel all the same.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Obstacle {
    /// A tunnel would come from another address than the connection.
    #[error("client {client} and endpoint {peer} are of different families")]
    OtherFamily {
        /// The client's address.
        client: IpAddr,
        /// The neighbour's HBONE port.
        peer: SocketAddr,
    },
    /// A handshake would fail.
    #[error("identity: {0}")]
    Identity(#[from] NotIntroduced),
    /// One more would be too many.
    #[error("too many paths")]
    TooManyPaths,
    /// The first probe takes long.
    #[error("the path is being walked for the first time")]
    NoAnswer,
    /// Not open.
    #[error("the path is {0:?}")]
    NoPath(State),
}

impl Neighbours {
    /// No pods yet. Counts in `telemetry`.
    #[must_use]
    pub fn new(telemetry: &Telemetry) -> Self {
        let tally = Arc::<Tally>::default();
        telemetry.register(|registry| tally.register(registry));
        Self {
            pods: ArcSwap::default(),
            tally,
        }
    }

    /// A pod is served from now on. One of the same name that is still served stays beside it until it is removed: an agent may tell of
    /// both in any order.
    pub(crate) fn add(&self, uid: String, pod: &Arc<Pod>) {
        self.pods.rcu(|pods| {
            let mut pods = HashMap::clone(pods);
            pods.entry(uid.clone()).or_default().push(Arc::clone(pod));
            pods
        });
    }

    /// It is not any more.
    pub(crate) fn remove(&self, uid: &str, pod: &Arc<Pod>) {
        self.pods.rcu(|pods| {
            let mut pods = HashMap::clone(pods);
            if let Some(namesakes) = pods.get_mut(uid) {
                namesakes.retain(|known| !Arc::ptr_eq(known, pod));
                if namesakes.is_empty() {
                    pods.remove(uid);
                }
            }
            pods
        });
    }

    /// The pod of a workload: of several of one name the one that was added last. If that is the wrong one, it confirms no probe.
    fn find(&self, workload: &Workload) -> Option<Arc<Pod>> {
        let pods = self.pods.load();
        let mut namesakes = pods.get(&*workload.uid)?.iter().rev();
        let is_it = |pod: &&Arc<Pod>| {
            pod.info.service_account == *workload.service_account
                && pod.draining().phase() == Phase::Running
        };
        namesakes.find(is_it).map(Arc::clone)
    }

    /// Leave to join a caller with the pod of this node that a plan leads to, where there is one and it may be. Cancel-safe.
    pub(crate) async fn passage(
        &self,
        store: &Store,
        options: &socket::Options,
        caller: Caller<'_>,
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
        let to = self
            .find(workload)
            .filter(|to| !Arc::ptr_eq(to, caller.pod))?;
        let destination = Destination {
            to: &to,
            workload,
            peer: *peer,
            expected,
        };
        let result = self.admit(store, options, caller, destination).await;
        self.tally.asked(result.as_ref().err());
        let (introduced, path) = result
            .inspect_err(
                |error| tracing::debug!(client = %caller.client, %peer, %error, "not joined"),
            )
            .ok()?;
        Some(Passage {
            to,
            workload: Arc::clone(workload),
            peer: *peer,
            authority: *authority,
            introduced,
            path,
        })
    }

    async fn admit(
        &self,
        store: &Store,
        options: &socket::Options,
        caller: Caller<'_>,
        destination: Destination<'_>,
    ) -> Result<(Arc<Introduced>, OpenPath), Obstacle> {
        let Destination {
            to,
            workload,
            peer,
            expected,
        } = destination;
        let client = caller.client;
        if client.is_ipv4() != peer.is_ipv4() {
            return Err(Obstacle::OtherFamily { client, peer });
        }
        // Before the path: where a handshake fails nobody needs to be probed.
        let (ours, theirs) = (caller.source.identity(), workload.identity());
        let introduced = match store.introduce(&ours, &theirs, expected) {
            Err(NotIntroduced::NoCertificate { .. }) => {
                // Of pods that have just come they are under way, and a tunnel would wait for them, too.
                let both = async { drop(tokio::join!(store.fetch(&ours), store.fetch(&theirs))) };
                drop(tokio::time::timeout(TIMEOUT_FIRST, both).await);
                store.introduce(&ours, &theirs, expected)?
            }
            introduced => introduced?,
        };
        let key = PathKey {
            client,
            to: to.serial,
            peer,
        };
        let path = caller.pod.paths.find(key, &self.tally, |path| {
            let keeper = Keeper {
                paths: Arc::clone(&caller.pod.paths),
                key,
                path,
                ends: [caller.pod.draining(), to.draining()],
                walk: Probe {
                    from: Arc::clone(caller.pod),
                    to: Arc::clone(to),
                    client,
                    peer,
                    mark: options.mark,
                },
            };
            tokio::spawn(keeper.run());
        })?;
        let is_new = path.state() == State::Asking;
        let path = path.enter().await?;
        // Again: they may have lost their credit while the first probe was under way.
        let introduced = match is_new {
            true => store.introduce(&ours, &theirs, expected)?,
            false => introduced,
        };
        Ok((introduced, path))
    }
}

/// Where a plan leads.
struct Destination<'a> {
    to: &'a Arc<Pod>,
    workload: &'a Workload,
    peer: SocketAddr,
    expected: &'a [San],
}

/// What walks between two pods.
struct Probe {
    from: Arc<Pod>,
    to: Arc<Pod>,
    client: IpAddr,
    peer: SocketAddr,
    mark: std::num::NonZeroU32,
}

impl Walk for Probe {
    async fn walk(&mut self) -> Result<(), Failure> {
        probe::walk(Ends {
            netns: &self.from.netns,
            client: self.client,
            expected: &self.to.expected,
            peer: self.peer,
            mark: self.mark,
        })
        .await
    }
}

#[cfg(test)]
mod tests;
