//! What is read once of a rule or of settings, and then used by every request.
//!
//! In: rules and settings, by the address at which a snapshot has them. Out: header edits and access logs, ready. Never:
//! shares between workers: each thread has its own, and nobody waits for a lock.
//!
//! An entry holds its key weakly: the address cannot come to mean another rule, and what a new configuration has
//! replaced is let go when the next rule is read.

use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, Weak},
};

use http::HeaderValue;
use mesh::{
    route::{Action, HttpRule, Rewrite, WeightedBackend},
    settings::{AccessLogFormat, WaypointSettings},
};
use telemetry::http::{AccessLog, Capture};

use crate::filter::edits::Edits;

/// A rule, ready.
#[derive(Debug, Default)]
pub struct Compiled {
    /// Edits of the request and of the response.
    pub headers: Headers,
    /// The authority that requests get.
    pub authority: Option<HeaderValue>,
    /// **Shape:** as the rule's own.
    pub backends: Box<[CompiledBackend]>,
    /// Headers of the request that edits of the response read.
    pub keep: Capture,
}

/// A backend of a rule, ready.
#[derive(Debug, Default)]
pub struct CompiledBackend {
    /// Edits of the request and of the response, before those of the rule.
    pub headers: Headers,
    /// The authority that requests get, if the backend has a rewrite of its own.
    pub authority: Option<HeaderValue>,
}

/// Edits both ways.
#[derive(Debug, Default)]
pub struct Headers {
    /// Of the request.
    pub request: Edits,
    /// Of the response.
    pub response: Edits,
}

impl Compiled {
    fn new(rule: &HttpRule) -> Self {
        let backends: &[WeightedBackend] = match &rule.action {
            Action::Forward(forward) => &forward.backends,
            Action::Redirect(_) | Action::Respond(_) => &[],
        };
        let headers = Headers {
            request: Edits::new(&rule.request_headers),
            response: Edits::new(&rule.response_headers),
        };
        let backends: Box<[_]> = backends.iter().map(CompiledBackend::new).collect();
        let mut needs = headers.response.needs();
        for backend in &backends {
            needs = needs.and(&backend.headers.response.needs());
        }
        Self {
            authority: authority(rule.rewrite.as_ref()),
            keep: Capture::of(&needs.request),
            headers,
            backends,
        }
    }
}

impl CompiledBackend {
    fn new(backend: &WeightedBackend) -> Self {
        Self {
            headers: Headers {
                request: Edits::new(&backend.request_headers),
                response: Edits::new(&backend.response_headers),
            },
            authority: authority(backend.rewrite.as_ref()),
        }
    }
}

fn authority(rewrite: Option<&Rewrite>) -> Option<HeaderValue> {
    HeaderValue::from_str(rewrite?.authority.as_ref()?).ok()
}

fn log(settings: &WaypointSettings) -> AccessLog {
    let Some(wanted) = &settings.access_log else {
        return AccessLog::off();
    };
    let made = match &wanted.format {
        AccessLogFormat::Default => AccessLog::text(None, wanted.omit_empty),
        AccessLogFormat::Text(format) => AccessLog::text(Some(format), wanted.omit_empty),
        AccessLogFormat::Json(fields) => {
            let fields = fields.iter().map(|(name, format)| (&**name, &**format));
            AccessLog::json(fields, wanted.omit_empty)
        }
    };
    made.unwrap_or_else(|error| {
        tracing::warn!(%error, "access log: the format cannot be read, the default is used");
        AccessLog::text(None, wanted.omit_empty).unwrap_or_else(|_| AccessLog::off())
    })
}

/// Hashes addresses. Nobody chooses those, so nothing has to be kept secret.
#[derive(Debug, Default)]
struct Scatter(u64);

impl Hasher for Scatter {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, address: usize) {
        // An odd number with bits all over, so that neighbours end far apart. The lowest bits of an address are nought, so the halves change places.
        let address = u64::try_from(address).unwrap_or_default();
        let mixed = (self.0 ^ address).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed.rotate_left(32);
    }
}

/// Values by the address of what they were made of.
pub(crate) struct Cache<K, V> {
    entries: HashMap<usize, (Weak<K>, Arc<V>), BuildHasherDefault<Scatter>>,
    /// How many there were after the last search for dead ones.
    alive: usize,
}

impl<K, V> Cache<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            entries: HashMap::default(),
            alive: 0,
        }
    }

    pub(crate) fn of(&mut self, key: &Arc<K>, make: impl FnOnce(&K) -> V) -> Arc<V> {
        let address = Arc::as_ptr(key).addr();
        if let Some((_, value)) = self.entries.get(&address) {
            return Arc::clone(value);
        }
        // Twice as many as lived: each search is paid for by as many rules that were read.
        if self.entries.len() > 2 * self.alive.max(16) {
            self.entries.retain(|_, (key, _)| key.strong_count() > 0);
            self.alive = self.entries.len();
        }
        let value = Arc::new(make(key));
        self.entries
            .insert(address, (Arc::downgrade(key), Arc::clone(&value)));
        value
    }
}

thread_local! {
    static RULES: RefCell<Cache<HttpRule, Compiled>> = RefCell::new(Cache::new());
    static LOGS: RefCell<Cache<WaypointSettings, AccessLog>> = RefCell::new(Cache::new());
}

/// A rule, ready.
#[must_use]
pub fn rule(rule: &Arc<HttpRule>) -> Arc<Compiled> {
    RULES.with_borrow_mut(|rules| rules.of(rule, Compiled::new))
}

/// The access log that settings ask for.
#[must_use]
pub fn access_log(settings: &Arc<WaypointSettings>) -> Arc<AccessLog> {
    LOGS.with_borrow_mut(|logs| logs.of(settings, log))
}

#[cfg(test)]
mod tests;
