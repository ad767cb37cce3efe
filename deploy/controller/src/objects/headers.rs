//! What is done to headers: `headers` of VirtualService, the two header filters of Gateway API.

use std::collections::{BTreeMap, BTreeSet};

/// `headers`: what is done to those of requests and of responses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// `request`.
    pub request: HeaderEdit,
    /// `response`.
    pub response: HeaderEdit,
}

/// What is done to the headers of a message: `remove`, then `set`, then `add`; a name is in lower case. Of a request `set`
/// may hold `:authority`, which is what `host` is read as. Values are as written: with `%...%` formatters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdit {
    /// `set`: replaces what is there.
    pub set: BTreeMap<String, String>,
    /// `add`: goes beside what is there.
    pub add: BTreeMap<String, String>,
    /// `remove`.
    pub remove: BTreeSet<String>,
}

impl HeaderEdit {
    /// Whether nothing is done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}
