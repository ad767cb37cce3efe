//! What a route does to headers.
//!
//! In: edits, read once per rule; then a head and what is known of its request. Out: the head, edited. Never: reads a
//! format string per request.
//!
//! Source: VirtualService `headers`, Gateway API `RequestHeaderModifier` and `ResponseHeaderModifier`; the values are
//! Envoy's format strings.

use http::{HeaderMap, HeaderName, HeaderValue};
use mesh::route::{HeaderEdits, HeaderText};
use telemetry::{
    format::{HeaderTemplate, Needs},
    http::Record,
};

/// Edits that can be applied. **Shape:** first `remove`, then `set`, then `add`.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    remove: Box<[HeaderName]>,
    set: Box<[(Place, HeaderTemplate)]>,
    add: Box<[(Place, HeaderTemplate)]>,
}

/// What an edit changes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Authority,
    Header(HeaderName),
}

/// The values of one request. **Shape:** in the order of the edits; a fixed one is not among them.
#[derive(Clone, Debug, Default)]
pub struct Values(Vec<Option<HeaderValue>>);

impl Edits {
    /// Reads edits. One that cannot be read is left out: the controller has said so to whoever wrote it.
    #[must_use]
    pub fn new(edits: &HeaderEdits) -> Self {
        Self {
            remove: edits
                .remove
                .iter()
                .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
                .filter(|name| *name != http::header::HOST)
                .collect(),
            set: edits.set.iter().filter_map(read).collect(),
            add: edits.add.iter().filter_map(read).collect(),
        }
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// Which headers their values are made of.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.texts()
            .fold(Needs::default(), |needs, text| needs.and(&text.needs()))
    }

    /// Makes the values of one request. `record` is not called where all of them are fixed.
    #[must_use]
    pub fn evaluate<'r>(&self, record: impl FnOnce() -> Record<'r>) -> Values {
        if self.texts().all(|text| text.fixed().is_some()) {
            return Values::default();
        }
        let record = record();
        let made = self.texts().filter(|text| text.fixed().is_none());
        Values(made.map(|text| text.value(&record)).collect())
    }

    /// Applies them. Returns the new authority, where they set one.
    #[must_use]
    pub fn apply(&self, values: Values, headers: &mut HeaderMap) -> Option<HeaderValue> {
        for name in &self.remove {
            headers.remove(name);
        }
        let mut authority = None;
        let mut values = values.0.into_iter();
        let mut value = |text: &HeaderTemplate| match text.fixed() {
            Some(fixed) => Some(fixed.clone()),
            None => values.next().flatten(),
        };
        for (place, text) in &self.set {
            match (place, value(text)) {
                (_, None) => {}
                (Place::Authority, Some(value)) => authority = Some(value),
                (Place::Header(name), Some(value)) => {
                    headers.insert(name, value);
                }
            }
        }
        for (place, text) in &self.add {
            match (place, value(text)) {
                (_, None) => {}
                (Place::Authority, Some(value)) => authority = Some(value),
                (Place::Header(name), Some(value)) => {
                    // A head that has no place for more goes without.
                    drop(headers.try_append(name, value));
                }
            }
        }
        authority
    }

    fn texts(&self) -> impl Iterator<Item = &HeaderTemplate> {
        self.set.iter().chain(&self.add).map(|(_, text)| text)
    }
}

fn read(text: &HeaderText) -> Option<(Place, HeaderTemplate)> {
    let place = match &*text.name {
        ":authority" | "host" => Place::Authority,
        name => Place::Header(HeaderName::from_bytes(name.as_bytes()).ok()?),
    };
    Some((place, HeaderTemplate::parse(&text.value).ok()?))
}

#[cfg(test)]
mod tests;
