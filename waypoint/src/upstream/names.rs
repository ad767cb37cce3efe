//! Addresses of endpoints that are known by name.
//!
//! In: names that backends want. Out: their addresses as they were found last. Never: makes a request wait; forgets an
//! address because a resolver does not answer.
//!
//! Tasks: none of its own; [`Names::refresh`] is awaited by `Clusters::run`, and dropping it loses nothing but answers.
//!
//! The system's resolver is asked (`getaddrinfo`), which tells no time to live: every name is asked again after
//! [`REFRESH`]. Source: Envoy's `STRICT_DNS` clusters, and Istio's `dnsRefreshRate`.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use mesh::Hostname;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// After how long a name is asked again. Source: MeshConfig `dnsRefreshRate`, whose default this is.
const REFRESH: Duration = Duration::from_secs(60);
/// After how long a name is asked again that was not found.
const RETRY: Duration = Duration::from_secs(5);
/// After how long a name that no backend wants is forgotten.
const FORGET: Duration = Duration::from_secs(15 * 60);
/// Names that are kept. The mesh bounds them; this is for a mesh that does not.
const MAX_NAMES: usize = 16 * 1024;
/// Questions at the same time: each blocks a thread.
const MAX_QUESTIONS: usize = 8;
/// How long one question may take.
const MAX_ANSWER_TIME: Duration = Duration::from_secs(10);

/// The names that are wanted.
#[derive(Debug, Default)]
pub(super) struct Names {
    entries: Mutex<HashMap<Hostname, Entry>>,
    /// A name is wanted that was not.
    wanted: Notify,
    /// Grows with every answer that changes something.
    generation: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    /// `None`: nobody has answered yet.
    addresses: Option<Arc<[IpAddr]>>,
    next: Instant,
    used: Instant,
}

impl Names {
    /// The addresses of a name, sorted; `None`: it has not been asked for yet, and will be.
    pub(super) fn addresses(&self, name: &Hostname) -> Option<Arc<[IpAddr]>> {
        let now = net::clock::now();
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get_mut(name) {
            entry.used = now;
            return entry.addresses.clone();
        }
        if entries.len() >= MAX_NAMES {
            return Some(Arc::default());
        }
        let entry = Entry {
            addresses: None,
            next: now,
            used: now,
        };
        entries.insert(name.clone(), entry);
        drop(entries);
        self.wanted.notify_one();
        None
    }

    /// Which answers are there; equal numbers mean equal ones.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Asks for whatever is due, and takes the answers that come first; whether they changed anything. `questions` are
    /// those under way, to be handed in again: one that takes long holds up no other.
    pub(super) async fn refresh(&self, questions: &mut Questions) -> bool {
        let room = MAX_QUESTIONS.saturating_sub(questions.0.len());
        for name in self.due(net::clock::now(), room) {
            questions.ask(name);
        }
        let next = match questions.0.len() < MAX_QUESTIONS {
            true => self.entries.lock().values().map(|entry| entry.next).min(),
            false => None,
        };
        let first = tokio::select! {
            Some(answer) = questions.0.next() => answer,
            () = self.wanted.notified() => return false,
            () = until(next) => return false,
        };
        let now = net::clock::now();
        let mut changed = false;
        let mut next = Some(first);
        while let Some((name, answer)) = next {
            if let Some(entry) = self.entries.lock().get_mut(&name) {
                changed |= entry.renew(&name, answer, now);
            }
            // What has come meanwhile is one change for those who follow.
            next = questions.0.next().now_or_never().flatten();
        }
        if changed {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
        changed
    }

    /// Some of those that are to be asked for now. They are not due again before they have an answer.
    fn due(&self, now: Instant, room: usize) -> Vec<Hostname> {
        if room == 0 {
            return Vec::new();
        }
        let mut entries = self.entries.lock();
        entries.retain(|_, entry| now.saturating_duration_since(entry.used) < FORGET);
        let due = entries.iter_mut().filter(|(_, entry)| entry.next <= now);
        due.take(room)
            .map(|(name, entry)| {
                entry.next = now + REFRESH;
                name.clone()
            })
            .collect()
    }
}

/// The names that are being asked for.
#[derive(Debug, Default)]
pub(super) struct Questions(FuturesUnordered<BoxFuture<'static, Answer>>);

type Answer = (Hostname, io::Result<Vec<IpAddr>>);

impl Questions {
    fn ask(&mut self, name: Hostname) {
        self.0.push(Box::pin(async move {
            let answer = resolve(&name).await;
            (name, answer)
        }));
    }
}

impl Entry {
    /// Takes an answer; whether it changes anything.
    fn renew(&mut self, name: &Hostname, answer: io::Result<Vec<IpAddr>>, now: Instant) -> bool {
        let (addresses, next) = match answer {
            Ok(addresses) if !addresses.is_empty() => (Some(addresses.into()), REFRESH),
            Ok(_) => (None, RETRY),
            Err(error) => {
                tracing::warn!(%name, %error, "cannot resolve an endpoint's name");
                (None, RETRY)
            }
        };
        self.next = now + next;
        // Nothing found is an answer where there was none, and no news otherwise.
        let addresses: Arc<[IpAddr]> = match (addresses, &self.addresses) {
            (Some(addresses), _) => addresses,
            (None, None) => Arc::default(),
            (None, Some(_)) => return false,
        };
        let changed = self.addresses.as_ref() != Some(&addresses);
        self.addresses = Some(addresses);
        changed
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

async fn resolve(name: &Hostname) -> io::Result<Vec<IpAddr>> {
    let question = tokio::net::lookup_host((name.as_str(), 0));
    let found = tokio::time::timeout(MAX_ANSWER_TIME, question).await??;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip().to_canonical()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

#[cfg(test)]
mod tests;
