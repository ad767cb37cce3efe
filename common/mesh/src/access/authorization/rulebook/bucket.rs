//! The rules that are found in one place, in their order.
//!
//! In: rules and their conditions. Out: the first that matches.
//! Never: leaves one out that could.
//!
//! A crowded bucket groups its rules behind **guards**: a condition that each of them has, asked once for all. Of a rule's
//! conditions the one is its guard that most rules of the bucket have, so what rules many of them out rules them out together
//! (ten thousand policies that all say "but not from the gateway" are one question). What is behind a guard is a bucket again.

use std::collections::{BTreeMap, HashMap};

use super::{
    query::Query,
    rule::{Conditions, Number, Rule},
};

/// How many rules stay ungrouped. Reason: so few are asked as fast as their guards.
const MAX_UNGROUPED: usize = 8;
/// How many guards stand behind each other. Reason: it bounds the stack, and no policy that a person writes has as many fields.
const MAX_GUARDS: usize = 12;

/// Rules by rank, sorted.
#[derive(Debug)]
pub(super) enum Bucket {
    /// Each asked by itself.
    Few(Vec<usize>),
    /// Sorted by their first rule.
    Groups(Vec<Group>),
}

#[derive(Debug)]
pub(super) struct Group {
    first: usize,
    /// `None`: these have nothing in common with others.
    guard: Option<Number>,
    rules: Bucket,
}

impl Default for Bucket {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Bucket {
    /// Groups rules. **Shape:** `ranks` is sorted, each once.
    pub(super) fn new(ranks: Vec<usize>, rules: &[Rule]) -> Self {
        Self::behind(&mut Vec::new(), ranks, rules)
    }

    fn behind(guards: &mut Vec<Number>, ranks: Vec<usize>, rules: &[Rule]) -> Self {
        if ranks.len() <= MAX_UNGROUPED || guards.len() >= MAX_GUARDS {
            return Self::Few(ranks);
        }
        let conditions = |rank: &usize| {
            let conditions = rules.get(*rank).map(|rule| &*rule.conditions);
            conditions.unwrap_or_default()
        };
        let mut mentions: HashMap<Number, usize> = HashMap::new();
        for rank in &ranks {
            for condition in conditions(rank) {
                *mentions.entry(*condition).or_default() += 1;
            }
        }
        let mut groups: BTreeMap<Option<Number>, Vec<usize>> = BTreeMap::new();
        for rank in ranks {
            let guard = conditions(&rank)
                .iter()
                .filter(|condition| !guards.contains(condition))
                .map(|condition| (mentions.get(condition).copied().unwrap_or(0), *condition))
                .max();
            // One that no other rule has saves nothing.
            let guard = guard.filter(|(mentions, _)| *mentions > 1);
            let guard = guard.map(|(_, condition)| condition);
            groups.entry(guard).or_default().push(rank);
        }
        let mut groups: Vec<Group> = groups
            .into_iter()
            .map(|(guard, ranks)| {
                let first = ranks.first().copied().unwrap_or(usize::MAX);
                let rules = match guard {
                    None => Self::Few(ranks),
                    Some(guard) => {
                        guards.push(guard);
                        let rules = Self::behind(guards, ranks, rules);
                        guards.pop();
                        rules
                    }
                };
                Group {
                    first,
                    guard,
                    rules,
                }
            })
            .collect();
        groups.sort_by_key(|group| group.first);
        Self::Groups(groups)
    }

    /// Makes `best` the first rule that matches, if it comes before what `best` is.
    pub(super) fn improve(
        &self,
        rules: &[Rule],
        conditions: &Conditions,
        query: &Query<'_>,
        best: &mut usize,
    ) {
        match self {
            Self::Few(ranks) => {
                for rank in ranks {
                    if rank >= best {
                        return;
                    }
                    let rule = rules.get(*rank);
                    if rule.is_some_and(|rule| conditions.all_hold(rule, query)) {
                        *best = *rank;
                        return;
                    }
                }
            }
            Self::Groups(groups) => {
                for group in groups {
                    if group.first >= *best {
                        return;
                    }
                    if group
                        .guard
                        .is_none_or(|guard| conditions.holds(guard, query))
                    {
                        group.rules.improve(rules, conditions, query, best);
                    }
                }
            }
        }
    }

    /// All its rules, by rank.
    pub(super) fn all(&self, into: &mut Vec<usize>) {
        match self {
            Self::Few(ranks) => into.extend(ranks),
            Self::Groups(groups) => {
                for group in groups {
                    group.rules.all(into);
                }
            }
        }
    }
}
