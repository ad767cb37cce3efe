//! The threads of the data path: one runtime each, no work stealing.
//!
//! A connection lives on the worker that it was given to until it ends, so nothing on its path is shared
//! between threads. Tasks: whatever is spawned with [`Worker::spawn`], or by what runs there; they end with the last [`Workers`].

use std::{
    future::Future as _,
    io,
    num::NonZeroUsize,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{runtime::Handle, sync::oneshot, task::JoinHandle};

use crate::limits;

/// All workers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Workers {
    workers: Arc<[Worker]>,
}

/// One worker.
#[derive(Debug)]
pub struct Worker {
    index: usize,
    handle: Handle,
    load: Arc<AtomicUsize>,
    // Dropped with the last `Workers`: tells the thread to end.
    _stop: oneshot::Sender<()>,
}

/// Counts one connection towards a worker's load while it lives.
#[derive(Debug)]
pub struct Load(Arc<AtomicUsize>);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts `count` threads named `worker-N`.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be made.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        limits::give_memory_back();
        let workers = (0..count.get())
            .map(Worker::start)
            .collect::<io::Result<Vec<_>>>()?;
        Ok(Self {
            workers: workers.into(),
        })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.workers.len()
    }

    /// One of them by number, modulo their count.
    #[must_use]
    pub fn nth(&self, number: usize) -> &Worker {
        &self.workers[number % self.workers.len()]
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Worker> {
        self.workers.iter()
    }

    /// The worker that a new connection should go to: `near`, because staying costs no wake-up, unless another has
    /// clearly fewer connections.
    #[must_use]
    pub fn least_loaded(&self, near: usize) -> &Worker {
        let load = |worker: &Worker| worker.load.load(Ordering::Relaxed);
        let near = self.nth(near);
        let Some(least) = self.workers.iter().min_by_key(|worker| load(worker)) else {
            return near;
        };
        // A quarter more is still alike; with few connections, each of which may be a heavy one, nothing is.
        if load(near) <= load(least) + load(least) / 4 {
            near
        } else {
            least
        }
    }
}

impl Worker {
    fn start(index: usize) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || {
                // An error means that the sender is gone, which is the signal.
                drop(runtime.block_on(stopped));
            })?;
        Ok(Self {
            index,
            handle,
            load: Arc::default(),
            _stop: stop,
        })
    }

    /// Its number, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Runs a task on this worker.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.handle.spawn(task)
    }

    /// Counts a connection towards this worker.
    #[must_use]
    pub fn load(&self) -> Load {
        self.load.fetch_add(1, Ordering::Relaxed);
        Load(Arc::clone(&self.load))
    }
}

/// Wakes a task again once its worker has looked for events and run what else is ready. A task that woke itself would run up to 61 times
/// before its worker looks (tokio's event interval), and others would hear as late of what came for them.
pub fn give_way(cx: &mut Context<'_>) {
    // It leaves the waker with the runtime at its first poll.
    let _pending: Poll<()> = pin!(tokio::task::yield_now()).poll(cx);
}

#[cfg(test)]
mod tests;
