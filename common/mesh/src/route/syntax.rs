//! The syntax of RE2 in the words of the engine.
//!
//! The two agree but for a few things, which are translated here: a brace that repeats nothing is a brace, an opening
//! bracket or `&&`, `~~`, `--` in a class are these letters, `\Q...\E` is text, `\<` and `\>` are `<` and `>`. What only the
//! engine knows (the flags `x`, `u`, `R`) is refused.

use super::pattern::PatternError;

/// An expression that was checked.
#[derive(Debug)]
pub(super) struct Translated {
    pub(super) text: String,
    /// Whether it has alternatives outside of all groups.
    alternatives: bool,
}

/// Translates an expression. Its parentheses are balanced afterwards, so it can be put into a group.
pub(super) fn translate(text: &str) -> Result<Translated, PatternError> {
    let mut reader = Reader {
        text,
        at: 0,
        out: String::with_capacity(text.len() + 8),
    };
    let mut depth = 0_usize;
    let mut alternatives = false;
    while let Some(c) = reader.take() {
        match c {
            '\\' => reader.escape(false)?,
            '[' => reader.class()?,
            '(' => {
                depth += 1;
                reader.out.push('(');
                reader.check_flags()?;
            }
            ')' => {
                depth = depth
                    .checked_sub(1)
                    .ok_or_else(|| reader.error("a parenthesis that nothing opens"))?;
                reader.out.push(')');
            }
            '|' => {
                alternatives |= depth == 0;
                reader.out.push('|');
            }
            '{' => match repetition(reader.rest()) {
                Some(length) => reader.copy_with('{', length),
                None => reader.out.push_str(r"\{"),
            },
            '}' => reader.out.push_str(r"\}"),
            other => reader.out.push(other),
        }
    }
    if depth > 0 {
        return Err(reader.error("a parenthesis that nothing closes"));
    }
    Ok(Translated {
        text: reader.out,
        alternatives,
    })
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    out: String,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Writes `first` and the next `length` bytes as they are.
    fn copy_with(&mut self, first: char, length: usize) {
        self.out.push(first);
        let rest = self.rest();
        let length = length.min(rest.len());
        self.out.push_str(rest.get(..length).unwrap_or_default());
        self.at += length;
    }

    fn error(&self, reason: &'static str) -> PatternError {
        PatternError::Syntax {
            at: self.at,
            reason,
        }
    }

    /// What follows a backslash.
    fn escape(&mut self, in_class: bool) -> Result<(), PatternError> {
        let Some(c) = self.take() else {
            return Err(self.error("a backslash at the end"));
        };
        match c {
            'Q' if !in_class => {
                let rest = self.rest();
                let (literal, skipped) = match rest.find(r"\E") {
                    Some(end) => (&rest[..end], end + 2),
                    None => (rest, rest.len()),
                };
                self.out.push_str(&regex::escape(literal));
                self.at += skipped;
            }
            'C' if !in_class => self.out.push_str("(?s-u:.)"),
            '<' | '>' => self.out.push(c),
            'p' | 'P' | 'x' if self.rest().starts_with('{') => {
                let Some(end) = self.rest().find('}') else {
                    return Err(self.error("a brace that nothing closes"));
                };
                self.out.push('\\');
                self.copy_with(c, end + 1);
            }
            // Anchors of words that RE2 has not: `\b{start}`.
            'b' if self.rest().starts_with('{') => {
                self.out.push_str(r"(?:\b)");
            }
            other => {
                self.out.push('\\');
                self.out.push(other);
            }
        }
        Ok(())
    }

    /// What follows an opening bracket.
    fn class(&mut self) -> Result<(), PatternError> {
        self.out.push('[');
        if self.rest().starts_with('^') {
            self.at += 1;
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let Some(c) = self.take() else {
                return Err(self.error("a bracket that nothing closes"));
            };
            match c {
                ']' if first => self.out.push_str(r"\]"),
                ']' => break,
                '[' if self.rest().starts_with(':') && self.rest().contains(":]") => {
                    let length = self.rest().find(":]").map_or(0, |end| end + 2);
                    self.copy_with('[', length);
                }
                '[' | '&' | '~' => {
                    self.out.push('\\');
                    self.out.push(c);
                }
                '-' if first => self.out.push_str(r"\-"),
                '-' if self.rest().starts_with('-') => {
                    // A range that ends with a hyphen.
                    self.at += 1;
                    self.out.push_str(r"-\-");
                }
                '\\' => self.escape(true)?,
                other => self.out.push(other),
            }
            first = false;
        }
        self.out.push(']');
        Ok(())
    }

    /// Of a group that begins with flags: only those of RE2.
    fn check_flags(&self) -> Result<(), PatternError> {
        let Some(flags) = self.rest().strip_prefix('?') else {
            return Ok(());
        };
        if flags.starts_with(['P', '<']) {
            return Ok(());
        }
        let end = flags.find([':', ')']).unwrap_or(flags.len());
        let known = |c: char| matches!(c, 'i' | 'm' | 's' | 'U' | '-');
        if flags[..end].chars().all(known) {
            Ok(())
        } else {
            Err(self.error("a group with flags other than i, m, s and U"))
        }
    }
}

/// The length of a repetition after its brace, as `2}`, `2,}` or `2,3}`.
fn repetition(rest: &str) -> Option<usize> {
    let end = rest.find('}')?;
    let (least, most) = rest[..end].split_once(',').unwrap_or((&rest[..end], ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (!least.is_empty() && digits(least) && digits(most)).then_some(end + 1)
}

impl Translated {
    /// What every text begins with that matches from its beginning on.
    pub(super) fn literal_prefix(&self) -> String {
        let mut prefix = String::new();
        if self.alternatives {
            return prefix;
        }
        let text = self.text.strip_prefix('^').unwrap_or(&self.text);
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some(escaped) if escaped.is_ascii_punctuation() => prefix.push(escaped),
                    Some(_) | None => break,
                },
                // What is repeated may be there not at all.
                '?' | '*' | '{' => {
                    prefix.pop();
                    break;
                }
                '.' | '+' | '(' | ')' | '[' | ']' | '}' | '^' | '$' | '|' => break,
                // By bytes, a repetition is one of the last byte only; so nothing but ASCII is told apart here.
                other if other.is_ascii() => prefix.push(other),
                _ => break,
            }
        }
        prefix
    }
}
