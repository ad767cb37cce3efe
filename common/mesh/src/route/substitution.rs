//! Rewriting by a regular expression.

use std::{borrow::Cow, fmt};

use regex::bytes::Regex;

use super::pattern::{self, PatternError};

/// The longest text that comes in the place of a match. **Units:** bytes. Reason: one that a person wrote is shorter.
const MAX_SUBSTITUTION_BYTES: usize = 4096;
/// The longest rewritten path. **Units:** bytes. Reason: a path of many matches must not become a large memory, and no
/// server takes a longer one.
pub const MAX_REWRITTEN_BYTES: usize = 64 << 10;

/// Every match of an expression is replaced. Source: Envoy, `RegexMatchAndSubstitute`.
#[derive(Clone)]
pub struct RegexRewrite {
    regex: Regex,
    /// As they were written.
    pattern: Box<str>,
    substitution: Box<str>,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(Box<str>),
    /// What a group matched; nothing if it took no part. 0 is the whole match.
    Group(usize),
}

/// Why a rewrite by expression is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RewriteError {
    /// The expression is.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The substitution is too long.
    #[error("a substitution of {0} bytes, of which {MAX_SUBSTITUTION_BYTES} are allowed")]
    Long(usize),
    /// It has a backslash before something else.
    #[error("a backslash in the substitution that is before neither a digit nor a backslash")]
    Backslash,
    /// It names a group that is not there.
    #[error("a substitution with \\{wanted} where the expression has {groups} groups")]
    Group {
        /// Which.
        wanted: usize,
        /// How many there are.
        groups: usize,
    },
}

impl RegexRewrite {
    /// Compiles a rewrite. `substitution` is text, in which `\0` to `\9` are groups and `\\` is a backslash.
    ///
    /// # Errors
    /// When either of the two cannot be read.
    pub fn new(pattern: &str, substitution: &str) -> Result<Self, RewriteError> {
        let regex = pattern::compile(&pattern::translate(pattern)?.text)?;
        if substitution.len() > MAX_SUBSTITUTION_BYTES {
            return Err(RewriteError::Long(substitution.len()));
        }
        let parts = parts(substitution)?;
        let groups = regex.captures_len() - 1;
        for part in &parts {
            if let Part::Group(wanted) = *part
                && wanted > groups
            {
                return Err(RewriteError::Group { wanted, groups });
            }
        }
        Ok(Self {
            regex,
            pattern: pattern.into(),
            substitution: substitution.into(),
            parts,
        })
    }

    /// The expression as it was written.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The substitution as it was written.
    #[must_use]
    pub fn substitution(&self) -> &str {
        &self.substitution
    }

    /// A text with every match replaced; `None` if it becomes longer than [`MAX_REWRITTEN_BYTES`], or is text no more.
    #[must_use]
    pub fn apply<'t>(&self, text: &'t str) -> Option<Cow<'t, str>> {
        let bytes = text.as_bytes();
        let mut matches = self.regex.captures_iter(bytes).peekable();
        if matches.peek().is_none() {
            return Some(Cow::Borrowed(text));
        }
        let mut out = Vec::with_capacity(text.len() + self.substitution.len());
        let mut done = 0;
        for found in matches {
            let Some(whole) = found.get(0) else { continue };
            out.extend_from_slice(bytes.get(done..whole.start())?);
            for part in &self.parts {
                match part {
                    Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                    Part::Group(group) => {
                        let group = found.get(*group).map(|group| group.as_bytes());
                        out.extend_from_slice(group.unwrap_or_default());
                    }
                }
            }
            done = whole.end();
            if out.len() > MAX_REWRITTEN_BYTES {
                return None;
            }
        }
        out.extend_from_slice(bytes.get(done..)?);
        if out.len() > MAX_REWRITTEN_BYTES {
            return None;
        }
        String::from_utf8(out).ok().map(Cow::Owned)
    }
}

fn parts(text: &str) -> Result<Vec<Part>, RewriteError> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            literal.push(c);
            continue;
        }
        let next = chars.next();
        match next {
            Some('\\') => literal.push('\\'),
            Some(digit) if digit.is_ascii_digit() => {
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal).into()));
                }
                let group = digit
                    .to_digit(10)
                    .and_then(|digit| usize::try_from(digit).ok());
                parts.push(Part::Group(group.unwrap_or_default()));
            }
            Some(_) | None => return Err(RewriteError::Backslash),
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Text(literal.into()));
    }
    Ok(parts)
}

impl PartialEq for RegexRewrite {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern && self.substitution == other.substitution
    }
}

impl Eq for RegexRewrite {}

impl fmt::Debug for RegexRewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/{}/", self.pattern, self.substitution)
    }
}
