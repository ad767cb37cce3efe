//! The policies that apply to one workload.
//!
//! In: the index and a workload. Out: what matches, by action. Never: decides which action wins.

use std::sync::Arc;

use super::{
    Level, Mode,
    bucket::{Compiled, Entry},
    query::Query,
};
use crate::authorization::{Action, PolicyKey};

/// The policies that apply to one workload.
#[derive(Clone, Debug)]
pub struct Applicable<'a> {
    pub(super) levels: [Option<&'a Arc<Level>>; 2],
    pub(super) listed: Vec<&'a Arc<Compiled>>,
}

impl<'a> Applicable<'a> {
    /// Whether there is any such policy, be it one that never matches.
    #[must_use]
    pub fn exists(&self, mode: Mode, action: Action) -> bool {
        self.levels()
            .any(|level| level.set(mode, action).policies > 0)
            || self.listed(mode, action).next().is_some()
    }

    /// The policy of the smallest key that matches the connection.
    #[must_use]
    pub fn first_match(&self, mode: Mode, action: Action, query: &Query) -> Option<&'a PolicyKey> {
        let found = self
            .levels()
            .filter_map(|level| level.set(mode, action).rules.first_match(query));
        let listed = self
            .listed(mode, action)
            .filter(|policy| policy.rules.iter().any(|rule| rule.matches(query)));
        found
            .map(Entry::key)
            .chain(listed.map(|policy| &policy.authorization.key))
            .min()
    }

    fn levels(&self) -> impl Iterator<Item = &'a Level> + use<'a> {
        self.levels.into_iter().flatten().map(|level| &**level)
    }

    fn listed(&self, mode: Mode, action: Action) -> impl Iterator<Item = &'a Compiled> {
        let wanted = move |policy: &&Compiled| {
            policy.mode() == mode && policy.authorization.action == action
        };
        self.listed.iter().map(|policy| &***policy).filter(wanted)
    }
}
