//! How the conversation with the control plane goes, for metrics, `/config_dump` and readiness.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::sync::watch;

use super::node::Role;

/// How many refused resources are listed per type; the counters go on.
const MAX_LISTED: usize = 100;

/// A shared view of the conversation. **Shape**: cheap to clone; all clones show the same.
#[derive(Clone, Debug)]
pub struct XdsStatus {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    ready: watch::Sender<bool>,
}

#[derive(Debug)]
struct Inner {
    address: String,
    connected: bool,
    /// When the control plane was last heard; before that, when it was first asked for.
    heard: Option<Instant>,
    last_error: Option<String>,
    terminations: Terminations,
    types: Vec<TypeState>,
}

/// How often a stream ended, or did not come about. Source: Istio, `istio_xds_connection_terminations_total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Terminations {
    /// There was no connection, or it broke before the server took the stream.
    pub connection_error: u64,
    /// The server ended the stream with an error.
    pub error: u64,
    /// The connection broke, or the server asked to come again.
    pub reconnect: u64,
    /// The server ended the stream without an error.
    pub complete: u64,
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    ConnectionError,
    Error,
    Reconnect,
    Complete,
}

/// One type of resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TypeState {
    /// Its type URL.
    pub type_url: String,
    /// Whether a response was taken in since the start.
    pub synced: bool,
    /// How many resources are in force.
    pub resources: usize,
    /// Responses. Source: Istio, `istio_xds_message_total{url}`.
    pub messages: u64,
    /// The bytes of these. Source: Istio, `istio_xds_message_bytes_total{url}`.
    pub message_bytes: u64,
    /// Responses that were refused in part or whole.
    pub nacks: u64,
    /// How many resources are refused as they are now.
    pub refused: usize,
    /// The first of these by name, 100 at most.
    pub refusals: Vec<RefusedResource>,
}

/// A resource that is refused as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedResource {
    /// Its name.
    pub name: String,
    /// What was found, and what was expected.
    pub error: String,
}

/// The conversation at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct XdsState {
    /// The control plane.
    pub address: String,
    /// Whether a stream stands.
    pub connected: bool,
    /// How long ago the control plane was last heard. Units: seconds.
    pub age_seconds: u64,
    /// Why the last stream ended, or could not be opened; absent while one stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// How streams ended.
    pub connection_terminations: Terminations,
    /// The types that are asked for: addresses, authorizations, then what only waypoints are told.
    pub types: Vec<TypeState>,
}

impl XdsStatus {
    /// Nothing has been said yet.
    #[must_use]
    pub fn new(role: Role) -> Self {
        let of = |url: &&str| TypeState {
            type_url: (*url).to_owned(),
            ..TypeState::default()
        };
        // Addresses, which most ask about, come first.
        let types = role.types().iter().rev().map(of).collect();
        Self {
            shared: Arc::new(Shared {
                inner: Mutex::new(Inner {
                    address: String::new(),
                    connected: false,
                    heard: None,
                    last_error: None,
                    terminations: Terminations::default(),
                    types,
                }),
                ready: watch::channel(false).0,
            }),
        }
    }

    /// Waits until a response of each type was taken in and answered. Cancel-safe.
    ///
    /// One that had to be refused in part counts: a single bad resource must not keep a node from coming up.
    pub async fn ready(&self) {
        // The sender lives as long as we do.
        drop(self.shared.ready.subscribe().wait_for(|ready| *ready).await);
    }

    /// Whether [`Self::ready`] would return at once.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.shared.ready.borrow()
    }

    /// Whether a stream stands.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.inner().connected
    }

    /// How long ago the control plane was last heard: nothing while a stream stands; since the start where it was
    /// never heard.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        self.inner().age(now)
    }

    /// Everything at once.
    #[must_use]
    pub fn state(&self, now: Instant) -> XdsState {
        let inner = self.inner();
        XdsState {
            address: inner.address.clone(),
            connected: inner.connected,
            age_seconds: inner.age(now).as_secs(),
            last_error: inner.last_error.clone(),
            connection_terminations: inner.terminations,
            types: inner.types.clone(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.shared
            .inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn starts(&self, address: String, now: Instant) {
        let mut inner = self.inner();
        inner.address = address;
        inner.heard.get_or_insert(now);
    }

    pub(super) fn connected(&self, now: Instant) {
        let mut inner = self.inner();
        inner.connected = true;
        inner.heard = Some(now);
        inner.last_error = None;
    }

    pub(super) fn ended(&self, reason: Reason, error: String, now: Instant) {
        let mut inner = self.inner();
        if inner.connected {
            inner.connected = false;
            inner.heard = Some(now);
        }
        inner.last_error = Some(error);
        let counter = match reason {
            Reason::ConnectionError => &mut inner.terminations.connection_error,
            Reason::Error => &mut inner.terminations.error,
            Reason::Reconnect => &mut inner.terminations.reconnect,
            Reason::Complete => &mut inner.terminations.complete,
        };
        *counter += 1;
    }

    /// Counts a response. One of a type that nobody asked for counts nowhere.
    pub(super) fn message(&self, type_url: &str, bytes: usize) {
        if let Some(state) = self.inner().of(type_url) {
            state.messages += 1;
            state.message_bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        }
    }

    /// A response was taken in and answered.
    pub(super) fn taken<'r>(
        &self,
        type_url: &str,
        resources: usize,
        nack: bool,
        refused: impl ExactSizeIterator<Item = (&'r str, &'r str)>,
    ) {
        let mut inner = self.inner();
        if let Some(state) = inner.of(type_url) {
            state.synced = true;
            state.resources = resources;
            state.nacks += u64::from(nack);
            state.refused = refused.len();
            state.refusals = refused
                .take(MAX_LISTED)
                .map(|(name, error)| RefusedResource {
                    name: name.to_owned(),
                    error: error.to_owned(),
                })
                .collect();
        }
        let ready = inner.types.iter().all(|of| of.synced);
        drop(inner);
        if ready {
            self.shared
                .ready
                .send_if_modified(|was| !std::mem::replace(was, true));
        }
    }
}

impl Inner {
    fn age(&self, now: Instant) -> Duration {
        match self.heard {
            Some(heard) if !self.connected => now.saturating_duration_since(heard),
            Some(_) | None => Duration::ZERO,
        }
    }

    fn of(&mut self, type_url: &str) -> Option<&mut TypeState> {
        self.types.iter_mut().find(|of| of.type_url == type_url)
    }
}
