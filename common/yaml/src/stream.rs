//! Where one document of a text ends and the next begins.
//!
//! In: the text of a file. Out: its documents as [`Part`]s of the text, none of them parsed yet.
//! Never: looks into a document; a line that begins with `---` or `...` is a marker wherever it stands, which no
//! scalar may contain (YAML 1.2 §9.1.2, `c-forbidden`).

use crate::node::{Malformed, Node};

/// One document of a text, with the marker that opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    text: &'a str,
    /// The line of the whole text on which it begins. Units: from 1.
    line: u64,
}

impl<'a> Part<'a> {
    /// The document's own text.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The line of the whole text on which it begins. **Units**: from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Reads it; positions are those of the whole text.
    ///
    /// # Errors
    /// As [`Node::parse`].
    pub fn parse(&self) -> Result<Node, Malformed> {
        Node::parse_from(self.text, self.line)
    }
}

/// The documents of `text`, in their order. Documents in which nothing is written are left out.
pub fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    Parts {
        rest: text.strip_prefix('\u{feff}').unwrap_or(text),
        line: 1,
    }
}

struct Parts<'a> {
    rest: &'a str,
    line: u64,
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        while !self.rest.is_empty() {
            let (length, lines, written) = measure(self.rest);
            let (text, rest) = self.rest.split_at_checked(length)?;
            let part = Part {
                text,
                line: self.line,
            };
            self.rest = rest;
            self.line = self.line.saturating_add(lines);
            if written {
                return Some(part);
            }
        }
        None
    }
}

/// The length of the document that `text` begins with, in bytes and in lines, and whether anything is written in it.
fn measure(text: &str) -> (usize, u64, bool) {
    let (mut length, mut lines) = (0_usize, 0_u64);
    let (mut opened, mut written) = (false, false);
    for line in text.split_inclusive('\n') {
        if let Some(after) = marker(line, "---") {
            if opened || written {
                break;
            }
            opened = true;
            written = !is_blank(after);
        } else if marker(line, "...").is_some() {
            return (length + line.len(), lines + 1, written);
        } else if !is_blank(line) && (opened || !line.starts_with('%')) {
            written = true;
        }
        length += line.len();
        lines += 1;
    }
    (length, lines, written)
}

/// What follows `marker` on a line that it begins.
fn marker<'a>(line: &'a str, marker: &str) -> Option<&'a str> {
    line.strip_prefix(marker)
        .filter(|after| after.is_empty() || after.starts_with([' ', '\t', '\r', '\n']))
}

/// Whether there is nothing but a comment.
fn is_blank(line: &str) -> bool {
    let text = line.trim_start();
    text.is_empty() || text.starts_with('#')
}

#[cfg(test)]
mod tests;
