//! One log line, in text or JSON, formatted into a buffer.
//!
//! Values may hold what a peer sent: control characters are escaped, so that nobody can forge a line or drive
//! a terminal, and each value has a bound.

use std::{
    fmt::{self, Display, Write as _},
    time::SystemTime,
};

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};
use tracing::Level;

use super::{Format, directives::level_name};

/// The longest value that is shown; the rest is cut and marked. Units: bytes before escaping.
pub(crate) const MAX_VALUE_BYTES: usize = 4096;

/// RFC 3339 with microseconds.
const TIME: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// A line that has been begun.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    out: &'a mut String,
    format: Format,
    /// What stands before the next field of a text line.
    separator: char,
}

impl<'a> Line<'a> {
    /// Writes what every line begins with.
    pub(crate) fn begin(
        out: &'a mut String,
        format: Format,
        wall: SystemTime,
        level: Level,
        scope: &str,
        message: impl Display,
    ) -> Self {
        match format {
            Format::Text => {
                time(out, wall);
                out.push('\t');
                out.push_str(level_name(level));
                out.push('\t');
                out.push_str(scope);
                out.push('\t');
                escape(out, Quotes::Kept, message);
            }
            Format::Json => {
                out.push_str("{\"level\":\"");
                out.push_str(level_name(level));
                out.push_str("\",\"time\":\"");
                time(out, wall);
                out.push_str("\",\"scope\":\"");
                escape(out, Quotes::Escaped, scope);
                out.push_str("\",\"message\":\"");
                escape(out, Quotes::Escaped, message);
                out.push('"');
            }
        }
        Self {
            out,
            format,
            separator: '\t',
        }
    }

    /// A field whose value text lines quote.
    pub(crate) fn quoted(&mut self, key: &str, value: impl Display) {
        self.key(key);
        self.out.push('"');
        escape(self.out, Quotes::Escaped, value);
        self.out.push('"');
    }

    /// A field whose value text lines leave bare, such as an address, unless it could be taken for more than
    /// one field then.
    pub(crate) fn bare(&mut self, key: &str, value: impl Display) {
        match self.format {
            Format::Json => self.quoted(key, value),
            Format::Text => {
                self.key(key);
                let start = self.out.len();
                escape(self.out, Quotes::Kept, &value);
                let written = &self.out[start..];
                if written.is_empty() || written.contains([' ', '"', '=', '\\']) {
                    self.out.truncate(start);
                    self.out.push('"');
                    escape(self.out, Quotes::Escaped, &value);
                    self.out.push('"');
                }
            }
        }
    }

    /// A number or a truth value, bare in both formats.
    pub(crate) fn literal(&mut self, key: &str, value: impl Display) {
        self.key(key);
        // Writing to a string does not fail.
        let _ = write!(self.out, "{value}");
    }

    /// Ends the line.
    pub(crate) fn end(self) {
        self.out.push_str(match self.format {
            Format::Text => "\n",
            Format::Json => "}\n",
        });
    }

    fn key(&mut self, key: &str) {
        match self.format {
            Format::Text => {
                self.out.push(self.separator);
                self.out.push_str(key);
                self.out.push('=');
                self.separator = ' ';
            }
            Format::Json => {
                self.out.push_str(",\"");
                escape(self.out, Quotes::Escaped, key);
                self.out.push_str("\":");
            }
        }
    }
}

fn time(out: &mut String, wall: SystemTime) {
    // A clock outside of the years that RFC 3339 can write shows the epoch rather than no line.
    let timestamp = Timestamp::try_from(wall).unwrap_or(Timestamp::UNIX_EPOCH);
    // Writing to a string does not fail.
    drop(TIME.print_timestamp(&timestamp, out));
}

/// What becomes of quotes and backslashes within a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// They are escaped: the value stands in quotes.
    Escaped,
    /// They stay.
    Kept,
}

/// The same as [`escape`] for what is text already. Costs a copy where there is nothing to escape or to cut.
pub(crate) fn escape_text(out: &mut String, quotes: Quotes, text: &str) {
    if text.len() <= MAX_VALUE_BYTES && is_simple(text.as_bytes(), quotes) {
        out.push_str(text);
    } else {
        escape(out, quotes, text);
    }
}

/// Whether bytes are written as they are.
pub(crate) fn is_simple(bytes: &[u8], quotes: Quotes) -> bool {
    let kept = quotes == Quotes::Kept;
    // To the end in any case: without a way out, the compiler takes many bytes at a time.
    bytes.iter().fold(true, |simple, byte| {
        let is_quote = (*byte == b'"') | (*byte == b'\\');
        simple & (b' '..=b'~').contains(byte) & (kept | !is_quote)
    })
}

/// Writes a value that may be a stranger's.
pub(crate) fn escape(out: &mut String, quotes: Quotes, value: impl Display) {
    // The bound is reported as an error to cut the formatting short; it has been dealt with.
    let _ = write!(
        Escaper {
            out,
            quotes,
            left: MAX_VALUE_BYTES
        },
        "{value}"
    );
}

/// Escapes as JSON does, and ends with a mark at the bound.
struct Escaper<'a> {
    out: &'a mut String,
    quotes: Quotes,
    left: usize,
}

impl fmt::Write for Escaper<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fits = if text.len() > self.left {
            text.floor_char_boundary(self.left)
        } else {
            text.len()
        };
        let (shown, cut) = text.split_at(fits);
        self.left -= fits;
        if cut.is_empty() && is_simple(shown.as_bytes(), self.quotes) {
            self.out.push_str(shown);
            return Ok(());
        }
        let kept = self.quotes == Quotes::Kept;
        let plain = |c: char| match c {
            '"' | '\\' => kept,
            // Some readers of logs take the last two for the end of a line.
            _ => !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}'),
        };
        let mut rest = shown;
        while let Some(at) = rest.find(|c| !plain(c)) {
            let (before, from) = rest.split_at(at);
            self.out.push_str(before);
            let mut chars = from.chars();
            match chars.next() {
                Some('"') => self.out.push_str("\\\""),
                Some('\\') => self.out.push_str("\\\\"),
                Some('\n') => self.out.push_str("\\n"),
                Some('\r') => self.out.push_str("\\r"),
                Some('\t') => self.out.push_str("\\t"),
                // All control characters are below U+00A0, so four digits are enough for every one.
                Some(c) => write!(self.out, "\\u{:04x}", u32::from(c))?,
                None => {}
            }
            rest = chars.as_str();
        }
        self.out.push_str(rest);
        if cut.is_empty() {
            Ok(())
        } else {
            self.out.push('…');
            self.left = 0;
            Err(fmt::Error)
        }
    }
}

#[cfg(test)]
mod tests;
