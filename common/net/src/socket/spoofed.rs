//! The source ports of connections that show an application its client.
//!
//! Such a connection and the client's own, which the proxy has accepted, live in one namespace: with the same port
//! they would be one connection to the kernel, and neither would work.

use std::{
    collections::HashMap,
    net::SocketAddr,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

/// The ports that spoofed connections leave from: below the ephemeral range, because a port that the client
/// itself uses towards this pod would meet the client's own connection in this namespace and hang.
const SPOOFED_PORTS: std::ops::RangeInclusive<u16> = 1024..=32_767;

/// How often a handshake that gets no answer is asked whether it has met a connection of the client's own. Without that it is over
/// in microseconds.
const PAUSE_USED: Duration = Duration::from_millis(100);

/// How the application's answers to a borrowed address come back to the proxy, and do not leave the pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answers {
    /// Rules of netfilter know the connection by the mark of the proxy's packets.
    #[default]
    ByConntrack,
    /// The application's socket takes over this mark from the first packet (`tcp_fwmark_accept`), and a route of the
    /// pod keeps on `lo` what carries it.
    ByRoute(NonZeroU32),
}

/// The source ports of one pod: where they stand, and which of them clients use themselves.
#[derive(Debug, Default)]
pub struct SpoofedPorts {
    count: AtomicU16,
    answers: Answers,
    /// How many accepted connections each peer has that uses one of our ports.
    live: Arc<Mutex<HashMap<SocketAddr, usize>>>,
}

/// A client's port, not used for anybody else while this lives.
#[derive(Debug)]
pub struct LivePeer {
    peer: SocketAddr,
    live: Arc<Mutex<HashMap<SocketAddr, usize>>>,
}

impl SpoofedPorts {
    /// Ports of a pod whose answers come back like this.
    #[must_use]
    pub fn new(answers: Answers) -> Self {
        Self {
            answers,
            ..Self::default()
        }
    }

    /// Keeps the port of a plain connection's client free, for as long as the connection is open; `None` where it
    /// needs no keeping, because it is none of ours.
    #[must_use]
    pub fn keep(&self, peer: SocketAddr) -> Option<LivePeer> {
        if !SPOOFED_PORTS.contains(&peer.port()) {
            return None;
        }
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        *live.entry(peer).or_default() += 1;
        Some(LivePeer {
            peer,
            live: Arc::clone(&self.live),
        })
    }

    /// Waits until a client uses a port itself.
    pub(super) async fn used(&self, peer: SocketAddr) {
        loop {
            tokio::time::sleep(PAUSE_USED).await;
            if self.is_live(peer) {
                return;
            }
        }
    }

    fn is_live(&self, peer: SocketAddr) -> bool {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.contains_key(&peer)
    }

    /// The next port that a client does not use itself, as far as is known; `None` where it uses all of them.
    pub(super) fn next_for(&self, client: SocketAddr) -> Option<u16> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        SPOOFED_PORTS.map(|_turn| self.next()).find(|&port| {
            port != client.port() && !live.contains_key(&SocketAddr::new(client.ip(), port))
        })
    }

    pub(super) fn answers(&self) -> Answers {
        self.answers
    }

    fn next(&self) -> u16 {
        let count = SPOOFED_PORTS.end() - SPOOFED_PORTS.start() + 1;
        SPOOFED_PORTS.start() + self.count.fetch_add(1, Ordering::Relaxed) % count
    }
}

impl Drop for LivePeer {
    fn drop(&mut self) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = live.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                live.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests;
