//! How a pod, or the whole process, says that its connections are to end.

use tokio::sync::watch;

/// How far the end has come. It only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Serving.
    Running,
    /// No new connections; open ones may finish.
    Draining,
    /// Everything ends now.
    Cut,
}

/// The side that says so. Dropping it cuts.
#[derive(Debug)]
pub struct Drain(watch::Sender<Phase>);

/// The side that is told. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Draining(watch::Receiver<Phase>);

impl Default for Drain {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Running))
    }
}

impl Drain {
    /// A new listener.
    #[must_use]
    pub fn listen(&self) -> Draining {
        Draining(self.0.subscribe())
    }

    /// Moves on to `phase`, never back.
    pub fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|current| {
            let forward = phase > *current;
            if forward {
                *current = phase;
            }
            forward
        });
    }
}

impl Draining {
    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Waits until `phase` or a later one. Cancel-safe.
    pub async fn reached(&mut self, phase: Phase) {
        // An error means that the sender is gone, which is a cut.
        drop(self.0.wait_for(|current| *current >= phase).await);
    }
}

#[cfg(test)]
mod tests;
