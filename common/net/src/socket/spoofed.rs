//! The source ports of connections that show an application its client.
//!
//! Such a connection and the client's own, which the proxy has accepted, live in one namespace: with the same port
//! they would be one connection to the kernel, and neither would work.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The ports that spoofed connections leave from: below the ephemeral range, because a port that the client
/// itself uses towards this pod would meet the client's own connection in this namespace and hang.
const SPOOFED_PORTS: std::ops::RangeInclusive<u16> = 1024..=32_767;
/// How many they are.
const PORTS: usize = (*SPOOFED_PORTS.end() - *SPOOFED_PORTS.start()) as usize + 1;
/// How far to go from a port that met something unknown. Clients choose ports close to each other, and so is what else
/// would be met. With the step to the next port it is a prime, so that every port has its turn.
const STRIDE: usize = 7918;

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
    answers: Answers,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The next port, counted from the first of [`SPOOFED_PORTS`].
    at: usize,
    /// Those that use one of our ports.
    clients: HashMap<IpAddr, Client>,
}

/// The ports that one client uses itself.
#[derive(Debug)]
struct Client {
    /// One bit per port: a client may hold most of them, and each delivery looks for a free one.
    used: Box<[u64]>,
    /// How many accepted connections each has.
    open: HashMap<usize, usize>,
}

/// A client's port, not used for anybody else while this lives.
#[derive(Debug)]
pub struct LivePeer {
    client: IpAddr,
    index: usize,
    state: Arc<Mutex<State>>,
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
        let index = index(peer.port())?;
        let mut state = lock(&self.state);
        state.clients.entry(peer.ip()).or_default().begin(index);
        Some(LivePeer {
            client: peer.ip(),
            index,
            state: Arc::clone(&self.state),
        })
    }

    /// The next port that a client does not use itself, as far as is known; `None` where it uses all of them.
    pub(super) fn next_for(&self, client: SocketAddr) -> Option<u16> {
        let mut state = lock(&self.state);
        let own = index(client.port());
        let known = state.clients.get(&client.ip());
        let free = |from| match known {
            Some(known) => known.free(from),
            None => Some(from % PORTS),
        };
        let found = free(state.at)?;
        let found = if own == Some(found) {
            free(found + 1).filter(|other| *other != found)?
        } else {
            found
        };
        state.at = (found + 1) % PORTS;
        SPOOFED_PORTS.clone().nth(found)
    }

    /// Goes on elsewhere: the last port has met a connection that nobody knows of.
    pub(super) fn skip(&self) {
        let mut state = lock(&self.state);
        state.at = (state.at + STRIDE) % PORTS;
    }

    pub(super) fn answers(&self) -> Answers {
        self.answers
    }
}

impl Default for Client {
    fn default() -> Self {
        Self {
            used: vec![0; PORTS.div_ceil(64)].into(),
            open: HashMap::new(),
        }
    }
}

impl Client {
    fn begin(&mut self, index: usize) {
        *self.open.entry(index).or_default() += 1;
        self.mark(index, true);
    }

    fn end(&mut self, index: usize) {
        if let Some(count) = self.open.get_mut(&index) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&index);
                self.mark(index, false);
            }
        }
    }

    fn mark(&mut self, index: usize, used: bool) {
        if let Some(word) = self.used.get_mut(index / 64) {
            let bit = 1 << (index % 64);
            *word = if used { *word | bit } else { *word & !bit };
        }
    }

    /// The first port from `from` on, and round, that it does not use.
    fn free(&self, from: usize) -> Option<usize> {
        let from = from % PORTS;
        let (words, word) = (self.used.len(), from / 64);
        // The first word a second time: what it holds before `from` comes last.
        (0..=words).find_map(|step| {
            let at = (word + step) % words;
            let free = !self.used.get(at)?;
            let free = if step == 0 {
                free & (u64::MAX << (from % 64))
            } else {
                free
            };
            (free != 0).then(|| at * 64 + free.trailing_zeros() as usize)
        })
    }
}

impl Drop for LivePeer {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if let Some(client) = state.clients.get_mut(&self.client) {
            client.end(self.index);
            if client.open.is_empty() {
                state.clients.remove(&self.client);
            }
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a port stands in [`SPOOFED_PORTS`].
fn index(port: u16) -> Option<usize> {
    SPOOFED_PORTS
        .contains(&port)
        .then(|| usize::from(port - SPOOFED_PORTS.start()))
}

// Each bit is a port: none is left over at the end.
const _: () = assert!(PORTS.is_multiple_of(64));

#[cfg(test)]
mod tests;
