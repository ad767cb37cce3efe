//! One credential per identity of this node, fetched once, kept fresh, shared by all pods that have it.
//!
//! In: identities that are wanted ([`Store::fetch`], [`Store::retain`]) and an authority. Out: credentials.
//! Never: asks the authority on the caller's thread; hands out a certificate that has expired.
//!
//! **Tasks**: one, [`Store::run`], on the runtime that owns control work. It asks the authority (at most
//! [`MAX_IN_FLIGHT`] requests at once), renews at half life and retries with back-off. Whoever drops the
//! future stops it; waiting callers then get [`Error::Stopped`]. It is cancel-safe: what was in flight is
//! asked for again by the next run.
//!
//! ```text
//!                 fetch / retain            asked             answer
//!    (absent) ───────────────────▶ due now ───────▶ in flight ──────▶ due at half life ──┐
//!        ▲                            ▲                 │ error            │ nobody has used it
//!        │ forget, last release       └── due after ◀───┘                  ▼
//!        └──────────────────────────────  back-off                      (absent)
//! ```
//!
//! All credentials of a store have one trust bundle, that of the answer whose request was the latest. It is
//! replaced, never added to: see [`trust`](crate::trust). A credential whose own chain does not end at the
//! newest bundle is renewed early, for peers that know the bundle refuse it.
//!
//! Reading a credential ([`Store::current`]) takes no lock and is safe on every thread.
//! Source: Istio ztunnel secret manager (TTL 24 h, refresh at half life, back-off 1 s x 2, at most 150 s).

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use mesh::{San, SpiffeId};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

mod entry;
mod error;
mod run;
mod schedule;

use entry::{Ask, Entry};
pub use error::Error;

use crate::{
    CertificateAuthority, Clock, Credential, CrlFile, Introduced, NotIntroduced, PeerCertificate,
    PeerRefusal,
    dump::{CertificateDump, State},
    trust::Trust,
};

/// The most identities of one node: kubelets run hundreds of pods, each of one service account at most.
pub const MAX_IDENTITIES: usize = 4096;

/// The most requests that wait for the authority at the same time, so that the start of a full node is no
/// burst that it has to refuse.
pub const MAX_IN_FLIGHT: usize = 16;

/// How long one answer of the authority is waited for.
pub const MAX_ANSWER_TIME: Duration = Duration::from_secs(10);

/// How the store behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// The life that is asked for. Source: `SECRET_TTL`, 24 h.
    pub ttl: Duration,
    /// The wall time, also of every handshake.
    pub clock: Clock,
    /// What the authorities have taken back. Source: `CRL_PATH`.
    pub crl: Option<Arc<CrlFile>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(24 * 60 * 60),
            clock: Clock::default(),
            crl: None,
        }
    }
}

/// The credentials of this node.
#[derive(Debug)]
pub struct Store {
    authority: Arc<dyn CertificateAuthority>,
    config: Config,
    /// Whom all credentials of the store believe: what the authority said last.
    trust: Arc<Trust>,
    /// Replaced as a whole, by whoever holds `writer`; read without a lock.
    entries: ArcSwap<HashMap<SpiffeId, Arc<Entry>>>,
    writer: Mutex<()>,
    /// Something became due.
    wake: Notify,
    phase: watch::Sender<Phase>,
}

/// Whether somebody works for the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    NotStarted,
    Running,
    Stopped,
}

impl Store {
    /// An empty store; nothing happens before [`run`](Self::run).
    #[must_use]
    pub fn new(authority: Arc<dyn CertificateAuthority>, config: Config) -> Arc<Self> {
        Arc::new(Self {
            authority,
            trust: Trust::new(config.crl.clone()),
            config,
            entries: ArcSwap::default(),
            writer: Mutex::new(()),
            wake: Notify::new(),
            phase: watch::Sender::new(Phase::NotStarted),
        })
    }

    /// The credential that a new connection uses, if there is one; no lock, no wait.
    #[must_use]
    pub fn current(&self, id: &SpiffeId) -> Option<Arc<Credential>> {
        self.entries
            .load()
            .get(id)?
            .valid_at(self.config.clock.now())
    }

    /// The current credential; on first use it is asked for, once for all who wait.
    ///
    /// May be called from any runtime, before [`run`](Self::run) too (it then waits for it).
    ///
    /// # Errors
    /// What the authority answered, at once: the retry happens in the background, and who asks in
    /// between gets the last error without a new request. Also [`Error::TooManyIdentities`],
    /// [`Error::Forgotten`] and [`Error::Stopped`].
    pub async fn fetch(&self, id: &SpiffeId) -> Result<Arc<Credential>, Error> {
        if let Some(credential) = self.current(id) {
            return Ok(credential);
        }
        let entry = self.entry(id, |_| {})?;
        let mut progress = entry.progress.subscribe();
        let seen = progress.borrow_and_update().attempts;
        let now = self.config.clock.now();
        if let Some(credential) = entry.valid_at(now) {
            return Ok(credential);
        }
        match entry.ask(now) {
            Ask::Wait => self.wake.notify_one(),
            Ask::BackingOff(error) => return Err(error),
        }
        let mut phase = self.phase.subscribe();
        let done = async {
            progress
                .wait_for(|p| p.attempts > seen || p.forgotten)
                .await
                .map(|p| (p.error.clone(), p.forgotten))
        };
        let stopped = async {
            phase
                .wait_for(|phase| *phase == Phase::Stopped)
                .await
                .map(|_| ())
        };
        let (error, forgotten) = tokio::select! {
            biased;
            done = done => done.map_err(|_| Error::Stopped)?,
            _ = stopped => return Err(Error::Stopped),
        };
        if forgotten {
            return Err(Error::Forgotten {
                identity: id.clone(),
            });
        }
        match (entry.valid_at(self.config.clock.now()), error) {
            (Some(credential), _) => Ok(credential),
            (None, Some(error)) => Err(error),
            (None, None) => Err(Error::Expired {
                identity: id.clone(),
            }),
        }
    }

    /// Who two identities of this node are to each other, if each would believe the other in a handshake made now. No lock, no wait, and no
    /// check of a chain that was checked before: see [`introduce`](crate::introduce()).
    ///
    /// **Shape**: sort `expected`, as for [`Credential::client_config`].
    ///
    /// # Errors
    /// See [`NotIntroduced`].
    pub fn introduce(
        &self,
        client: &SpiffeId,
        server: &SpiffeId,
        expected: &[San],
    ) -> Result<Arc<Introduced>, NotIntroduced> {
        let credential = |id: &SpiffeId| {
            self.current(id)
                .ok_or_else(|| NotIntroduced::NoCertificate {
                    identity: id.clone(),
                })
        };
        let (client, server) = (credential(client)?, credential(server)?);
        let introduced = client.introduce_to(&server, expected, &self.config.clock)?;
        // A list may have come since they were first introduced.
        for peer in [&introduced.client, &introduced.server] {
            if let Some(refusal) = self.revocation(peer) {
                return Err(refusal.into());
            }
        }
        Ok(introduced)
    }

    /// A pod with this identity arrived: its certificate is asked for ahead of use, behind those that
    /// connections wait for, and renewed until as many [`release`](Self::release)s have come.
    ///
    /// # Errors
    /// [`Error::TooManyIdentities`].
    pub fn retain(&self, id: &SpiffeId) -> Result<(), Error> {
        self.entry(id, |entry| entry.plan.lock().holders += 1)?;
        self.wake.notify_one();
        Ok(())
    }

    /// A pod with this identity left; with the last one the identity is forgotten.
    pub fn release(&self, id: &SpiffeId) {
        let _writer = self.writer.lock();
        let entries = self.entries.load();
        let Some(entry) = entries.get(id) else { return };
        let last = {
            let mut plan = entry.plan.lock();
            plan.holders = plan.holders.saturating_sub(1);
            plan.holders == 0
        };
        if last {
            self.remove(entry);
        }
    }

    /// Drops an identity: no renewal, and who waits for it gets [`Error::Forgotten`].
    /// Connections keep the credential that they have.
    pub fn forget(&self, id: &SpiffeId) {
        let _writer = self.writer.lock();
        if let Some(entry) = self.entries.load().get(id) {
            self.remove(entry);
        }
    }

    /// Why a peer that was believed is not any more, if a CRL says so; for connections that are open.
    ///
    /// The whole chain counts, also an intermediate. Takes no lock. To be asked of every open connection
    /// when [`CrlFile::subscribe`] tells of a change; the answer is [`PeerRefusal::Revoked`].
    #[must_use]
    pub fn revocation(&self, peer: &PeerCertificate) -> Option<PeerRefusal> {
        self.trust.revoked(peer.chain())
    }

    /// Every identity with its state and certificates, sorted, for `/config_dump`.
    #[must_use]
    pub fn dump(&self) -> Vec<CertificateDump> {
        let now = self.config.clock.now();
        let entries = self.entries.load();
        let mut dump: Vec<_> = entries.values().map(|entry| entry.dump(now)).collect();
        dump.sort_by(|a, b| a.identity.cmp(&b.identity));
        dump
    }

    /// The entry of an identity, made if there is none; `update` runs before anybody could remove it.
    fn entry(&self, id: &SpiffeId, update: impl FnOnce(&Entry)) -> Result<Arc<Entry>, Error> {
        let _writer = self.writer.lock();
        let entries = self.entries.load();
        if let Some(entry) = entries.get(id) {
            entry.used.store(true, Ordering::Relaxed);
            update(entry);
            return Ok(Arc::clone(entry));
        }
        if entries.len() >= MAX_IDENTITIES {
            return Err(Error::TooManyIdentities {
                identity: id.clone(),
                max: MAX_IDENTITIES,
            });
        }
        let entry = Arc::new(Entry::new(id.clone(), self.config.clock.now()));
        update(&entry);
        let mut next = HashMap::clone(&entries);
        next.insert(id.clone(), Arc::clone(&entry));
        self.entries.store(Arc::new(next));
        Ok(entry)
    }

    /// To be called by the holder of `writer`.
    fn remove(&self, entry: &Arc<Entry>) {
        let entries = self.entries.load();
        if entries
            .get(&entry.id)
            .is_some_and(|now| Arc::ptr_eq(now, entry))
        {
            let mut next = HashMap::clone(&entries);
            next.remove(&entry.id);
            self.entries.store(Arc::new(next));
            entry
                .progress
                .send_modify(|progress| progress.forgotten = true);
        }
    }
}

impl Entry {
    fn dump(&self, now: SystemTime) -> CertificateDump {
        let state = match (self.peek_at(now), self.progress.borrow().error.as_ref()) {
            (Some(credential), _) => State::Available(credential),
            (None, Some(error)) => State::Unavailable(error.chain()),
            (None, None) => State::Initializing,
        };
        CertificateDump::new(&self.id, &state)
    }
}

#[cfg(test)]
mod tests;
