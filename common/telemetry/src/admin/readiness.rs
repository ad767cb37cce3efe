//! The readiness endpoint, and the conditions that it waits for.

use std::{convert::Infallible, sync::Arc};

use http::{Request, StatusCode};
use parking_lot::Mutex;
use tokio::net::TcpListener;

use super::server::{Answer, Handler, not_found, reads, serve, text, wrong_method};

/// Whether a process is ready: when all of its named conditions are met. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Vec<Named>>>);

#[derive(Debug)]
struct Named {
    name: &'static str,
    met: bool,
}

/// One condition of readiness.
///
/// **Shape:** it begins unmet. Dropping it changes nothing: a condition whose keeper is gone stays as it was.
#[derive(Debug)]
pub struct Condition {
    readiness: Readiness,
    index: usize,
}

impl Readiness {
    /// Adds a condition that is not yet met; `name` is shown while it is not. There are as many as a program
    /// names, once each, at its start.
    #[must_use]
    pub fn condition(&self, name: &'static str) -> Condition {
        let mut conditions = self.0.lock();
        conditions.push(Named { name, met: false });
        Condition {
            readiness: self.clone(),
            index: conditions.len() - 1,
        }
    }

    /// The names of the conditions that are not met, in the order in which they were added.
    #[must_use]
    pub fn pending(&self) -> Vec<&'static str> {
        self.0
            .lock()
            .iter()
            .filter(|condition| !condition.met)
            .map(|condition| condition.name)
            .collect()
    }
}

impl Condition {
    /// From now on it is met.
    pub fn meet(&self) {
        self.set(true);
    }

    /// It is met no longer.
    pub fn withdraw(&self) {
        self.set(false);
    }

    fn set(&self, met: bool) {
        if let Some(condition) = self.readiness.0.lock().get_mut(self.index) {
            condition.met = met;
        }
    }
}

impl Handler for Readiness {
    async fn answer(&self, request: Request<()>) -> Answer {
        match request.uri().path() {
            "/healthz/ready" if reads(request.method()) => {
                let pending = self.pending();
                if pending.is_empty() {
                    text(StatusCode::OK, "ready\n")
                } else {
                    let pending = pending.join(", ");
                    text(
                        StatusCode::SERVICE_UNAVAILABLE,
                        format!("not ready, pending: {pending}\n"),
                    )
                }
            }
            "/healthz/ready" => wrong_method("GET"),
            _ => not_found(),
        }
    }
}

/// Serves `/healthz/ready` until it is dropped.
pub async fn serve_readiness(listener: TcpListener, readiness: Readiness) -> Infallible {
    serve(listener, "readiness", readiness).await
}
