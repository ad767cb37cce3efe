//! One rule, compiled: its lists as keys, and what it can be found or ruled out by.
//!
//! In: a rule as delivered. Out: [`Rule`], or nothing where it can never match. Never: knows other rules.
//!
//! **Shape:** a rule is the AND of its clauses, a clause the OR of its matches, a match the AND of its fields.
//! What always holds (a clause without matches) and what never holds (a match without fields) is gone here.

use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
    ops::ControlFlow,
    sync::Arc,
};

use super::{
    key::{Attribute, Key, MAX_INDEXED_BYTES},
    query::Query,
    trie::Trie,
};
use crate::authorization;

/// How many values a list may hold before it becomes tries. Reason: below it, looking at each is faster.
const MAX_LINEAR: usize = 16;

/// How many guards of a rule are considered. Reason: each is counted on every change of a crowded bucket.
const MAX_GUARDS: usize = 32;

/// A rule that can match.
#[derive(Debug)]
pub(super) struct Rule {
    clauses: Vec<Arc<Clause>>,
    /// A necessary condition, one of which must hold; `None` where the rule has none to be found by.
    pub(super) cover: Option<Vec<Key>>,
}

/// **Shape:** not empty.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Clause {
    matches: Vec<Match>,
}

/// **Shape:** `requires` has one list per field, none empty; `excludes` holds the values of all negative fields.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Match {
    requires: Vec<Arc<List>>,
    excludes: List,
}

/// Something that must hold for every rule behind it: asked once for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Guard {
    /// Nothing need hold.
    Nothing,
    /// One of these must hold.
    Requires(Arc<List>),
    /// This must not hold.
    Excludes(Key),
    /// All of this must hold.
    Whole(Arc<Clause>),
}

impl Guard {
    /// Whether the rules behind it may match.
    pub(super) fn admits(&self, query: &Query) -> bool {
        match self {
            Self::Nothing => true,
            Self::Requires(list) => list.any_holds(query),
            Self::Excludes(key) => !query.satisfies(key),
            Self::Whole(clause) => clause.holds(query),
        }
    }
}

impl Rule {
    /// Compiles a rule, not yet covered; `None` where it can never match.
    pub(super) fn compile(rule: &authorization::Rule) -> Option<Self> {
        let mut clauses = Vec::with_capacity(rule.clauses.len());
        for clause in rule
            .clauses
            .iter()
            .filter(|clause| !clause.matches.is_empty())
        {
            let matches: Vec<Match> = clause.matches.iter().filter_map(Match::compile).collect();
            if matches.is_empty() {
                return None;
            }
            clauses.push(Arc::new(Clause { matches }));
        }
        Some(Self {
            clauses,
            cover: None,
        })
    }

    /// Whether the connection is one that the rule means.
    pub(super) fn matches(&self, query: &Query) -> bool {
        self.clauses.iter().all(|clause| clause.holds(query))
    }

    /// Chooses the cover by which the rule shares a place with the fewest others.
    ///
    /// A clause covers the rule if each of its matches requires something: then one of those values must hold.
    /// `load` says how many rules are already found by a key.
    pub(super) fn choose_cover(&mut self, load: impl Fn(&Key) -> usize) {
        // Keys count too: a long list in many places is a price, but one paid once.
        let price = |list: &List| {
            let crowd = list
                .keys
                .iter()
                .map(|key| load(&key.indexed()))
                .max()
                .unwrap_or(0);
            crowd + list.keys.len() / 16
        };
        let covers = self.clauses.iter().filter_map(|clause| {
            let lists: Option<Vec<(usize, &List)>> = clause
                .matches
                .iter()
                .map(|one| {
                    one.requires
                        .iter()
                        .map(|list| (price(list), &**list))
                        .min_by_key(|(price, _)| *price)
                })
                .collect();
            let lists = lists?;
            Some((lists.iter().map(|(price, _)| price).sum::<usize>(), lists))
        });
        self.cover = covers.min_by_key(|(price, _)| *price).map(|(_, lists)| {
            let mut keys: Vec<Key> = lists
                .iter()
                .flat_map(|(_, list)| list.keys.iter().map(Key::indexed))
                .collect();
            keys.sort();
            keys.dedup();
            keys
        });
    }

    /// What may guard the rule among others of the same place: as a rule, conditions that together are the whole
    /// rule. Always the same for a rule with the same cover.
    pub(super) fn guards(&self) -> Vec<Guard> {
        let mut guards = Vec::new();
        for clause in &self.clauses {
            // Of several matches none need hold by itself.
            let [only] = &clause.matches[..] else {
                guards.push(Guard::Whole(Arc::clone(clause)));
                continue;
            };
            // The cover holds already where the rule is looked at.
            let covers = |list: &List| self.cover.as_ref().is_some_and(|cover| *cover == list.keys);
            let requires = only.requires.iter().filter(|list| !covers(list));
            guards.extend(requires.cloned().map(Guard::Requires));
            if only.excludes.keys.len() > MAX_GUARDS {
                guards.push(Guard::Whole(Arc::clone(clause)));
            }
        }
        for clause in &self.clauses {
            if let [only] = &clause.matches[..] {
                guards.extend(only.excludes.keys.iter().cloned().map(Guard::Excludes));
            }
        }
        guards.truncate(MAX_GUARDS);
        guards.sort();
        guards.dedup();
        guards
    }
}

impl Clause {
    fn holds(&self, query: &Query) -> bool {
        self.matches.iter().any(|one| one.holds(query))
    }
}

impl Match {
    /// `None` for a match without fields, which never holds.
    fn compile(one: &authorization::Match) -> Option<Self> {
        let authorization::Match {
            namespaces,
            not_namespaces,
            service_accounts,
            not_service_accounts,
            principals,
            not_principals,
            source_ips,
            not_source_ips,
            destination_ips,
            not_destination_ips,
            destination_ports,
            not_destination_ports,
        } = one;
        // Ports first: they are the cheapest to ask.
        let requires = [
            destination_ports
                .iter()
                .copied()
                .map(Key::port)
                .collect::<Vec<_>>(),
            source_ips.iter().map(Key::source).collect(),
            destination_ips.iter().map(Key::destination).collect(),
            namespaces.iter().map(Key::namespace).collect(),
            service_accounts.iter().map(Key::service_account).collect(),
            principals.iter().map(Key::principal).collect(),
        ];
        let excludes = (not_destination_ports.iter().copied().map(Key::port))
            .chain(not_source_ips.iter().map(Key::source))
            .chain(not_destination_ips.iter().map(Key::destination))
            .chain(not_namespaces.iter().map(Key::namespace))
            .chain(not_service_accounts.iter().map(Key::service_account))
            .chain(not_principals.iter().map(Key::principal))
            .collect();
        let requires: Vec<Arc<List>> = requires
            .into_iter()
            .filter(|keys| !keys.is_empty())
            .map(|keys| Arc::new(List::new(keys)))
            .collect();
        let excludes = List::new(excludes);
        (!requires.is_empty() || !excludes.keys.is_empty()).then_some(Self { requires, excludes })
    }

    fn holds(&self, query: &Query) -> bool {
        self.requires.iter().all(|list| list.any_holds(query)) && !self.excludes.any_holds(query)
    }
}

/// Values of which one may hold. **Shape:** sorted, each once.
#[derive(Debug)]
pub(super) struct List {
    keys: Vec<Key>,
    long: Option<Box<Long>>,
}

/// A list that is too long to look at each value.
#[derive(Debug)]
struct Long {
    tries: [Trie<()>; Attribute::COUNT],
    /// Values that are too long for a trie.
    rest: Vec<Key>,
}

/// A list is its keys; the rest is made of them.
impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.keys == other.keys
    }
}

impl Eq for List {}

impl PartialOrd for List {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for List {
    fn cmp(&self, other: &Self) -> Ordering {
        self.keys.cmp(&other.keys)
    }
}

impl Hash for List {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.keys.hash(state);
    }
}

impl List {
    fn new(mut keys: Vec<Key>) -> Self {
        keys.sort();
        keys.dedup();
        let long = (keys.len() > MAX_LINEAR).then(|| {
            let mut tries: [Trie<()>; Attribute::COUNT] = Default::default();
            let (short, rest): (Vec<&Key>, Vec<&Key>) = keys
                .iter()
                .partition(|key| key.bits <= MAX_INDEXED_BYTES * 8);
            for key in short {
                tries[key.attribute.index()].update(key, |value| *value = Some(()));
            }
            Box::new(Long {
                tries,
                rest: rest.into_iter().cloned().collect(),
            })
        });
        Self { keys, long }
    }

    fn any_holds(&self, query: &Query) -> bool {
        let Some(long) = &self.long else {
            return self.keys.iter().any(|key| query.satisfies(key));
        };
        let in_tries = Attribute::ALL.into_iter().any(|attribute| {
            query.texts(attribute).any(|text| {
                long.tries[attribute.index()]
                    .visit(text, |()| ControlFlow::Break(()))
                    .is_break()
            })
        });
        in_tries || long.rest.iter().any(|key| query.satisfies(key))
    }
}
