//! All rules of HTTP of one port, and how the first that matches is found.
//!
//! In: rules in their order, and the facts of a request. Out: the first rule that matches.
//! Never: tries rules that the request cannot match, as far as one thing that each requires tells.

use std::{borrow::Cow, sync::Arc};

use super::{
    index::Index,
    rule::{ClaimMatch, HeaderMatch, HttpMatch, HttpRule, QueryMatch},
    text::PathMatch,
};
use crate::name::Name;

/// What rules look at.
pub trait Facts {
    /// Without query.
    fn path(&self) -> &str;
    /// As it was sent.
    fn method(&self) -> &str;
    /// Lower case.
    fn scheme(&self) -> &str;
    /// Lower case, with its port where it has one.
    fn authority(&self) -> &str;
    /// The authority without its port.
    fn host(&self) -> &str;
    /// The values of a header joined by a comma; `None` where it is not there. `name` is in lower case; it may be one of
    /// `:method`, `:path`, `:scheme`, `:authority`.
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>>;
    /// The value of the first query parameter of a name, both decoded; `None` where it is not there.
    fn parameter(&self, name: &str) -> Option<&[u8]>;
    /// What the request's verified token says; `None` where it has none. Claims of a token that nobody has verified do not count.
    fn claims(&self) -> Option<&dyn Claims>;
}

/// What a verified token says.
pub trait Claims {
    /// Whether one of the texts of a claim is wanted. `claim` is the way into it; what is not there has no texts.
    fn any(&self, claim: &[Name], wanted: &dyn Fn(&str) -> bool) -> bool;
}

/// Rules in the order in which they are tried. A clone is cheap.
#[derive(Clone, Debug)]
pub struct HttpRules(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    rules: Vec<Arc<HttpRule>>,
    /// Rules whose matches hold for themselves: each match of each rule, in order.
    entries: Vec<Entry>,
    index: Index,
}

/// One match of one rule, or a rule without one.
#[derive(Clone, Copy, Debug)]
struct Entry {
    rule: usize,
    condition: Option<usize>,
}

/// The rule that a request matches.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Its place among the rules.
    pub position: usize,
    /// The rule.
    pub rule: &'a Arc<HttpRule>,
    /// The condition on the path that held, of which a rewrite may replace what it matched.
    pub path: Option<&'a PathMatch>,
}

impl HttpRules {
    /// Rules, in their order. **Cost:** about the number of their matches.
    #[must_use]
    pub fn new(rules: Vec<HttpRule>) -> Self {
        // Not collected: that would keep the room of the rules themselves for their addresses.
        let mut shared = Vec::with_capacity(rules.len());
        shared.extend(rules.into_iter().map(Arc::new));
        let rules: Vec<Arc<HttpRule>> = shared;
        let mut entries = Vec::with_capacity(rules.len());
        for (number, rule) in rules.iter().enumerate() {
            if rule.matches.is_empty() {
                entries.push(Entry {
                    rule: number,
                    condition: None,
                });
            }
            entries.extend((0..rule.matches.len()).map(|condition| Entry {
                rule: number,
                condition: Some(condition),
            }));
        }
        let conditions: Vec<_> = entries
            .iter()
            .map(|entry| condition(&rules, *entry))
            .collect();
        let index = Index::new(&conditions);
        Self(Arc::new(Compiled {
            rules,
            entries,
            index,
        }))
    }

    /// All rules, in their order.
    #[must_use]
    pub fn all(&self) -> &[Arc<HttpRule>] {
        &self.0.rules
    }

    /// The first rule that a request matches.
    #[must_use]
    pub fn first_match<F: Facts>(&self, facts: &F) -> Option<Found<'_>> {
        let Compiled {
            rules,
            entries,
            index,
        } = &*self.0;
        let mut first = entries.len();
        index.visit(facts, |positions| {
            // Ascending: behind the first that holds, none is wanted.
            for position in positions {
                if *position >= first {
                    break;
                }
                let holds = entries.get(*position).is_some_and(|entry| {
                    condition(rules, *entry).is_none_or(|condition| condition.holds(facts))
                });
                if holds {
                    first = *position;
                    break;
                }
            }
        });
        let entry = *entries.get(first)?;
        Some(Found {
            position: entry.rule,
            rule: rules.get(entry.rule)?,
            path: condition(rules, entry).and_then(|condition| condition.path.as_ref()),
        })
    }
}

fn condition(rules: &[Arc<HttpRule>], entry: Entry) -> Option<&HttpMatch> {
    rules.get(entry.rule)?.matches.get(entry.condition?)
}

impl HttpMatch {
    /// Whether all of it holds. What is cheap is asked first.
    #[must_use]
    pub fn holds<F: Facts>(&self, facts: &F) -> bool {
        let method = self.method.as_ref();
        let scheme = self.scheme.as_ref();
        let authority = self.authority.as_ref();
        let path = self.path.as_ref();
        method.is_none_or(|wanted| wanted.matches(facts.method().as_bytes()))
            && path.is_none_or(|wanted| wanted.matches(facts.path()))
            && authority.is_none_or(|wanted| wanted.matches(facts.authority().as_bytes()))
            && (self.hostnames.is_empty()
                || self
                    .hostnames
                    .iter()
                    .any(|wanted| wanted.matches(facts.host())))
            && scheme.is_none_or(|wanted| wanted.matches(facts.scheme().as_bytes()))
            && self
                .headers
                .iter()
                .all(|wanted| wanted.holds(facts.header(&wanted.name).as_deref()))
            && self
                .query
                .iter()
                .all(|wanted| wanted.holds(facts.parameter(&wanted.name)))
            && (self.claims.is_empty() || {
                let claims = facts.claims();
                self.claims.iter().all(|wanted| wanted.holds(claims))
            })
    }
}

impl ClaimMatch {
    /// Whether it holds for what a verified token says; `None` where there is none.
    #[must_use]
    pub fn holds(&self, claims: Option<&dyn Claims>) -> bool {
        let matches = claims.is_some_and(|claims| {
            claims.any(&self.claim, &|text| {
                let wanted = self.value.as_ref();
                wanted.is_none_or(|wanted| wanted.matches(text.as_bytes()))
            })
        });
        matches != self.invert
    }
}

impl HeaderMatch {
    /// Whether it holds for the joined values of its header; `None` where it is not there.
    #[must_use]
    pub fn holds(&self, joined: Option<&[u8]>) -> bool {
        let matches = joined.is_some_and(|joined| {
            let wanted = self.value.as_ref();
            wanted.is_none_or(|wanted| wanted.matches(joined))
        });
        matches != self.invert
    }
}

impl QueryMatch {
    /// Whether it holds for the value of its parameter; `None` where it is not there.
    #[must_use]
    pub fn holds(&self, value: Option<&[u8]>) -> bool {
        value.is_some_and(|value| {
            let wanted = self.value.as_ref();
            wanted.is_none_or(|wanted| wanted.matches(value))
        })
    }
}

impl PartialEq for HttpRules {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.rules == other.0.rules
    }
}

impl Eq for HttpRules {}
