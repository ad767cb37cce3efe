//! Headers that are wanted after their map was given away.
//!
//! A proxy moves the request's header map to the endpoint and the response's to the client. What a log line or the
//! value of a response header needs of them is kept before: a reference per value, and no allocation for up to four.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::format::Needs;

/// How many values are kept without an allocation. Istio's default line needs three.
const INLINE: usize = 4;

/// A map of so few headers is searched from its beginning. Most requests and responses have fewer.
const FEW: usize = 16;

/// Which headers to keep of one map.
#[derive(Clone, Debug, Default)]
pub struct Capture(Option<Arc<[HeaderName]>>);

/// What to keep of a request and its response. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    /// Of the request, as it goes to the endpoint.
    pub request: Capture,
    /// Of the response, as it goes to the client.
    pub response: Capture,
    /// Of its trailers.
    pub trailers: Capture,
}

impl From<&Needs> for Captures {
    fn from(needs: &Needs) -> Self {
        Self {
            request: Capture::of(&needs.request),
            response: Capture::of(&needs.response),
            trailers: Capture::of(&needs.trailers),
        }
    }
}

impl Capture {
    /// Keeps the headers of these names.
    #[must_use]
    pub fn of(names: &[HeaderName]) -> Self {
        Self((!names.is_empty()).then(|| names.into()))
    }

    /// Whether there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Keeps them. Of several values of one name the first is kept, as Envoy shows it.
    #[must_use]
    pub fn take(&self, headers: &HeaderMap) -> Captured {
        let Some(names) = &self.0 else {
            return Captured::default();
        };
        let find = |name| {
            if headers.len() <= FEW {
                // Names are compared faster than hashed.
                headers
                    .iter()
                    .find(|(found, _)| *found == name)
                    .map(|it| it.1)
            } else {
                headers.get(name)
            }
        };
        let mut values = names.iter().map(|name| find(name).cloned());
        let first = std::array::from_fn(|_| values.next().flatten());
        Captured(Some(Kept {
            names: Arc::clone(names),
            first,
            rest: values.collect(),
        }))
    }
}

/// What was kept of a header map.
#[derive(Clone, Debug, Default)]
pub struct Captured(Option<Kept>);

#[derive(Clone, Debug)]
struct Kept {
    names: Arc<[HeaderName]>,
    first: [Option<HeaderValue>; INLINE],
    rest: Vec<Option<HeaderValue>>,
}

impl Captured {
    /// The value of a header; none if it was not there or was not to be kept.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        let kept = self.0.as_ref()?;
        kept.names
            .iter()
            .zip(kept.first.iter().chain(&kept.rest))
            .find(|(kept, _)| *kept == name)?
            .1
            .as_ref()
    }
}

/// The headers of a record: a whole map, or what was kept of one.
#[derive(Clone, Copy, Debug, Default)]
pub enum Headers<'a> {
    /// There are none, or not yet.
    #[default]
    Absent,
    /// The map itself.
    Map(&'a HeaderMap),
    /// What was kept of it.
    Captured(&'a Captured),
}

impl<'a> Headers<'a> {
    /// The first value of a header.
    #[must_use]
    pub fn get(self, name: &HeaderName) -> Option<&'a HeaderValue> {
        match self {
            Self::Absent => None,
            Self::Map(headers) => headers.get(name),
            Self::Captured(captured) => captured.get(name),
        }
    }
}

impl<'a> From<&'a HeaderMap> for Headers<'a> {
    fn from(headers: &'a HeaderMap) -> Self {
        Self::Map(headers)
    }
}

impl<'a> From<&'a Captured> for Headers<'a> {
    fn from(captured: &'a Captured) -> Self {
        Self::Captured(captured)
    }
}

#[cfg(test)]
mod tests;
