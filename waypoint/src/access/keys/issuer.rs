//! One issuer: its keys as they are now, and who fetches them.
//!
//! In: requests that need them. Out: keys. Never: a lock while somebody waits; a fetch that ends because the request has gone that asked
//! for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use grpc::status::chain;
use jwt::{KeySet, Refusal, Symmetric};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    FetchError, Source, Trust,
    attempts::{Attempts, Stance, stance},
    discovery, fetch,
};
use crate::proxy::Proxy;

/// An issuer of tokens whose keys have to be fetched.
#[derive(Debug)]
pub struct Issuer {
    source: Source,
    trust: Arc<Trust>,
    known: ArcSwapOption<Known>,
    attempts: Mutex<Attempts>,
    /// Counts fetches that ended.
    ended: watch::Sender<u64>,
    made: Instant,
    /// When somebody asked last. Units: seconds since `made`.
    used: AtomicU64,
}

#[derive(Debug)]
struct Known {
    keys: Arc<KeySet>,
    fetched: Instant,
}

/// Who asks, and how long it can wait.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The process, for hosts that are services of the mesh; `None`: there is no mesh.
    pub proxy: Option<&'a Arc<Proxy>>,
    /// Of a fetch, and of the wait for one.
    pub timeout: Duration,
    /// The time.
    pub now: Instant,
}

impl Issuer {
    pub(super) fn new(source: Source, trust: Arc<Trust>, now: Instant) -> Arc<Self> {
        Arc::new(Self {
            source,
            trust,
            known: ArcSwapOption::empty(),
            attempts: Mutex::new(Attempts::new()),
            ended: watch::Sender::new(0),
            made: now,
            used: AtomicU64::new(0),
        })
    }

    pub(super) fn touch(&self, now: Instant) {
        let seconds = now.saturating_duration_since(self.made).as_secs();
        self.used.store(seconds, Relaxed);
    }

    pub(super) fn is_idle(&self, time: Duration, now: Instant) -> bool {
        let used = Duration::from_secs(self.used.load(Relaxed));
        let age = now.saturating_duration_since(self.made);
        age.saturating_sub(used) >= time
    }

    /// The keys. **Cost:** while they are fresh, no lock and no wait.
    ///
    /// # Errors
    /// What is said to a client where there are none, and none came in time.
    pub async fn keys(self: &Arc<Self>, asker: Asker<'_>) -> Result<Arc<KeySet>, Refusal> {
        self.touch(asker.now);
        let known = self.known.load_full();
        let age = known.as_ref().map(|known| known.age(asker.now));
        let is_failing = || self.attempts.lock().is_failing();
        let wanted = match stance(age, false) {
            Stance::FetchThenUse => stance(age, is_failing()),
            other @ (Stance::Use | Stance::UseAndFetch | Stance::Fetch) => other,
        };
        match (wanted, known) {
            (Stance::Use, Some(known)) => Ok(Arc::clone(&known.keys)),
            (Stance::UseAndFetch, Some(known)) => {
                self.begin(asker);
                Ok(Arc::clone(&known.keys))
            }
            (Stance::FetchThenUse, Some(known)) => {
                self.fetched(asker).await;
                Ok(self.newest().unwrap_or_else(|| Arc::clone(&known.keys)))
            }
            (Stance::Fetch, _) | (_, None) => {
                self.fetched(asker).await;
                let known = self.known.load_full();
                let usable =
                    known.filter(|known| stance(Some(known.age(asker.now)), true) != Stance::Fetch);
                match usable {
                    Some(known) => Ok(Arc::clone(&known.keys)),
                    None => Err(self.attempts.lock().refusal()),
                }
            }
        }
    }

    /// The keys after another look at their host, for a token that names a key which is not among `seen`; `None` where that
    /// brought nothing new. A host is not asked more often than every half minute.
    pub async fn newer(
        self: &Arc<Self>,
        seen: &Arc<KeySet>,
        asker: Asker<'_>,
    ) -> Option<Arc<KeySet>> {
        let other = |keys: Arc<KeySet>| Some(keys).filter(|keys| !Arc::ptr_eq(keys, seen));
        if let Some(keys) = self.newest().and_then(other) {
            return Some(keys);
        }
        self.fetched(asker).await;
        self.newest().and_then(other)
    }

    /// The keys that were fetched last, however old.
    pub(super) fn newest(&self) -> Option<Arc<KeySet>> {
        let known = self.known.load();
        known.as_ref().map(|known| Arc::clone(&known.keys))
    }

    /// Waits for the fetch that runs, or begins one; at once where none may begin.
    async fn fetched(self: &Arc<Self>, asker: Asker<'_>) {
        // Before a look at whether one runs: it may end meanwhile.
        let mut ended = self.ended.subscribe();
        if self.begin(asker) {
            // It is the caller's time that counts: whoever waits with it may have less, or more.
            let change = tokio::time::timeout(asker.timeout, ended.changed());
            // Too late, or never: the caller looks at what there is.
            drop(change.await);
        }
    }

    /// Begins a fetch if one may begin. Returns whether one runs.
    fn begin(self: &Arc<Self>, asker: Asker<'_>) -> bool {
        let mut attempts = self.attempts.lock();
        if attempts.begin(asker.now) {
            drop(attempts);
            let running = Running {
                issuer: Arc::clone(self),
                is_over: false,
            };
            let proxy = asker.proxy.map(Arc::clone);
            tokio::spawn(running.fetch(proxy, asker.timeout, asker.now));
            return true;
        }
        attempts.is_running()
    }

    async fn look(
        &self,
        proxy: Option<&Arc<Proxy>>,
        timeout: Duration,
    ) -> Result<KeySet, FetchError> {
        let way = fetch::Way {
            proxy,
            trust: &self.trust,
        };
        let all = async {
            let address = match &self.source {
                Source::Uri(uri) => fetch::Address::parse(uri)?,
                Source::Discovery(issuer) => discovery::discover(issuer, way).await?,
            };
            let text = way.get(&address).await?;
            Ok(KeySet::parse(&text, Symmetric::Refused)?)
        };
        tokio::time::timeout(timeout, all)
            .await
            .map_err(|_| FetchError::TimedOut(timeout))?
    }
}

impl Known {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.fetched)
    }
}

/// A fetch under way. Dropped before its end it leaves the place to the next.
struct Running {
    issuer: Arc<Issuer>,
    is_over: bool,
}

impl Running {
    async fn fetch(mut self, proxy: Option<Arc<Proxy>>, timeout: Duration, asked: Instant) {
        let issuer = Arc::clone(&self.issuer);
        let begun = net::clock::now();
        let outcome = issuer.look(proxy.as_ref(), timeout).await;
        // By the clock of who asked.
        let now = asked + net::clock::now().saturating_duration_since(begun);
        let source = &issuer.source;
        let outcome = match outcome {
            Ok(keys) => {
                for reason in keys.left_out() {
                    tracing::debug!(?source, %reason, "a key of an issuer of tokens is left out");
                }
                tracing::debug!(
                    ?source,
                    keys = keys.len(),
                    "keys of an issuer of tokens fetched"
                );
                issuer.known.store(Some(Arc::new(Known {
                    keys: Arc::new(keys),
                    fetched: now,
                })));
                Ok(())
            }
            Err(error) => Err(error),
        };
        if let Some(proxy) = &proxy {
            let counts = proxy.telemetry.http().tokens();
            match &outcome {
                Ok(()) => counts.fetched.increment(),
                Err(_) => counts.fetch_failed.increment(),
            }
        }
        let refusal = outcome.as_ref().map(|_| ()).map_err(FetchError::refusal);
        let wait = issuer.attempts.lock().end(refusal, now, fastrand::f64());
        self.is_over = true;
        if let Err(error) = &outcome {
            let has_keys = issuer.known.load().is_some();
            tracing::warn!(?source, error = %chain(error), has_keys, again_ms = wait.as_millis(), "keys of an issuer of tokens cannot be fetched");
        }
        issuer.ended.send_modify(|count| *count += 1);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            // The worker ends. Whoever waits looks again.
            self.issuer.attempts.lock().forget();
            self.issuer.ended.send_modify(|count| *count += 1);
        }
    }
}
