//! The one writer of what is served, and the views that streams and the certificate authority hold.
//!
//! In: [`Output`]s of the compiler. Out: immutable [`Snapshot`]s of resources that are encoded once for all clients.
//! Never: blocks a reader; a reader never sees half a change.
//!
//! The maps are persistent, so a snapshot costs as much as what changed. The snapshot lies in an [`ArcSwap`]; a `watch`
//! channel carries its generation, so that whoever waits for a change need not poll.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::output::Output;

mod encoded;
mod groups;
mod log;
mod snapshot;

pub use encoded::{Encoded, Version};
pub(crate) use encoded::{Kind, parse_alias};
pub use snapshot::Snapshot;

/// Applies what the compiler hands on and publishes what comes of it.
pub struct Publisher {
    current: Arc<ArcSwap<Snapshot>>,
    generation: watch::Sender<u64>,
    /// Held while a change is applied, never across an await: applying is a read-modify-write of `current`.
    writer: Mutex<()>,
}

impl Publisher {
    /// A publisher of nothing: generation 0, which no client is ever told about.
    #[must_use]
    pub fn new() -> Self {
        Self::with_history(log::MAX_ENTRIES)
    }

    /// The same with a record of up to `history` changes of each type. A client further behind compares everything.
    #[must_use]
    pub fn with_history(history: usize) -> Self {
        let (generation, _) = watch::channel(0);
        Self {
            current: Arc::new(ArcSwap::from_pointee(Snapshot::empty(history))),
            generation,
            writer: Mutex::new(()),
        }
    }

    /// Applies `output` and publishes the result; returns its generation. Conditions are not looked at.
    ///
    /// What changes nothing is not published, but for the first: that one says that the sources have been read,
    /// even if nothing was found, and clients are answered from then on.
    pub fn apply(&self, output: Output) -> u64 {
        let writer = self.writer.lock();
        let current = self.current.load_full();
        let Some(next) = current.apply(output, net::clock::now()) else {
            return current.generation();
        };
        let generation = next.generation();
        let replaced = self.current.swap(Arc::new(next));
        // After the swap: whoever is woken by the generation finds at least this snapshot.
        self.generation.send_replace(generation);
        drop(writer);
        drop(replaced);
        generation
    }

    /// A view of everything that is published from now on, beginning with what is current.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            current: Arc::clone(&self.current),
            generation: self.generation.subscribe(),
        }
    }
}

impl Default for Publisher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("generation", &*self.generation.borrow())
            .finish_non_exhaustive()
    }
}

/// A reader's access to the current snapshot. **Shape**: cheap to clone; every clone remembers for itself what it has seen.
#[derive(Clone)]
pub struct View {
    current: Arc<ArcSwap<Snapshot>>,
    generation: watch::Receiver<u64>,
}

impl View {
    /// The current snapshot. Costs one reference count.
    #[must_use]
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Waits for a snapshot that this view has not been woken for. Never returns once the publisher is gone.
    /// Cancel-safe.
    pub async fn changed(&mut self) {
        if self.generation.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until something has been published. Never returns if the publisher goes before. Cancel-safe.
    pub async fn published(&mut self) {
        if self
            .generation
            .wait_for(|generation| *generation > 0)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("generation", &*self.generation.borrow())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
