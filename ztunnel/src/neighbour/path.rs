//! Whether the cluster's network lets one pod reach another's port 15008: what a tunnel would need, and what NetworkPolicy takes away.
//!
//! In: two pods and their addresses. Out: [`Use`] of a path that is open, and word when it closes. Never: an open path that nobody has
//! walked within the last [`PAUSE_PROBE`] and what a probe takes.
//!
//! A probe is a TCP connection from the one pod's namespace to the other's port 15008, by the way that a tunnel would go. Tasks: one per
//! path, on the worker that asked first, until nobody has used it for [`PAUSE_PROBE`] or one of its pods is gone.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use identity::{Clock, Credential, Introduced, PeerCertificate, introduce};
use mesh::San;
use net::{drain::Phase, socket};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::pod::Pod;

/// Between two probes of a path.
const PAUSE_PROBE: Duration = Duration::from_secs(10);
/// How long a probe may take: two of the kernel's retransmissions.
const TIMEOUT_PROBE: Duration = Duration::from_secs(4);
/// How long a connection waits for the first probe before it goes by a tunnel.
const TIMEOUT_FIRST: Duration = Duration::from_secs(1);
/// Paths that are known at once; connections of further pairs go by tunnels.
const MAX_PATHS: usize = 16_384;

/// Between whom.
pub(super) struct Ends<'a> {
    pub(super) from: &'a Arc<Pod>,
    /// The address that the connection comes from.
    pub(super) client: IpAddr,
    pub(super) to: &'a Arc<Pod>,
    /// The neighbour's HBONE port.
    pub(super) peer: SocketAddr,
}

/// A path's name: the pods' uids, as one may come with the address of another that has gone, and the addresses.
type Key = (String, IpAddr, String, SocketAddr);

/// All paths.
#[derive(Debug, Default)]
pub(super) struct Paths(Arc<Mutex<HashMap<Key, Arc<Path>>>>);

/// One of them.
#[derive(Debug)]
pub(super) struct Path {
    state: watch::Sender<State>,
    uses: AtomicUsize,
    introduced: Mutex<Option<Acquaintance>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first probe is under way.
    Asking,
    Open,
    Closed,
}

/// Two credentials that were checked, by their generations, and for whom the client took the server.
#[derive(Debug)]
struct Acquaintance {
    generations: (u64, u64),
    expected: Box<[San]>,
    client: Arc<PeerCertificate>,
    server: Arc<PeerCertificate>,
}

/// A path in use.
pub(crate) struct Use {
    path: Arc<Path>,
    state: watch::Receiver<State>,
}

impl Drop for Use {
    fn drop(&mut self) {
        self.path.uses.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Use {
    /// Waits until it is not open any more.
    pub(super) fn closed(&self) -> impl Future<Output = ()> + use<> {
        let mut state = self.state.clone();
        async move {
            // It cannot fail: this path is alive while it is used.
            drop(state.wait_for(|state| *state != State::Open).await);
        }
    }
}

impl Paths {
    /// The path between two pods; the first who asks has it probed.
    pub(super) fn find(&self, ends: &Ends<'_>, options: &socket::Options) -> Option<Arc<Path>> {
        let key = (
            ends.from.uid.clone(),
            ends.client,
            ends.to.uid.clone(),
            ends.peer,
        );
        let mut paths = self.0.lock();
        if let Some(path) = paths.get(&key) {
            return Some(Arc::clone(path));
        }
        if paths.len() >= MAX_PATHS {
            return None;
        }
        let path = Arc::new(Path {
            state: watch::Sender::new(State::Asking),
            uses: AtomicUsize::new(0),
            introduced: Mutex::default(),
        });
        paths.insert(key.clone(), Arc::clone(&path));
        let keeper = Keeper {
            paths: Arc::clone(&self.0),
            key,
            path: Arc::clone(&path),
            from: Arc::clone(ends.from),
            to: Arc::clone(ends.to),
            options: socket::Options {
                timeout_connect: TIMEOUT_PROBE,
                ..options.clone()
            },
        };
        tokio::spawn(keeper.run());
        Some(path)
    }
}

impl Path {
    /// Who the two are to each other, if each would believe the other in a handshake now.
    pub(super) fn introduce(
        &self,
        client: &Credential,
        server: &Credential,
        expected: &[San],
    ) -> Option<(Arc<PeerCertificate>, Arc<PeerCertificate>)> {
        let generations = (client.generation(), server.generation());
        let clock = Clock::default();
        let mut introduced = self.introduced.lock();
        if let Some(known) = &*introduced
            && known.generations == generations
            && *known.expected == *expected
            && clock.now() < known.client.not_after.min(known.server.not_after)
        {
            return Some((Arc::clone(&known.client), Arc::clone(&known.server)));
        }
        match introduce(client, server, expected, &clock) {
            Ok(Introduced { client, server }) => {
                let (client, server) = (Arc::new(client), Arc::new(server));
                *introduced = Some(Acquaintance {
                    generations,
                    expected: expected.into(),
                    client: Arc::clone(&client),
                    server: Arc::clone(&server),
                });
                Some((client, server))
            }
            Err(error) => {
                tracing::debug!(client = %client.id(), server = %server.id(), %error, "not joined");
                None
            }
        }
    }

    /// Uses it, if it is open.
    pub(super) async fn enter(self: Arc<Self>) -> Option<Use> {
        // First: a path that is in use is not forgotten.
        self.uses.fetch_add(1, Ordering::Relaxed);
        let mut used = Use {
            state: self.state.subscribe(),
            path: self,
        };
        let answer = used.state.wait_for(|state| *state != State::Asking);
        let is_open = match tokio::time::timeout(TIMEOUT_FIRST, answer).await {
            Ok(answer) => answer.is_ok_and(|state| *state == State::Open),
            Err(_elapsed) => false,
        };
        is_open.then_some(used)
    }
}

/// Probes a path until nobody uses it.
struct Keeper {
    paths: Arc<Mutex<HashMap<Key, Arc<Path>>>>,
    key: Key,
    path: Arc<Path>,
    from: Arc<Pod>,
    to: Arc<Pod>,
    options: socket::Options,
}

impl Keeper {
    async fn run(self) {
        let (mut from, mut to) = (self.from.draining(), self.to.draining());
        tokio::select! {
            () = self.keep() => {}
            () = from.reached(Phase::Cut) => self.forget(),
            () = to.reached(Phase::Cut) => self.forget(),
        }
    }

    async fn keep(&self) {
        loop {
            let state = self.probe().await;
            let before = self.path.state.send_replace(state);
            if before == State::Open && state == State::Closed {
                let (_, client, _, peer) = &self.key;
                tracing::warn!(%client, %peer, "the network does not let two joined pods reach each other any more: their connections are cut");
            }
            tokio::time::sleep(PAUSE_PROBE).await;
            if self.is_forgotten() {
                return;
            }
        }
    }

    async fn probe(&self) -> State {
        let (_, client, _, peer) = &self.key;
        match socket::connect(&self.from.netns, Some(*client), *peer, &self.options).await {
            Ok(probe) => {
                // Nothing was said; without this every probe would leave a socket behind for a minute.
                socket::reset_on_close(&probe);
                State::Open
            }
            Err(error) => {
                tracing::debug!(%client, %peer, %error, "no path between two pods of this node");
                State::Closed
            }
        }
    }

    /// Forgets the path if nobody uses it.
    fn is_forgotten(&self) -> bool {
        let mut paths = self.paths.lock();
        // Whoever finds a path does so under the lock, and holds it then: the map, the keeper and nobody else.
        let is_unused =
            self.path.uses.load(Ordering::Relaxed) == 0 && Arc::strong_count(&self.path) == 2;
        if is_unused {
            paths.remove(&self.key);
        }
        is_unused
    }

    fn forget(&self) {
        self.path.state.send_replace(State::Closed);
        self.paths.lock().remove(&self.key);
    }
}
