//! Values of headers that routes set and add.

use http::{HeaderValue, header::InvalidHeaderValue};

use super::{Format, InvalidFormat, Needs, Part, render};
use crate::http::Record;

/// The value of a header that a route sets or adds: fixed, or evaluated for each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderTemplate(Template);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Template {
    Fixed(HeaderValue),
    Evaluated(Format),
}

/// Why a text is no value of a header.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTemplate {
    /// It is no format string.
    #[error(transparent)]
    Format(InvalidFormat),
    /// What it says between commands cannot stand in a header.
    #[error("{text:?} cannot be the value of a header")]
    Value {
        /// The text.
        text: String,
        /// Why.
        source: InvalidHeaderValue,
    },
}

impl HeaderTemplate {
    /// Reads a value.
    ///
    /// # Errors
    /// When it is no format string, or holds what no header may.
    pub fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        let format = Format::parse(text).map_err(InvalidTemplate::Format)?;
        let value = |text: &str| {
            HeaderValue::from_str(text).map_err(|source| InvalidTemplate::Value {
                text: text.to_owned(),
                source,
            })
        };
        if let Some(text) = format.literal() {
            return Ok(Self(Template::Fixed(value(text)?)));
        }
        for part in format.parts() {
            match part {
                Part::Literal(text) => drop(value(text)?),
                Part::Command(_) => {}
            }
        }
        Ok(Self(Template::Evaluated(format)))
    }

    /// Whether every request gets the same value, so that no record need be made for it.
    #[must_use]
    pub fn fixed(&self) -> Option<&HeaderValue> {
        match &self.0 {
            Template::Fixed(value) => Some(value),
            Template::Evaluated(_) => None,
        }
    }

    /// Which headers it reads.
    #[must_use]
    pub fn needs(&self) -> Needs {
        match &self.0 {
            Template::Fixed(_) => Needs::default(),
            Template::Evaluated(format) => format.needs(),
        }
    }

    /// The value for a request, or none where the header is to be left out: what is absent is empty, and a value
    /// that comes out empty is not added. A fixed value costs a reference, an evaluated one two allocations.
    ///
    /// **Source:** Envoy, `HeaderValueOption` without `keep_empty_value`.
    #[must_use]
    pub fn value(&self, record: &Record<'_>) -> Option<HeaderValue> {
        let value = match &self.0 {
            Template::Fixed(value) => value.clone(),
            Template::Evaluated(format) => {
                let mut bytes = Vec::with_capacity(64);
                for part in format.parts() {
                    match part {
                        Part::Literal(text) => bytes.extend_from_slice(text.as_bytes()),
                        Part::Command(command) => {
                            render::header(&mut bytes, &command.value(record));
                        }
                    }
                }
                // All that is in it came out of headers, so none is refused but one with a server name or a
                // reason that holds a control character; that is left out.
                HeaderValue::from_maybe_shared(bytes::Bytes::from(bytes)).ok()?
            }
        };
        (!value.is_empty()).then_some(value)
    }
}

#[cfg(test)]
mod tests;
