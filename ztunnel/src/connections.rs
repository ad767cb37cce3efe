//! The open connections of one pod: so that each can be cut, re-examined and shown.
//!
//! In: a connection that was just opened. Out: a way to cut it, a list for `/config_dump`.
//! Never: held locked while a decision is made, or across an await.
//!
//! One shard per worker: a connection is registered and removed on its own worker, so workers do not meet here.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use decision::inbound::{Admitted, Refusal};
use identity::PeerCertificate;
use mesh::Snapshot;
use parking_lot::Mutex;
use tokio::sync::oneshot::{self, error::RecvError};

/// Why a connection is cut. Texts: Istio's ztunnel.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    /// A policy that came later denies it.
    #[error("{0}")]
    Policy(Box<Refusal>),
    /// A revocation list names the peer's certificate.
    #[error("connection closed: peer certificate revoked by CRL")]
    Revoked,
    /// The network does not let two joined pods reach each other any more.
    #[error("connection closed: the network does not let the pods reach each other on port 15008")]
    Apart,
    /// The pod is gone, has left the mesh, or the process ends and the grace period is over.
    #[error("connection closed due to connection drain")]
    Drain,
}

/// What the receiver of a registration says: when it fails, nobody is left who would cut.
pub(crate) fn reason(cut: Result<Cut, RecvError>) -> Cut {
    cut.unwrap_or(Cut::Drain)
}

/// Which way a connection goes between its two pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is to go through a tunnel, unless its pods can be joined, which is being asked.
    Undecided,
    /// As it is.
    Plain,
    /// Through a tunnel.
    Hbone,
    /// Within this process: both pods are of this node.
    SameNode,
}

impl Way {
    /// Its name in `/config_dump`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Undecided => "undecided",
            Self::Plain => "plain",
            Self::Hbone => "hbone",
            Self::SameNode => "same_node",
        }
    }
}

/// What is open.
#[derive(Clone, Debug)]
pub enum Open {
    /// From this pod.
    Outbound(Box<Outbound>),
    /// To this pod.
    Inbound(Inbound),
}

/// A connection from this pod.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// The client.
    pub source: SocketAddr,
    /// Where it was going.
    pub original_destination: SocketAddr,
    /// Where it goes.
    pub destination: SocketAddr,
    /// Which way.
    pub way: Way,
    /// Who is at the other end of the tunnel or of the join, once that is known.
    pub peer: Option<Arc<PeerCertificate>>,
}

/// A connection to this pod.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// Why it may, and who it is.
    pub admitted: Arc<Admitted>,
    /// Which way it came.
    pub way: Way,
    /// Who is at the other end of the tunnel or of the join, if it came through one.
    pub peer: Option<Arc<PeerCertificate>>,
}

/// The open connections of one pod.
#[derive(Debug)]
pub struct Connections {
    shards: Shards,
}

/// Not a slice: every connection has a pointer to it, which is thin so.
type Shards = Arc<Vec<Mutex<Shard>>>;

#[derive(Debug, Default)]
struct Shard {
    next: u64,
    entries: HashMap<u64, Entry>,
    /// Set when the pod has left: what comes now is cut at once.
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    open: Open,
    cut: oneshot::Sender<Cut>,
}

/// Removes a connection when it ends.
#[derive(Debug)]
pub struct Registered {
    shards: Shards,
    shard: usize,
    number: u64,
}

impl Registered {
    fn shard(&self) -> &Mutex<Shard> {
        &self.shards[self.shard]
    }

    /// It is known which way an outbound connection goes.
    pub fn goes(&self, by: Way) {
        self.note(|way, _peer| *way = by);
    }

    /// The tunnel of an outbound connection stands, or its join, and this is who is at the other end.
    pub fn reached(&self, by: Way, reached: &Arc<PeerCertificate>) {
        self.note(|way, peer| {
            *way = by;
            *peer = Some(Arc::clone(reached));
        });
    }

    fn note(&self, note: impl FnOnce(&mut Way, &mut Option<Arc<PeerCertificate>>)) {
        if let Some(entry) = self.shard().lock().entries.get_mut(&self.number)
            && let Open::Outbound(open) = &mut entry.open
        {
            note(&mut open.way, &mut open.peer);
        }
    }
}

impl Open {
    fn peer(&self) -> Option<&Arc<PeerCertificate>> {
        match self {
            Self::Outbound(open) => open.peer.as_ref(),
            Self::Inbound(open) => open.peer.as_ref(),
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shard().lock().entries.remove(&self.number);
    }
}

impl Connections {
    /// For so many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            shards: Arc::new((0..workers.max(1)).map(|_| Mutex::default()).collect()),
        }
    }

    /// Registers a connection of a worker. The receiver answers when it is to be cut.
    #[must_use]
    pub fn register(&self, worker: usize, open: Open) -> (Registered, oneshot::Receiver<Cut>) {
        let (cut, receiver) = oneshot::channel();
        let shard = worker % self.shards.len();
        let mut locked = self.shards[shard].lock();
        let number = locked.next;
        locked.next += 1;
        if locked.closed {
            // It fails only when the receiver is gone, and it is in our hands.
            drop(cut.send(Cut::Drain));
        } else {
            locked.entries.insert(number, Entry { open, cut });
        }
        drop(locked);
        let registered = Registered {
            shards: Arc::clone(&self.shards),
            shard,
            number,
        };
        (registered, receiver)
    }

    /// Registers a connection that was admitted, and asks `readmit` only then whether it still is. A policy that
    /// comes in between is seen here, and one that comes later by [`Connections::recheck`]; none by neither.
    ///
    /// # Errors
    /// What `readmit` says is the third part; the connection is registered all the same, until it is dropped.
    pub fn register_admitted(
        &self,
        worker: usize,
        admitted: &Arc<Admitted>,
        way: Way,
        peer: Option<Arc<PeerCertificate>>,
        readmit: impl FnOnce(&Admitted) -> Result<(), Refusal>,
    ) -> (Registered, oneshot::Receiver<Cut>, Result<(), Refusal>) {
        let open = Open::Inbound(Inbound {
            admitted: Arc::clone(admitted),
            way,
            peer,
        });
        let (registered, cut) = self.register(worker, open);
        let still = readmit(admitted);
        (registered, cut, still)
    }

    /// Cuts every connection that `snapshot` no longer admits.
    pub fn recheck(&self, snapshot: &Snapshot) {
        for shard in self.shards.iter() {
            // Copied out, because a worker must not wait while policies are evaluated.
            let admitted: Vec<(u64, Arc<Admitted>)> = shard
                .lock()
                .entries
                .iter()
                .filter_map(|(number, entry)| match &entry.open {
                    Open::Inbound(open) => Some((*number, Arc::clone(&open.admitted))),
                    Open::Outbound(_) => None,
                })
                .collect();
            for (number, admitted) in admitted {
                if let Err(refusal) = admitted.readmit(snapshot) {
                    let entry = shard.lock().entries.remove(&number);
                    if let Some(entry) = entry {
                        // It fails only when the connection has just ended by itself.
                        drop(entry.cut.send(Cut::Policy(Box::new(refusal))));
                    }
                }
            }
        }
    }

    /// Cuts every connection of a peer that a revocation list names.
    pub fn cut_revoked(&self, is_revoked: impl Fn(&PeerCertificate) -> bool) {
        for shard in self.shards.iter() {
            let peers: Vec<(u64, Arc<PeerCertificate>)> = shard
                .lock()
                .entries
                .iter()
                .filter_map(|(number, entry)| Some((*number, Arc::clone(entry.open.peer()?))))
                .collect();
            for (number, peer) in peers {
                if is_revoked(&peer) {
                    let entry = shard.lock().entries.remove(&number);
                    if let Some(entry) = entry {
                        drop(entry.cut.send(Cut::Revoked));
                    }
                }
            }
        }
    }

    /// Cuts every connection, and every one that is registered later.
    pub fn close(&self) {
        for shard in self.shards.iter() {
            let entries = {
                let mut shard = shard.lock();
                shard.closed = true;
                std::mem::take(&mut shard.entries)
            };
            for entry in entries.into_values() {
                drop(entry.cut.send(Cut::Drain));
            }
        }
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().entries.len())
            .sum()
    }

    /// Those that are open now.
    #[must_use]
    pub fn list(&self) -> Vec<Open> {
        self.shards
            .iter()
            .flat_map(|shard| {
                shard
                    .lock()
                    .entries
                    .values()
                    .map(|e| e.open.clone())
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
