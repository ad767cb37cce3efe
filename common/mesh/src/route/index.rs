//! By what a match is found: one thing that it requires and that few others require.
//!
//! In: conditions in their order. Out: of a request, lists of positions that hold all conditions it may match.
//! Never: judges a condition; it may name one that does not hold, never miss one that does.
//!
//! Of all that a condition requires to be equal (or to begin) with something, it is found by what the fewest other
//! conditions require: the path of one among a thousand paths, the header of one among a thousand tenants. What requires
//! nothing of the kind is always named.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::Arc,
};

use super::{
    paths::{Found, Paths, Positions},
    rule::HttpMatch,
    rules::Facts,
    text::{HostMatch, MAX_HOST_BYTES, PathKind, StringMatch},
};

/// Conditions by what they require.
#[derive(Debug, Default)]
pub(super) struct Index {
    paths: Paths,
    /// Of those that ignore case.
    folded: Paths,
    authorities: HashMap<Arc<str>, Positions>,
    hosts: HashMap<Arc<str>, Positions>,
    /// With their dot.
    host_suffixes: HashMap<Arc<str>, Positions>,
    /// By name, then by value.
    headers: Vec<(Arc<str>, ByValue)>,
    /// By name, then by value.
    parameters: Vec<(Arc<str>, ByValue)>,
    /// Found by nothing.
    others: Positions,
}

type ByValue = HashMap<Box<[u8]>, Positions>;

/// One thing that a condition may require.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key<'a> {
    Path {
        text: &'a str,
        exact: bool,
        ignore_case: bool,
    },
    Authority(&'a Arc<str>),
    Host(&'a HostMatch),
    Header(&'a Arc<str>, &'a Arc<str>),
    Parameter(&'a Arc<str>, &'a Arc<str>),
}

impl Index {
    /// `None` stands for a condition that always holds.
    pub(super) fn new(conditions: &[Option<&HttpMatch>]) -> Self {
        let mut load: HashMap<Key<'_>, usize> = HashMap::new();
        for condition in conditions.iter().flatten() {
            for key in ways(condition).into_iter().flatten() {
                *load.entry(key).or_default() += 1;
            }
        }
        let load = |way: &[Key<'_>]| {
            let loads = way.iter().filter_map(|key| load.get(key));
            loads.max().copied().unwrap_or_default()
        };
        let mut builder = Builder::default();
        for (position, condition) in conditions.iter().enumerate() {
            let ways = condition.map(ways).unwrap_or_default();
            // The first of equal ones.
            match ways.iter().min_by_key(|way| load(way)) {
                None => builder.index.others.push(position),
                Some(way) => {
                    for key in way {
                        builder.insert(*key, position);
                    }
                }
            }
        }
        builder.finish()
    }

    /// Visits lists of positions, each ascending, that together hold those of all conditions that may hold.
    pub(super) fn visit<'a, F: Facts>(&'a self, facts: &F, mut visit: impl FnMut(&'a [usize])) {
        self.paths.visit(facts.path(), &mut visit);
        self.folded.visit(facts.path(), &mut visit);
        let mut found = |positions: Option<&'a Positions>| {
            if let Some(positions) = positions {
                visit(positions);
            }
        };
        if !self.authorities.is_empty() {
            found(self.authorities.get(facts.authority()));
        }
        if !self.hosts.is_empty() {
            found(self.hosts.get(facts.host()));
        }
        if !self.host_suffixes.is_empty() && facts.host().len() <= MAX_HOST_BYTES {
            for (dot, _) in facts.host().match_indices('.') {
                found(
                    facts
                        .host()
                        .get(dot..)
                        .and_then(|suffix| self.host_suffixes.get(suffix)),
                );
            }
        }
        for (name, by_value) in &self.headers {
            found(facts.header(name).and_then(|value| by_value.get(&*value)));
        }
        for (name, by_value) in &self.parameters {
            found(facts.parameter(name).and_then(|value| by_value.get(value)));
        }
        visit(&self.others);
    }
}

/// The ways by which a condition can be found. **Shape:** of each way one key is met by every request that it holds for.
fn ways(condition: &HttpMatch) -> Vec<Vec<Key<'_>>> {
    let mut ways = Vec::new();
    if let Some(path) = &condition.path {
        let (text, exact) = match path.kind() {
            PathKind::Exact(text) => (&**text, true),
            PathKind::Prefix(text) | PathKind::Segments(text) => (&**text, false),
            PathKind::Regex(pattern) => (pattern.literal_prefix(), false),
        };
        ways.push(vec![Key::Path {
            text,
            exact,
            ignore_case: path.ignores_case(),
        }]);
    }
    if let Some(StringMatch::Exact(authority)) = &condition.authority {
        ways.push(vec![Key::Authority(authority)]);
    }
    if !condition.hostnames.is_empty() && !condition.hostnames.contains(&HostMatch::Any) {
        ways.push(condition.hostnames.iter().map(Key::Host).collect());
    }
    for header in condition.headers.iter().filter(|header| !header.invert) {
        if let Some(StringMatch::Exact(value)) = &header.value {
            ways.push(vec![Key::Header(&header.name, value)]);
        }
    }
    for parameter in &condition.query {
        if let Some(StringMatch::Exact(value)) = &parameter.value {
            ways.push(vec![Key::Parameter(&parameter.name, value)]);
        }
    }
    ways
}

/// An index that grows.
#[derive(Default)]
struct Builder<'a> {
    index: Index,
    paths: BTreeMap<&'a str, Found>,
    folded: BTreeMap<&'a str, Found>,
}

impl<'a> Builder<'a> {
    fn insert(&mut self, key: Key<'a>, position: usize) {
        let positions = match key {
            Key::Path {
                text,
                exact,
                ignore_case,
            } => {
                let paths = if ignore_case {
                    &mut self.folded
                } else {
                    &mut self.paths
                };
                let found = paths.entry(text).or_default();
                if exact {
                    &mut found.exact
                } else {
                    &mut found.prefix
                }
            }
            Key::Authority(text) => self.index.authorities.entry(Arc::clone(text)).or_default(),
            Key::Host(HostMatch::Exact(text)) => {
                self.index.hosts.entry(Arc::clone(text)).or_default()
            }
            Key::Host(HostMatch::Suffix(text)) => self
                .index
                .host_suffixes
                .entry(Arc::clone(text))
                .or_default(),
            Key::Host(HostMatch::Any) => &mut self.index.others,
            Key::Header(name, value) => of_value(&mut self.index.headers, name, value),
            Key::Parameter(name, value) => of_value(&mut self.index.parameters, name, value),
        };
        // Twice by the same name of one list.
        if positions.last() != Some(&position) {
            positions.push(position);
        }
    }

    fn finish(self) -> Index {
        Index {
            paths: Paths::new(self.paths, false),
            folded: Paths::new(self.folded, true),
            ..self.index
        }
    }
}

fn of_value<'a>(
    by_name: &'a mut Vec<(Arc<str>, ByValue)>,
    name: &Arc<str>,
    value: &str,
) -> &'a mut Positions {
    let place = match by_name.iter().position(|(present, _)| present == name) {
        Some(place) => place,
        None => {
            by_name.push((Arc::clone(name), ByValue::new()));
            by_name.len() - 1
        }
    };
    let (_, by_value) = &mut by_name[place];
    by_value.entry(value.as_bytes().into()).or_default()
}
