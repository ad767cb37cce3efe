//! The task of the store: asks the authority, books its answers, sleeps until something is due.
//!
//! In: entries that are due. Out: credentials in them. Never: more than [`MAX_IN_FLIGHT`] requests at once,
//! a wait of more than [`MAX_ANSWER_TIME`] for one.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use mesh::SpiffeId;

use super::{Config, Entry, Error, MAX_ANSWER_TIME, MAX_IN_FLIGHT, Phase, Store};
use crate::{
    BoxFuture, CertificateAuthority, Credential, SigningRequest, key::KeyRequest, refusal::rfc3339,
    trust::Trust,
};

/// The longest sleep of the task: wall time jumps (suspend, a corrected clock), timers do not.
const MAX_SLEEP: Duration = Duration::from_secs(30);

/// How old a credential must be before another trust bundle is a reason to renew it: replicas of an
/// authority that disagree for a while must not be asked in a circle.
const MIN_AGE_OF_FOREIGN: Duration = Duration::from_secs(60);

/// Whose answer, the number of the request, the answer.
type Asked = BoxFuture<'static, (Arc<Entry>, u64, Result<Credential, Error>)>;

/// Which bundle counts: that of the answer whose request was made last.
#[derive(Debug, Default)]
struct Order {
    /// Requests so far.
    asked: u64,
    /// The request whose answer was the last to be believed.
    believed: u64,
}

impl Store {
    /// Works for the store until it is dropped. Spawn it once, on a runtime with timers.
    pub async fn run(self: Arc<Self>) {
        let previous = self.phase.send_replace(Phase::Running);
        if previous == Phase::Running {
            tracing::error!("certificate store is run twice; the second task ends");
            return;
        }
        let _guard = RunGuard(Arc::clone(&self));
        let mut in_flight: FuturesUnordered<Asked> = FuturesUnordered::new();
        let mut order = Order::default();
        loop {
            let sleep = self.start_due(&mut in_flight, &mut order);
            tokio::select! {
                Some((entry, number, answer)) = in_flight.next(), if !in_flight.is_empty() => {
                    self.settle(&entry, number, answer, &mut order);
                }
                () = self.wake.notified() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// Asks for what is due, as far as there is room; returns how long nothing else will be.
    fn start_due(&self, in_flight: &mut FuturesUnordered<Asked>, order: &mut Order) -> Duration {
        let now = self.config.clock.now();
        let entries = self.entries.load_full();
        let mut due: Vec<_> = entries
            .values()
            .filter_map(|entry| entry.plan.lock().due_at(now).map(|order| (order, entry)))
            .collect();
        due.sort_by_key(|(order, _)| *order);
        for (_, entry) in due {
            if in_flight.len() >= MAX_IN_FLIGHT {
                break;
            }
            if entry.is_idle() {
                let _writer = self.writer.lock();
                // Asked for meanwhile?
                if entry.is_idle() {
                    self.remove(entry);
                }
                continue;
            }
            entry.begin();
            order.asked += 1;
            in_flight.push(self.ask(Arc::clone(entry), order.asked));
        }
        let next = self
            .entries
            .load()
            .values()
            .filter_map(|entry| entry.plan.lock().wait_at(now))
            .min();
        // With no room left, the next answer makes some.
        next.filter(|_| in_flight.len() < MAX_IN_FLIGHT)
            .unwrap_or(MAX_SLEEP)
            .min(MAX_SLEEP)
    }

    fn ask(&self, entry: Arc<Entry>, number: u64) -> Asked {
        let (authority, config) = (Arc::clone(&self.authority), self.config.clone());
        let trust = Arc::clone(&self.trust);
        Box::pin(async move {
            let answer = issue(&*authority, &entry.id, &config, trust).await;
            (entry, number, answer)
        })
    }

    /// Books an answer.
    fn settle(
        &self,
        entry: &Arc<Entry>,
        number: u64,
        answer: Result<Credential, Error>,
        order: &mut Order,
    ) {
        let known = self
            .entries
            .load()
            .get(&entry.id)
            .is_some_and(|now| Arc::ptr_eq(now, entry));
        if !known {
            return;
        }
        let now = self.config.clock.now();
        match answer {
            Ok(credential) => {
                tracing::debug!(
                    identity = %entry.id,
                    generation = credential.generation(),
                    not_after = rfc3339(credential.not_after()),
                    renew_at = rfc3339(credential.renew_at()),
                    "certificate issued"
                );
                let is_last = number > order.believed;
                let changed = is_last && self.trust.replace(credential.issued_roots());
                if is_last {
                    order.believed = number;
                }
                entry.succeeded(credential);
                if changed {
                    tracing::info!(identity = %entry.id, roots = self.trust.roots().map(|roots| roots.to_string()), "trust bundle changed");
                    for entry in self.entries.load().values() {
                        self.hasten_if_foreign(entry, now);
                    }
                } else {
                    self.hasten_if_foreign(entry, now);
                }
            }
            Err(error) => {
                let (retry_in, failures) = entry.failed(now, error.clone(), fastrand::f64());
                let chain = error.chain();
                let still_valid = entry.peek_at(now).is_some();
                tracing::warn!(
                    identity = %entry.id, error = chain, failures, retry_in = ?retry_in, still_valid,
                    "certificate not issued"
                );
            }
        }
    }
}

impl Store {
    /// Plans an early renewal of a credential that the newest bundle does not cover.
    fn hasten_if_foreign(&self, entry: &Entry, now: SystemTime) {
        let (Some(credential), Some(roots)) = (entry.peek_at(now), self.trust.roots()) else {
            return;
        };
        // Most answers come with the bundle that is believed, and were checked against it.
        if !Arc::ptr_eq(credential.issued_roots(), &roots) && !credential.chains_to(&roots) {
            let due = credential.issued_at() + MIN_AGE_OF_FOREIGN;
            tracing::warn!(
                identity = %entry.id,
                "certificate does not chain to the newest trust bundle; renewed early"
            );
            entry.hasten(due.max(now));
        }
    }
}

impl Credential {
    /// Makes a key, has it certified and checks the answer, without a [`Store`]: one identity, never renewed.
    ///
    /// # Errors
    /// Everything that an authority can do wrong, and no answer within [`MAX_ANSWER_TIME`].
    pub async fn issue(
        authority: &dyn CertificateAuthority,
        id: &SpiffeId,
        config: &Config,
    ) -> Result<Self, Error> {
        let trust = Trust::new(config.crl.clone());
        let credential = issue(authority, id, config, Arc::clone(&trust)).await?;
        trust.replace(credential.issued_roots());
        Ok(credential)
    }
}

async fn issue(
    authority: &dyn CertificateAuthority,
    id: &SpiffeId,
    config: &Config,
    trust: Arc<Trust>,
) -> Result<Credential, Error> {
    let key = KeyRequest::new(id).map_err(|source| Error::Key {
        identity: id.clone(),
        source: Arc::new(source),
    })?;
    let request = SigningRequest {
        id: id.clone(),
        csr: key.csr(),
        ttl: config.ttl,
        now: config.clock.now(),
    };
    let issued = tokio::time::timeout(MAX_ANSWER_TIME, authority.issue(request))
        .await
        .map_err(|_| Error::Timeout {
            identity: id.clone(),
            limit: MAX_ANSWER_TIME,
        })?
        .map_err(|source| Error::Authority {
            identity: id.clone(),
            source: Arc::new(source),
        })?;
    Credential::new(id.clone(), key.into_key(), issued, &config.clock, trust).map_err(|source| {
        Error::Answer {
            identity: id.clone(),
            source: Arc::new(source),
        }
    })
}

/// Tells those who wait that nobody works any more, and leaves nothing "in flight" behind.
#[derive(Debug)]
struct RunGuard(Arc<Store>);

impl Drop for RunGuard {
    fn drop(&mut self) {
        for entry in self.0.entries.load().values() {
            entry.plan.lock().in_flight = false;
        }
        self.0.phase.send_replace(Phase::Stopped);
    }
}
