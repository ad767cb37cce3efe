//! What the guard of a connection and whoever serves its requests say to each other.

use std::task::Waker;

use parking_lot::Mutex;

use super::Refusal;

/// Shared by both. **Shape:** requests are numbered from 0, in their order on the connection.
#[derive(Debug, Default)]
pub struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The request that stands for what was refused.
    refused: Option<(u64, Refusal)>,
    /// The last request that was answered, and whether the answer switched protocols.
    answered: Option<(u64, bool)>,
    waiting: Option<Waker>,
}

impl Gate {
    /// Why a request was refused; `None` for one that the client made.
    #[must_use]
    pub fn refusal(&self, request: u64) -> Option<Refusal> {
        let refused = self.0.lock().refused;
        refused.and_then(|(number, refusal)| (number == request).then_some(refusal))
    }

    /// Says that a request is about to be answered. `switched`: with 101, or 2xx to CONNECT.
    pub fn answered(&self, request: u64, switched: bool) {
        let waiting = {
            let mut state = self.0.lock();
            state.answered = Some((request, switched));
            state.waiting.take()
        };
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    pub(super) fn refuse(&self, request: u64, refusal: Refusal) {
        self.0.lock().refused = Some((request, refusal));
    }

    /// Whether the answer to a request switched protocols; `None` before there is one, and `waker` is told then.
    pub(super) fn has_switched(&self, request: u64, waker: &Waker) -> Option<bool> {
        let mut state = self.0.lock();
        match state.answered {
            Some((number, switched)) if number >= request => Some(switched && number == request),
            Some(_) | None => {
                state.waiting = Some(waker.clone());
                None
            }
        }
    }
}
