//! Why a resource is refused, worded for the one who wrote it.

use std::fmt::Write as _;

/// How much of a foreign text goes into an error. Units: bytes, escaped.
const MAX_QUOTED_BYTES: usize = 200;

/// Why a resource is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not protobuf, or a field of the wrong type.
    #[error("{resource}: not a message of type {message}")]
    Malformed {
        /// The resource's name, quoted.
        resource: String,
        /// The message that was expected.
        message: &'static str,
        /// Where decoding stopped.
        source: prost::DecodeError,
    },
    /// A field holds what it must not.
    #[error("{resource}: {field}: {found}, expected {expected}")]
    Field {
        /// The resource's kind and name.
        resource: String,
        /// The path of the field, as in `rules[0].clauses[1].matches[0].principals[2]`.
        field: String,
        /// What it holds.
        found: String,
        /// What belongs there.
        expected: &'static str,
    },
}

/// A field that holds what it must not, before anybody knows of which resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    field: String,
    found: String,
    expected: &'static str,
}

impl Fault {
    pub(super) fn new(
        field: impl Into<String>,
        found: impl Into<String>,
        expected: &'static str,
    ) -> Self {
        Self {
            field: field.into(),
            found: found.into(),
            expected,
        }
    }

    /// A text that must not stand there.
    pub(super) fn text(field: impl Into<String>, found: &str, expected: &'static str) -> Self {
        Self::new(field, quoted(found), expected)
    }

    pub(super) fn missing(field: impl Into<String>, expected: &'static str) -> Self {
        Self::new(field, "absent", expected)
    }

    /// The same field, seen from the message around it.
    pub(super) fn within(mut self, outer: &str) -> Self {
        if !self.field.is_empty() && !self.field.starts_with('[') {
            self.field.insert(0, '.');
        }
        self.field.insert_str(0, outer);
        self
    }

    pub(super) fn of(self, resource: String) -> Error {
        Error::Field {
            resource,
            field: self.field,
            found: self.found,
            expected: self.expected,
        }
    }
}

/// Reads every item of a repeated field.
pub(super) fn each<T, U>(
    field: &str,
    items: impl IntoIterator<Item = T>,
    mut read: impl FnMut(T) -> Result<U, Fault>,
) -> Result<Vec<U>, Fault> {
    let items = items.into_iter();
    // What is read is kept for long, and one item is the usual number: no room for others.
    let mut out = Vec::with_capacity(items.size_hint().0);
    for (index, item) in items.enumerate() {
        out.push(read(item).map_err(|fault| fault.within(&format!("[{index}]")).within(field))?);
    }
    Ok(out)
}

/// A foreign text in quotes, escaped and cut: fit for one log line.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        if out.len() >= MAX_QUOTED_BYTES {
            out.push_str("...");
            break;
        }
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => drop(write!(out, "{}", c.escape_unicode())),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
