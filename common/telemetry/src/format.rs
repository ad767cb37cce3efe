//! Envoy's format strings: what access logs and the header values of routes are made of.
//!
//! In: a text such as `%REQ(X-ID)% %PROTOCOL%`, once; then a [`Record`] per request. Out: text, JSON or a header value.
//! Never: allocates to evaluate into a buffer, refuses a record: what it does not know is absent.
//!
//! Reading order: [`parse`] (text to commands), [`command`] (the words), [`value`] (what a word says of a record),
//! [`render`] (how it is written, and what becomes of a stranger's bytes), [`plain`] (numbers and addresses), [`header`] (values of headers).
//!
//! **Source:** Envoy, "Substitution formatter"; checked against lines that Envoy 1.40 wrote.

use http::HeaderName;

use crate::http::Record;

pub(crate) mod command;
pub(crate) mod header;
pub(crate) mod parse;
pub(crate) mod plain;
pub(crate) mod render;
pub(crate) mod time;
pub(crate) mod value;

pub use header::{HeaderTemplate, InvalidTemplate};
pub use parse::{InvalidFormat, MAX_FORMAT_BYTES};

use command::Command;
use render::{Absent, Json, Text};

/// A format string, ready to be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    parts: Box<[Part]>,
}

/// A piece of a format string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Written as it is; the text comes from configuration.
    Literal(Box<str>),
    /// Evaluated.
    Command(Command),
}

/// Headers that formats read, so that whoever gives a header map away knows what to keep of it. **Shape:** each
/// once; pseudo-headers and headers that a [`Record`] has a field for are not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Of the request.
    pub request: Vec<HeaderName>,
    /// Of the response.
    pub response: Vec<HeaderName>,
    /// Of the response's trailers.
    pub trailers: Vec<HeaderName>,
}

impl Needs {
    /// What two sets of formats need together.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        let lists = [
            (&mut self.request, &other.request),
            (&mut self.response, &other.response),
            (&mut self.trailers, &other.trailers),
        ];
        for (mine, others) in lists {
            for name in others {
                add(mine, name);
            }
        }
        self
    }
}

pub(crate) fn add(names: &mut Vec<HeaderName>, name: &HeaderName) {
    if !names.contains(name) {
        names.push(name.clone());
    }
}

impl Format {
    /// Reads a format string.
    ///
    /// **Shape:** `%COMMAND%`, `%COMMAND(argument)%` or `%COMMAND(argument):length%`; `%%` is a percent sign.
    ///
    /// # Errors
    /// When a command is unknown or misused; the error says which and at which byte.
    pub fn parse(text: &str) -> Result<Self, InvalidFormat> {
        parse::parts(text).map(|parts| Self {
            parts: parts.into(),
        })
    }

    /// The text, if there is nothing in it to evaluate.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Which headers it reads.
    #[must_use]
    pub fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        for part in &self.parts {
            match part {
                Part::Literal(_) => {}
                Part::Command(command) => command.needs(&mut needs),
            }
        }
        needs
    }

    /// Appends the text to `out`, with `-` for what is absent, as a line of a log shows it: no byte of a request
    /// or response can begin another line or drive a terminal.
    pub fn write(&self, record: &Record<'_>, out: &mut String) {
        self.write_text(record, out, Absent::Dash);
    }

    pub(crate) fn write_text(&self, record: &Record<'_>, out: &mut String, absent: Absent) {
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Command(command) => Text(out).value(&command.value(record), absent),
            }
        }
    }

    /// Appends a JSON value: a number or null where one command that says so is all there is, else a string.
    pub(crate) fn write_json(&self, record: &Record<'_>, out: &mut String, absent: Absent) {
        if let [Part::Command(command)] = &*self.parts {
            Json(out).value(&command.value(record));
            return;
        }
        out.push('"');
        for part in &self.parts {
            match part {
                Part::Literal(text) => Json(out).within(text),
                Part::Command(command) => Json(out).value_within(&command.value(record), absent),
            }
        }
        out.push('"');
    }

    /// Whether it is one command and nothing else, and says nothing about `record`.
    pub(crate) fn is_absent(&self, record: &Record<'_>) -> bool {
        match &*self.parts {
            [Part::Command(command)] => command.value(record).is_absent(),
            _ => false,
        }
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }
}

impl std::str::FromStr for Format {
    type Err = InvalidFormat;

    fn from_str(text: &str) -> Result<Self, InvalidFormat> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests;
