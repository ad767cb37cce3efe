//! Policies of one target, compiled when they arrive.
//!
//! In: policies. Out: [`Rulebook`]s, which say which rule of which policy matches first.
//! Never: says what a match means (that is `decision::access`); on the path of a request, walks all policies.
//!
//! Reading order: [`query`] (what is asked), `key` and `trie` (how values are found), `field` and `rule` (what must hold), `bucket`
//! and `index` (how rules are found), `sets` (which rules an action has).
//!
//! **Order:** of several rules that match, the first is the one whose name `ns[<ns>]-policy[<name>]-rule[<i>]` is the least text:
//! Envoy keeps its policies sorted so.

use std::{cmp::Ordering, fmt, sync::Arc};

use self::sets::{Layer, Sets};
use super::Policy;
use crate::{PolicyKey, access::external::ExternalAuthorization};

mod bucket;
mod field;
mod index;
mod key;
mod query;
mod rule;
mod sets;
mod trie;

pub use query::{Query, Subject};
pub use sets::Set;

/// Policies, compiled. A clone is cheap.
#[derive(Clone, Debug, Default)]
pub struct Rulebook(Option<Arc<Compiled>>);

#[derive(Debug)]
struct Compiled {
    policies: Vec<Policy>,
    http: Sets,
    /// `None`: as for HTTP.
    tcp: Option<Sets>,
}

/// A rule that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matched<'a> {
    /// Its policy.
    pub policy: &'a PolicyKey,
    /// Its place in the policy.
    pub rule: usize,
}

impl Rulebook {
    /// Compiles policies. **Cost:** about the number of their values.
    #[must_use]
    pub fn new(policies: Vec<Policy>) -> Self {
        if policies.is_empty() {
            return Self(None);
        }
        let looks_at_requests = policies.iter().any(Policy::looks_at_requests);
        Self(Some(Arc::new(Compiled {
            http: Sets::new(&policies, Layer::Http),
            tcp: looks_at_requests.then(|| Sets::new(&policies, Layer::Tcp)),
            policies,
        })))
    }

    /// Whether there is no policy.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// All policies.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        self.0
            .as_ref()
            .map(|compiled| &*compiled.policies)
            .unwrap_or_default()
    }

    /// Whether a set has policies, those included that never match.
    #[must_use]
    pub fn has(&self, set: Set) -> bool {
        // Both layers have the same policies, if not the same rules.
        let compiled = self.0.as_ref();
        compiled.is_some_and(|compiled| compiled.http.get(set).is_some())
    }

    /// The first rule of a set that matches.
    #[must_use]
    pub fn first_match(&self, set: Set, query: &Query<'_>) -> Option<Matched<'_>> {
        let compiled = self.0.as_ref()?;
        let rule = compiled.sets(query).get(set)?.first_match(query)?;
        compiled.matched(rule)
    }

    /// The external authorizers that are to be asked, each once, by the names of providers, with the first rule that says so.
    pub fn custom<'a>(
        &'a self,
        query: &Query<'_>,
    ) -> impl Iterator<Item = (&'a Arc<ExternalAuthorization>, Matched<'a>)> {
        let compiled = self.0.as_ref();
        let all = compiled.map(|compiled| (compiled, compiled.sets(query).custom()));
        all.into_iter().flat_map(move |(compiled, custom)| {
            custom.iter().filter_map(move |(external, index)| {
                let matched = compiled.matched(index.first_match(query)?)?;
                Some((external, matched))
            })
        })
    }

    /// Whether somebody else may have to be asked.
    #[must_use]
    pub fn has_custom(&self) -> bool {
        let compiled = self.0.as_ref();
        compiled.is_some_and(|compiled| !compiled.http.custom().is_empty())
    }

    /// The rules that are looked at, as places in [`Rulebook::policies`] and in the policy: those that have what the request or
    /// connection is found by.
    #[must_use]
    pub fn candidates(&self, query: &Query<'_>) -> Vec<(usize, usize)> {
        let compiled = self.0.as_ref();
        let rules = compiled.map(|compiled| compiled.sets(query).candidates(query));
        rules
            .into_iter()
            .flatten()
            .map(|rule| (rule.policy, rule.place))
            .collect()
    }
}

impl Compiled {
    fn sets(&self, query: &Query<'_>) -> &Sets {
        match &self.tcp {
            Some(tcp) if !query.is_http() => tcp,
            Some(_) | None => &self.http,
        }
    }

    fn matched(&self, rule: &rule::Rule) -> Option<Matched<'_>> {
        Some(Matched {
            policy: &self.policies.get(rule.policy)?.key,
            rule: rule.place,
        })
    }
}

impl PartialEq for Rulebook {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one.policies == other.policies,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

impl Eq for Rulebook {}

impl Ord for Matched<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        order((self.policy, self.rule), (other.policy, other.rule))
    }
}

impl PartialOrd for Matched<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Matched<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PolicyKey { namespace, name } = self.policy;
        write!(f, "ns[{namespace}]-policy[{name}]-rule[{}]", self.rule)
    }
}

/// The order of two rules by their names, without writing these.
fn order(one: (&PolicyKey, usize), other: (&PolicyKey, usize)) -> Ordering {
    let ended = |a: &str, b: &str| a.bytes().chain([b']']).cmp(b.bytes().chain([b']']));
    ended(&one.0.namespace, &other.0.namespace)
        .then_with(|| ended(&one.0.name, &other.0.name))
        .then_with(|| {
            if one.1 == other.1 {
                Ordering::Equal
            } else {
                ended(&one.1.to_string(), &other.1.to_string())
            }
        })
}

#[cfg(test)]
mod tests;
