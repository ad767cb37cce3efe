//! Regular expressions, as RE2 reads them.
//!
//! In: RE2 syntax. Out: expressions that match in linear time and bounded memory.
//! Never: an expression that means something else here than it does in RE2, as far as ASCII goes; rather it is refused.
//!
//! Texts are bytes and `.` is one of them; `\d`, `\w`, `\s`, `\b` and `(?i)` know ASCII only. An expression that cannot
//! be read so, as its classes hold other letters, is read as one of Unicode.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

use super::syntax;

/// The longest expression. Reason: one that a person wrote is shorter. **Units:** bytes.
pub const MAX_PATTERN_BYTES: usize = 4096;
/// What one compiled expression may take. Reason: a thousand of them must fit beside the mesh. **Units:** bytes.
const MAX_COMPILED_BYTES: usize = 1 << 20;
/// What one expression may remember of its searches, per thread that searches. Reason: as above. **Units:** bytes.
const MAX_CACHE_BYTES: usize = 512 << 10;

/// An expression that a whole text must match.
#[derive(Clone)]
pub struct Pattern {
    regex: Regex,
    /// As it was written.
    text: Box<str>,
    /// What every text that matches begins with.
    literal_prefix: Box<str>,
}

/// Why an expression is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PatternError {
    /// It is too long.
    #[error("an expression of {0} bytes, of which {MAX_PATTERN_BYTES} are allowed")]
    Long(usize),
    /// It is no expression of RE2.
    #[error("not RE2 syntax at byte {at}: {reason}")]
    Syntax {
        /// Where.
        at: usize,
        /// Why.
        reason: &'static str,
    },
    /// It cannot be compiled.
    #[error("the expression cannot be compiled")]
    Compile(#[source] regex::Error),
}

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// When it is not RE2 syntax or grows too large.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let translated = translate(text)?;
        Ok(Self {
            regex: compile(&format!(r"\A(?:{})\z", translated.text))?,
            text: text.into(),
            literal_prefix: translated.literal_prefix().into(),
        })
    }

    /// Whether all of a text matches.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// The expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What every text that matches begins with; may be empty where there is more.
    pub(super) fn literal_prefix(&self) -> &str {
        &self.literal_prefix
    }
}

/// Checks an expression and puts it into the words of the engine.
pub(super) fn translate(text: &str) -> Result<syntax::Translated, PatternError> {
    if text.len() > MAX_PATTERN_BYTES {
        return Err(PatternError::Long(text.len()));
    }
    syntax::translate(text)
}

/// Compiles a translated expression: by bytes, and where that cannot be, by letters of Unicode.
pub(super) fn compile(translated: &str) -> Result<Regex, PatternError> {
    let build = |unicode| {
        RegexBuilder::new(translated)
            .unicode(unicode)
            .size_limit(MAX_COMPILED_BYTES)
            .dfa_size_limit(MAX_CACHE_BYTES)
            .build()
    };
    build(false)
        .or_else(|_| build(true))
        .map_err(PatternError::Compile)
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.text)
    }
}
