//! What was found while an object was compiled, for its conditions.

use std::collections::BTreeSet;

/// Findings that one message names; the first ones tell enough.
const MAX_NAMED: usize = 8;

/// What was found. **Shape**: each text is a sentence without its full stop, once.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    /// What has no effect, or less than is written.
    pub(super) ignored: BTreeSet<String>,
    /// Rules that answer with an error, and why.
    pub(super) refused: BTreeSet<String>,
    /// What is named and cannot be used: a reason of the Gateway API, and a sentence.
    pub(super) unresolved: BTreeSet<(&'static str, String)>,
}

impl Notes {
    /// Something is done in part, or not at all.
    pub(super) fn ignored(&mut self, text: impl Into<String>) {
        self.ignored.insert(text.into());
    }

    /// A rule answers with an error in the place of what it says.
    pub(super) fn refused(&mut self, text: impl Into<String>) {
        self.refused.insert(text.into());
    }

    /// A backend is not there for it.
    pub(super) fn unresolved(&mut self, reason: &'static str, text: impl Into<String>) {
        self.unresolved.insert((reason, text.into()));
    }
}

/// The sentences in one message.
pub(in crate::render) fn message<'a>(texts: impl IntoIterator<Item = &'a String>) -> String {
    let texts: Vec<&str> = texts.into_iter().map(String::as_str).collect();
    let mut message = texts
        .iter()
        .take(MAX_NAMED)
        .copied()
        .collect::<Vec<_>>()
        .join("; ");
    if texts.len() > MAX_NAMED {
        message.push_str("; ...");
    }
    message
}
