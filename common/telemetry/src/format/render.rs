//! How values are written: as text of a log line, as JSON, and as the bytes of a header.
//!
//! What a peer sent is escaped in the first two, with the rules of all log lines of the process: a control
//! character is never written, so nobody begins a line but us, and each value has a bound.

use std::fmt::{self, Display, Write as _};

use super::{plain, value::Value};
use crate::{
    http::Flags,
    logging::line::{MAX_VALUE_BYTES, Quotes, escape, escape_text, is_simple},
};

/// What stands for an absent value within a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// `-`.
    Dash,
    /// Nothing (`omit_empty_values`).
    Nothing,
}

impl Absent {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Dash => "-",
            Self::Nothing => "",
        }
    }
}

/// Writes text. Quotes stay as they are, as in Envoy.
#[derive(Debug)]
pub(crate) struct Text<'a>(pub(crate) &'a mut String);

impl Text<'_> {
    pub(crate) fn value(self, value: &Value<'_>, absent: Absent) {
        match value {
            Value::Absent => self.0.push_str(absent.as_str()),
            Value::Bytes(bytes) => match simple(bytes) {
                Some(text) => self.0.push_str(text),
                None => escape(self.0, Quotes::Kept, Lossy(bytes)),
            },
            Value::Text(text) => escape_text(self.0, Quotes::Kept, text),
            Value::Spaceless(text) if !has_space(text) => escape_text(self.0, Quotes::Kept, text),
            Value::Spaceless(text) => escape(self.0, Quotes::Kept, Spaceless(text)),
            Value::Number(_)
            | Value::Quoted(_)
            | Value::Socket(_)
            | Value::Ip(_)
            | Value::Identity(_)
            | Value::Moment(_)
            | Value::Flags(_)
            | Value::FlagsLong(_) => ours(self.0, value),
        }
    }
}

/// What is written as it is.
fn simple(bytes: &[u8]) -> Option<&str> {
    let is_simple = bytes.len() <= MAX_VALUE_BYTES && is_simple(bytes, Quotes::Kept);
    std::str::from_utf8(bytes).ok().filter(|_| is_simple)
}

fn has_space(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_whitespace())
}

/// Writes JSON.
#[derive(Debug)]
pub(crate) struct Json<'a>(pub(crate) &'a mut String);

impl Json<'_> {
    /// A whole value.
    pub(crate) fn value(self, value: &Value<'_>) {
        match value {
            Value::Absent => self.0.push_str("null"),
            Value::Number(_) => ours(self.0, value),
            Value::Bytes(_)
            | Value::Text(_)
            | Value::Spaceless(_)
            | Value::Quoted(_)
            | Value::Socket(_)
            | Value::Ip(_)
            | Value::Identity(_)
            | Value::Moment(_)
            | Value::Flags(_)
            | Value::FlagsLong(_) => {
                self.0.push('"');
                Json(self.0).value_within(value, Absent::Dash);
                self.0.push('"');
            }
        }
    }

    /// A value within a string.
    pub(crate) fn value_within(self, value: &Value<'_>, absent: Absent) {
        match value {
            Value::Absent => self.0.push_str(absent.as_str()),
            Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => self.within(text),
                Err(_) => escape(self.0, Quotes::Escaped, Latin1(bytes)),
            },
            Value::Text(text) => self.within(text),
            Value::Spaceless(text) if !has_space(text) => self.within(text),
            Value::Spaceless(text) => escape(self.0, Quotes::Escaped, Spaceless(text)),
            Value::Identity(identity) => escape(self.0, Quotes::Escaped, identity),
            // A format of a time may hold quotes.
            Value::Moment(moment) if moment.may_hold_quotes() => {
                escape(self.0, Quotes::Escaped, moment);
            }
            Value::Number(_)
            | Value::Quoted(_)
            | Value::Socket(_)
            | Value::Ip(_)
            | Value::Moment(_)
            | Value::Flags(_)
            | Value::FlagsLong(_) => ours(self.0, value),
        }
    }

    /// Text within a string.
    pub(crate) fn within(self, text: &str) {
        escape_text(self.0, Quotes::Escaped, text);
    }
}

/// Appends what is made by us and holds nothing that would have to be escaped. Every line has several of these, so the usual ones go around
/// the machinery of formatting.
fn ours(out: &mut String, value: &Value<'_>) {
    match value {
        Value::Number(number) | Value::Quoted(number) => plain::number(out, *number),
        Value::Socket(address) => plain::socket(out, *address),
        Value::Ip(address) => plain::ip(out, *address),
        Value::Moment(moment) => moment.write(out),
        Value::Flags(Flags::NONE) => out.push('-'),
        Value::Absent
        | Value::Bytes(_)
        | Value::Text(_)
        | Value::Spaceless(_)
        | Value::Identity(_)
        | Value::Flags(_)
        | Value::FlagsLong(_) => own(out, value),
    }
}

/// Appends a value to the bytes of a header. Nothing stands for what is absent.
pub(crate) fn header(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Absent => {}
        Value::Bytes(bytes) => out.extend_from_slice(bytes),
        Value::Text(text) => out.extend_from_slice(text.as_bytes()),
        Value::Spaceless(text) => own(&mut Appended(out), &Spaceless(text)),
        Value::Number(_)
        | Value::Quoted(_)
        | Value::Socket(_)
        | Value::Ip(_)
        | Value::Identity(_)
        | Value::Moment(_)
        | Value::Flags(_)
        | Value::FlagsLong(_) => own(&mut Appended(out), value),
    }
}

/// Writes what is made by us and holds nothing that would have to be escaped.
fn own(out: &mut impl fmt::Write, value: &impl Display) {
    // Writing to memory does not fail; a time that cannot be written is left out.
    let _ = write!(out, "{value}");
}

impl Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => Ok(()),
            Self::Bytes(bytes) => Lossy(bytes).fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Spaceless(text) => Spaceless(text).fmt(f),
            Self::Number(number) | Self::Quoted(number) => number.fmt(f),
            Self::Socket(address) => address.fmt(f),
            Self::Ip(address) => address.fmt(f),
            Self::Identity(identity) => identity.fmt(f),
            Self::Moment(moment) => moment.fmt(f),
            Self::Flags(flags) => flags.fmt(f),
            Self::FlagsLong(flags) => flags.long().fmt(f),
        }
    }
}

struct Appended<'a>(&'a mut Vec<u8>);

impl fmt::Write for Appended<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Bytes as text, with a mark in the place of what is no text.
struct Lossy<'a>(&'a [u8]);

impl Display for Lossy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

/// Each byte as the character of that number, which is what Envoy's JSON does to all that is not UTF-8.
struct Latin1<'a>(&'a [u8]);

impl Display for Latin1<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| f.write_char(char::from(*byte)))
    }
}

/// White space as underscores.
struct Spaceless<'a>(&'a str);

impl Display for Spaceless<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for piece in self.0.split(|c: char| c.is_ascii_whitespace()) {
            if !first {
                f.write_char('_')?;
            }
            first = false;
            f.write_str(piece)?;
        }
        Ok(())
    }
}
