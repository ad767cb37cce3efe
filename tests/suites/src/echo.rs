//! An HTTP/1.1 and h2c server of the suites' own, in a pod: it tells what it saw, and fails as a test wants it to.
//!
//! In: a pod and ports; switches that a test turns while requests come. Out: answers with the header `x-pod`, counters, the
//! last requests.
//! Never: TLS; an answer that depends on time, unless a switch or a path asks for one.
//!
//! ```no_run
//! # use suites::echo::Echo;
//! # fn f(lab: &lab::Lab) -> anyhow::Result<()> {
//! let v1 = Echo::start(&lab.pod("v1"), &[8080])?;
//! v1.fail_with(Some(503)); // every answer from now on ..
//! v1.fail_share(25); // .. or a quarter of them, evenly spread
//! v1.fail_next(Some(2)); // .. or the next two only
//! v1.reset_connections(true); // RST in the place of the failing answer
//! v1.heal(); // all switches as at the start
//! v1.stop_listening(); // connection refused; open connections go on
//! v1.crash(); // the same, and open connections are reset
//! v1.listen_again()?;
//! assert_eq!(v1.requests(), v1.last(100).len() as u64);
//! # Ok(())
//! # }
//! ```
//!
//! | path | answer |
//! |---|---|
//! | anything else | reads the body; 200 and JSON: `pod`, `method`, `path` (with query), `authority`, `version`, `client`, `headers` (a list per name), `body_bytes`, `trailers` |
//! | `/status/N` | that status, JSON as above |
//! | `/delay/MS` | after so many milliseconds |
//! | `/bytes/N` | N bytes, `content-length` |
//! | `/stream?chunks=&every_ms=` | so many lines `chunk I`, at that pace, no `content-length` |
//! | `/echo` | the body, piece by piece as it comes; with its trailers |
//! | `/trailers` | a body and the trailer `x-trailer: after` (to HTTP/1.1 clients that say `te: trailers`) |
//! | `/headers-large/N` | a header `x-large` of N bytes |
//! | `/early/N` | status N before the body was read |
//! | `/cut/N` | announces 2 N bytes, sends N, ends the connection |
//! | `/set-cookie` | two `set-cookie` headers |
//! | `/healthz` | 200, or 503 after `healthy(false)`; no switch but this |
//!
//! A POST with `content-type: application/grpc` gets its own message back and `grpc-status: 0`, whatever its path;
//! `/grpc.health.v1.Health/Check` answers SERVING, or NOT_SERVING after `healthy(false)`.
//!
//! Threads: one, a tokio runtime with all connections; it ends with the server.

mod body;
mod grpc;
mod paths;
mod seen;
mod serve;
mod switches;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use lab::Pod;

pub use self::seen::Seen;
use self::serve::Shared;
use self::switches::Fault;
use crate::listeners::Listeners;

/// A running server, on IPv4 and IPv6. Dropping it ends it and its connections.
#[derive(Debug)]
pub struct Echo {
    shared: Arc<Shared>,
    listeners: Listeners,
}

impl Echo {
    /// Starts it; it answers when this returns.
    ///
    /// # Errors
    ///
    /// When a port is taken or the thread cannot be started.
    pub fn start(pod: &Arc<Pod>, ports: &[u16]) -> Result<Self> {
        let shared = Arc::new(Shared::new(pod.name()));
        let for_all = Arc::clone(&shared);
        let listeners = Listeners::open(pod, ports, move |listener| {
            serve::accept(listener, Arc::clone(&for_all))
        })?;
        Ok(Self { shared, listeners })
    }

    /// The pod that it is in.
    pub fn pod(&self) -> &Arc<Pod> {
        self.listeners.pod()
    }

    /// Answers with this status in the place of what the path says; `None`: no longer.
    pub fn fail_with(&self, status: Option<u16>) {
        self.shared.switches.lock().fault = status.map(Fault::Status);
    }

    /// Answers with this gRPC status, trailers only, in the place of what the path says; `None`: no longer.
    pub fn fail_grpc(&self, status: Option<u8>) {
        self.shared.switches.lock().fault = status.map(Fault::Grpc);
    }

    /// Resets the connection once the request's head was read; `false`: no longer.
    pub fn reset_connections(&self, on: bool) {
        self.shared.switches.lock().fault = on.then_some(Fault::Reset);
    }

    /// How many per cent of the requests fail as [`Echo::fail_with`] and the others say, evenly spread; all unless set.
    pub fn fail_share(&self, percent: u32) {
        self.shared.switches.lock().share = percent.min(100);
    }

    /// Only so many requests more fail; `None`: without end.
    pub fn fail_next(&self, count: Option<u64>) {
        self.shared.switches.lock().left = count;
    }

    /// A header on failing answers: `retry-after`, `x-envoy-overloaded`.
    pub fn fail_header(&self, name: &'static str, value: &'static str) {
        self.shared.switches.lock().header = Some((name, value));
    }

    /// How long every answer waits.
    pub fn delay(&self, delay: Duration) {
        self.shared.switches.lock().delay = delay;
    }

    /// What active health checks are told.
    pub fn healthy(&self, healthy: bool) {
        self.shared.switches.lock().sick = !healthy;
    }

    /// All switches as they were at the start. Does not listen again.
    pub fn heal(&self) {
        *self.shared.switches.lock() = switches::Switches::default();
    }

    /// Closes its ports: new connections are refused, those that are open go on.
    pub fn stop_listening(&self) {
        self.listeners.close();
    }

    /// Closes its ports and resets every connection, as a process that is killed.
    pub fn crash(&self) {
        self.stop_listening();
        self.shared.cut_all();
    }

    /// Resets every open connection; the ports stay open.
    pub fn cut_connections(&self) {
        self.shared.cut_all();
    }

    /// Opens its ports, if they are closed.
    ///
    /// # Errors
    ///
    /// When a port is taken.
    pub fn listen_again(&self) -> Result<()> {
        self.listeners.open_again()
    }

    /// How many requests have reached it since it started or [`Echo::forget`], those that failed too; no health checks.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// How many requests are being answered.
    pub fn active(&self) -> u64 {
        self.shared.active.load(Ordering::SeqCst)
    }

    /// The most requests that were being answered at a time.
    pub fn most_active(&self) -> u64 {
        self.shared.most_active.load(Ordering::SeqCst)
    }

    /// How many health checks have reached it.
    pub fn checks(&self) -> u64 {
        self.shared.checks.load(Ordering::SeqCst)
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many of them are open.
    pub fn open_connections(&self) -> u64 {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// The last requests, oldest first, at most `count` and 10,000; no health checks.
    pub fn last(&self, count: usize) -> Vec<Seen> {
        self.shared.last(count)
    }

    /// The last requests whose path, with query, contains `text`.
    pub fn seen(&self, text: &str) -> Vec<Seen> {
        let mut seen = self.last(usize::MAX);
        seen.retain(|it| it.path.contains(text));
        seen
    }

    /// Forgets requests and counters; open connections stay counted.
    pub fn forget(&self) {
        self.shared.forget();
    }
}
