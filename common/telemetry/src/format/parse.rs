//! From the text of a format string to its parts.

use super::{Part, command::Command};

/// The longest format string that is read. Ten times Istio's default. Units: bytes.
pub const MAX_FORMAT_BYTES: usize = 8 * 1024;

/// Why a text is not a format string. **Units:** `at` is the byte at which the command's `%` stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFormat {
    /// It is too long to be one.
    #[error("the format has {bytes} bytes: expected at most {MAX_FORMAT_BYTES}")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// A percent sign begins nothing.
    #[error("no command at byte {at}: expected %COMMAND% or, for a percent sign, %%")]
    NoCommand {
        /// Where.
        at: usize,
    },
    /// No command of that name is known.
    #[error("command {command} at byte {at} is not known")]
    Unknown {
        /// Its name.
        command: String,
        /// Where.
        at: usize,
    },
    /// The text in parentheses is not what the command takes.
    #[error("command {command} at byte {at} has the argument {argument:?}: expected {expected}")]
    Argument {
        /// Its name.
        command: String,
        /// Where.
        at: usize,
        /// What stands in parentheses; empty for nothing.
        argument: String,
        /// What it takes.
        expected: &'static str,
    },
    /// A length is given to a command that takes none, or one that is no number.
    #[error("command {command} at byte {at} has the length {length:?}: expected {expected}")]
    Length {
        /// Its name.
        command: String,
        /// Where.
        at: usize,
        /// What was given.
        length: String,
        /// What it takes.
        expected: &'static str,
    },
}

/// A command as it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written<'a> {
    pub(super) name: &'a str,
    pub(super) argument: Option<&'a str>,
    pub(super) length: Option<&'a str>,
    pub(super) at: usize,
}

impl Written<'_> {
    pub(super) fn unknown(&self) -> InvalidFormat {
        InvalidFormat::Unknown {
            command: self.name.to_owned(),
            at: self.at,
        }
    }

    pub(super) fn argument(&self, expected: &'static str) -> InvalidFormat {
        InvalidFormat::Argument {
            command: self.name.to_owned(),
            at: self.at,
            argument: self.argument.unwrap_or_default().to_owned(),
            expected,
        }
    }

    pub(super) fn length(&self, expected: &'static str) -> InvalidFormat {
        InvalidFormat::Length {
            command: self.name.to_owned(),
            at: self.at,
            length: self.length.unwrap_or_default().to_owned(),
            expected,
        }
    }
}

/// Takes a format string apart.
pub(super) fn parts(text: &str) -> Result<Vec<Part>, InvalidFormat> {
    if text.len() > MAX_FORMAT_BYTES {
        return Err(InvalidFormat::TooLong { bytes: text.len() });
    }
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('%') {
        literal.push_str(before);
        if let Some(after) = from.strip_prefix('%') {
            literal.push('%');
            rest = after;
            continue;
        }
        let at = text.len() - from.len() - 1;
        let (written, after) = written(from, at).ok_or(InvalidFormat::NoCommand { at })?;
        let command = Command::read(&written)?;
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal).into()));
        }
        parts.push(Part::Command(command));
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal.into()));
    }
    Ok(parts)
}

/// Reads what follows a `%`, up to and with the closing one; gives also what follows that.
///
/// An argument ends at the first `)` that is followed by the end of the command, so that it may hold `)` and `%`.
fn written(from: &str, at: usize) -> Option<(Written<'_>, &str)> {
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let end = from.find(|c| !is_name(c))?;
    let (name, after) = from.split_at(end);
    if name.is_empty() {
        return None;
    }
    let Some(inner) = after.strip_prefix('(') else {
        let (length, rest) = ending(after)?;
        let written = Written {
            name,
            argument: None,
            length,
            at,
        };
        return Some((written, rest));
    };
    inner.match_indices(')').find_map(|(close, _)| {
        let (argument, after) = inner.split_at(close);
        let (length, rest) = ending(after.strip_prefix(')')?)?;
        let written = Written {
            name,
            argument: Some(argument),
            length,
            at,
        };
        Some((written, rest))
    })
}

/// Reads `%` or `:length%`.
fn ending(text: &str) -> Option<(Option<&str>, &str)> {
    let Some(from) = text.strip_prefix(':') else {
        return Some((None, text.strip_prefix('%')?));
    };
    let end = from.find(|c: char| !c.is_ascii_digit())?;
    let (digits, after) = from.split_at(end);
    (!digits.is_empty()).then_some((Some(digits), after.strip_prefix('%')?))
}
