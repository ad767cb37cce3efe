//! The one writer of the mesh and the views that its readers hold.
//!
//! In: [`Delta`]s from configuration sources.
//! Out: immutable [`Snapshot`]s, each published whole.
//! Never: blocks a reader; a reader never sees half a delta, and never pays for the end of a snapshot.
//!
//! The snapshot lies in an [`ArcSwap`]; a `watch` channel carries its version, so that readers on any runtime
//! and any thread can wait for a change without polling.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use arc_swap::{ArcSwap, Guard};
use mesh::{delta::Delta, snapshot::Snapshot};
use tokio::sync::watch;

/// Replaced snapshots that wait for their last reader. Reason: readers hold one for a decision; of those that are held
/// longer, more than this would cost more memory than what their reader is spared.
const MAX_RETIRED: usize = 64;

/// Why no further snapshot can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// The deadline passed first.
    #[error("the deadline passed at snapshot version {version}")]
    Elapsed {
        /// The version that was current then.
        version: u64,
    },
    /// The publisher is gone: nothing will change any more.
    #[error("the configuration publisher has stopped")]
    Closed,
}

/// Applies deltas and publishes what comes of them.
///
/// **Shape**: one per process. Several sources may share it through an [`Arc`]; their deltas are applied one after
/// the other, in the order in which [`Publisher::publish`] was entered.
pub struct Publisher {
    current: Arc<ArcSwap<Snapshot>>,
    version: watch::Sender<u64>,
    /// Held while a delta is applied, never across an await: applying is a read-modify-write of `current`.
    ///
    /// Holds the snapshots that had readers when they were replaced. Whoever lets go of a snapshot last frees all
    /// that was replaced in it, which takes milliseconds after a large delta: that must not be a reader.
    writer: Mutex<Vec<Arc<Snapshot>>>,
}

impl Publisher {
    /// A publisher of an empty mesh, version 0.
    #[must_use]
    pub fn new() -> Self {
        let first = Snapshot::default();
        let (version, _) = watch::channel(first.version);
        Self {
            current: Arc::new(ArcSwap::from_pointee(first)),
            version,
            writer: Mutex::new(Vec::new()),
        }
    }

    /// Applies `delta` and publishes the result; returns its version.
    ///
    /// Costs O(change). An empty delta is published too: the first one says "configured, and empty".
    pub fn publish(&self, delta: Delta) -> u64 {
        let mut retired = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let next = Arc::new(self.current.load().apply(delta));
        let version = next.version;
        let replaced = self.current.swap(next);
        // After the swap: whoever is woken by the version finds at least this snapshot.
        self.version.send_replace(version);
        retired.push(replaced);
        let surplus = retired.len().saturating_sub(MAX_RETIRED);
        let surplus: Vec<_> = retired.drain(..surplus).collect();
        let unread = unread(&mut retired);
        drop(retired);
        drop((surplus, unread));
        version
    }

    /// Frees the replaced snapshots that have no reader any more. [`Publisher::publish`] does so, too; this is for
    /// when the last one was large.
    pub fn reclaim(&self) {
        let unread = unread(&mut self.writer.lock().unwrap_or_else(PoisonError::into_inner));
        drop(unread);
    }

    /// The version that is current.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.current.load().version
    }

    /// A view of everything that is published from now on, beginning with what is current.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            current: Arc::clone(&self.current),
            version: self.version.subscribe(),
        }
    }
}

/// Takes out those that nobody else holds. Nobody can come to hold one again: they are not to be had any more.
fn unread(retired: &mut Vec<Arc<Snapshot>>) -> Vec<Arc<Snapshot>> {
    retired
        .extract_if(.., |snapshot| Arc::strong_count(snapshot) == 1)
        .collect()
}

impl Default for Publisher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("version", &*self.version.borrow())
            .finish_non_exhaustive()
    }
}

/// A reader's access to the current snapshot.
///
/// **Shape**: cheap to clone; every clone remembers for itself which version it has seen.
#[derive(Clone)]
pub struct View {
    current: Arc<ArcSwap<Snapshot>>,
    version: watch::Receiver<u64>,
}

impl View {
    /// The current snapshot, to keep for one decision or across an await. Costs one reference count.
    #[must_use]
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The current snapshot without touching its reference count: for a decision that does not await.
    ///
    /// Hold few of them and briefly; a held guard keeps an old snapshot alive as an [`Arc`] would.
    #[must_use]
    pub fn borrow(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// The version of the current snapshot.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.current.load().version
    }

    /// Waits until a snapshot is published that this view has not yet been told of, and returns the current one.
    ///
    /// Versions may be skipped, the newest never is. Cancel-safe.
    ///
    /// # Errors
    /// [`WaitError::Closed`] once the publisher is gone.
    pub async fn changed(&mut self) -> Result<Arc<Snapshot>, WaitError> {
        self.version
            .changed()
            .await
            .map_err(|_| WaitError::Closed)?;
        Ok(self.load())
    }

    /// Waits until `condition` yields something of a snapshot: a level, not an edge, so what holds already is
    /// found at once, even after `deadline`.
    ///
    /// The condition is asked once per published snapshot at most. Cancel-safe.
    ///
    /// # Errors
    /// [`WaitError::Elapsed`] when the deadline passes first, [`WaitError::Closed`] once the publisher is gone.
    pub fn wait_until<T, F>(
        &self,
        mut condition: F,
        deadline: Instant,
    ) -> impl Future<Output = Result<T, WaitError>> + use<T, F>
    where
        F: FnMut(&Snapshot) -> Option<T>,
    {
        let mut view = self.clone();
        async move {
            loop {
                // Before the load: what is published in between wakes the wait below.
                view.version.borrow_and_update();
                let snapshot = view.load();
                if let Some(found) = condition(&snapshot) {
                    return Ok(found);
                }
                let version = snapshot.version;
                drop(snapshot);
                match tokio::time::timeout_at(deadline.into(), view.version.changed()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Err(WaitError::Closed),
                    Err(_) => return Err(WaitError::Elapsed { version }),
                }
            }
        }
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
