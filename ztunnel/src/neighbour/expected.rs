//! The probes that are under way to one pod, by the addresses that they come from: how its own listener tells them from tunnels.
//!
//! In: the bound address of a probe, before it connects; the two ends of what port 15008 of the pod accepts. Out: a confirmation, once.
//! Never: confirms what came to another pod, from another address, or to another address than the probe was sent to.
//!
//! A confirmation says that a TCP handshake between these two addresses was completed inside the pod's own namespace, by a listener of this
//! process. So it also proves what a tunnel would show of its ends: nobody has translated either address on the way, and the
//! pod has the address that the mesh says it has.
//!
//! Who could forge one? The handshake must be completed from the very address and port that the probe has bound, which is nobody else's in its
//! namespace while it is bound, so the answer must be seen by whoever sent the SYN: it takes somebody on the path. A process of the client's pod that may
//! write raw packets can answer the probe itself, but nothing of that comes to this listener. One of the destination's that may do the same
//! can complete a handshake here that nobody has begun, but the probe has then got no answer. Only both in league, each in its own pod
//! and with that privilege, deceive us, and two that are in league and agree on ports at every probe have another way to talk already.

use std::{collections::HashMap, net::SocketAddr};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Probes to one pod at once: more than pods of one node have addresses. Those beyond are not made, and their pods not joined.
const MAX_EXPECTED: usize = 1024;

/// The probes that are under way to one pod.
#[derive(Debug, Default)]
pub struct Expected(Mutex<HashMap<SocketAddr, Waiting>>);

#[derive(Debug)]
struct Waiting {
    /// Where it was sent to.
    to: SocketAddr,
    confirm: oneshot::Sender<()>,
}

/// A probe that is waited for, until this is dropped.
#[derive(Debug)]
pub(super) struct Expecting<'a> {
    all: &'a Expected,
    from: SocketAddr,
    confirmed: oneshot::Receiver<()>,
}

impl Expected {
    /// A probe will come from `from` to `to`: both as sockets without IPv4 in IPv6 have them. `None` when there are too many, or one
    /// from there already.
    pub(super) fn expect(&self, from: SocketAddr, to: SocketAddr) -> Option<Expecting<'_>> {
        let mut expected = self.0.lock();
        if expected.len() >= MAX_EXPECTED || expected.contains_key(&from) {
            return None;
        }
        let (confirm, confirmed) = oneshot::channel();
        expected.insert(from, Waiting { to, confirm });
        Some(Expecting {
            all: self,
            from,
            confirmed,
        })
    }

    /// Whether what a listener of this pod has accepted is such a probe, which now knows that it has arrived. `local` says where it came to; it is asked only
    /// for an address that a probe has.
    #[must_use]
    pub fn confirm(&self, peer: SocketAddr, local: impl FnOnce() -> Option<SocketAddr>) -> bool {
        let mut expected = self.0.lock();
        let is_expected = expected
            .get(&peer)
            .is_some_and(|waiting| local() == Some(waiting.to));
        let waiting = is_expected.then(|| expected.remove(&peer)).flatten();
        // It fails when the probe has just been given up, and then it was one all the same.
        waiting.is_some_and(|waiting| matches!(waiting.confirm.send(()), Ok(()) | Err(())))
    }
}

impl Expecting<'_> {
    /// Waits until the pod's listener has accepted it.
    pub(super) async fn confirmed(&mut self) {
        if (&mut self.confirmed).await.is_err() {
            // The sender is dropped only by us, or with a word.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Expecting<'_> {
    fn drop(&mut self) {
        self.confirmed.close();
        let mut expected = self.all.0.lock();
        // Confirmed, it is not there any more, and its address may be that of the next one.
        let is_ours = expected
            .get(&self.from)
            .is_some_and(|waiting| waiting.confirm.is_closed());
        drop(is_ours.then(|| expected.remove(&self.from)));
    }
}

#[cfg(test)]
mod tests;
