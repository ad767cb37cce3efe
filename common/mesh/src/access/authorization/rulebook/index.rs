//! Rules of one action, found by what they require.
//!
//! In: compiled rules in their order. Out: the first that matches.
//! Never: decides by what a rule is found by: what is found is matched as a whole.
//!
//! A rule stands under every key of one thing that it requires, of which the keys are shared with the fewest others. A rule that
//! requires nothing is in `rest`, which is looked at always.

use std::collections::{BTreeMap, HashMap};

use super::{
    super::TextAttribute,
    bucket::Bucket,
    key::{Attribute, Finder, Key},
    query::Query,
    rule::{Compiler, Conditions, Requirement, Rule},
};
use crate::name::Name;

/// How many headers are asked for by name; if there are more, the request's own are gone through. Reason: a request has about
/// as many.
const MAX_HEADERS: usize = 16;
/// What it costs a key to hold for nearly every text, in rules that share it.
const WEAK: usize = 256;

/// Rules, in order.
#[derive(Debug, Default)]
pub(super) struct Index {
    rules: Vec<Rule>,
    conditions: Conditions,
    finders: Vec<(Attribute, Finder<usize>)>,
    headers: HashMap<Name, (Attribute, Finder<usize>)>,
    buckets: Vec<Bucket>,
    rest: Bucket,
}

impl Index {
    /// Indexes rules, which are in their order. **Cost:** about the number of their values.
    pub(super) fn new(rules: Vec<Rule>, compiler: Compiler) -> Self {
        let covers = covers(&rules, &compiler);
        let mut by_attribute: BTreeMap<Attribute, Finder<usize>> = BTreeMap::new();
        let mut ranks_by_bucket: Vec<Vec<usize>> = Vec::new();
        let mut rest = Vec::new();
        for (rank, cover) in covers.into_iter().enumerate() {
            let Some(cover) = cover else {
                rest.push(rank);
                continue;
            };
            for (attribute, key) in cover {
                let finder = by_attribute.entry(attribute.clone()).or_default();
                let bucket = *finder.entry(key).get_or_insert_with(|| {
                    ranks_by_bucket.push(Vec::new());
                    ranks_by_bucket.len() - 1
                });
                if let Some(ranks) = ranks_by_bucket.get_mut(bucket)
                    && ranks.last() != Some(&rank)
                {
                    ranks.push(rank);
                }
            }
        }
        let (headers, finders) = split(by_attribute);
        Self {
            buckets: ranks_by_bucket
                .into_iter()
                .map(|ranks| Bucket::new(ranks, &rules))
                .collect(),
            rest: Bucket::new(rest, &rules),
            conditions: compiler.conditions,
            rules,
            finders,
            headers,
        }
    }

    /// The first rule that matches.
    pub(super) fn first_match(&self, query: &Query<'_>) -> Option<&Rule> {
        let mut best = usize::MAX;
        self.visit(query, |bucket| {
            bucket.improve(&self.rules, &self.conditions, query, &mut best);
        });
        self.rules.get(best)
    }

    /// The rules that are looked at, in order.
    pub(super) fn candidates(&self, query: &Query<'_>) -> Vec<&Rule> {
        let mut ranks = Vec::new();
        self.visit(query, |bucket| bucket.all(&mut ranks));
        ranks.sort_unstable();
        ranks.dedup();
        ranks
            .into_iter()
            .filter_map(|rank| self.rules.get(rank))
            .collect()
    }

    fn visit(&self, query: &Query<'_>, mut visit: impl FnMut(&Bucket)) {
        visit(&self.rest);
        let mut bucket = |number: &usize| {
            if let Some(bucket) = self.buckets.get(*number) {
                visit(bucket);
            }
        };
        for (attribute, finder) in &self.finders {
            finder.find(attribute, query, &mut bucket);
        }
        if !self.headers.is_empty() && query.is_http() {
            query.header_names(&mut |name| {
                if let Some((attribute, finder)) = self.headers.get(name) {
                    finder.find(attribute, query, &mut bucket);
                }
            });
        }
    }
}

type Finders = Vec<(Attribute, Finder<usize>)>;
type FindersByHeader = HashMap<Name, (Attribute, Finder<usize>)>;

/// Takes the finders of headers out, where they are many.
fn split(by_attribute: BTreeMap<Attribute, Finder<usize>>) -> (FindersByHeader, Finders) {
    let name = |attribute: &Attribute| match attribute {
        // What has another name in a request is asked for.
        Attribute::Text(TextAttribute::Header(name))
            if !name.starts_with(':') && name.as_str() != "host" =>
        {
            Some(name.clone())
        }
        Attribute::Text(_) | Attribute::Segment(_) | Attribute::Ip(_) | Attribute::Port => None,
    };
    let many = by_attribute.keys().filter_map(name).count() > MAX_HEADERS;
    let (mut headers, mut finders) = (HashMap::new(), Vec::new());
    for (attribute, finder) in by_attribute {
        match name(&attribute).filter(|_| many) {
            Some(name) => {
                headers.insert(name, (attribute, finder));
            }
            None => finders.push((attribute, finder)),
        }
    }
    (headers, finders)
}

type Place = (Attribute, Key);

/// For each rule what it is found by, as few others are; `None` where it requires nothing.
fn covers<'c>(rules: &[Rule], compiler: &'c Compiler) -> Vec<Option<Vec<&'c Place>>> {
    let requirements = |rule: &Rule| {
        let numbers = rule.conditions.clone().into_iter();
        numbers.filter_map(|number| compiler.requirement(number))
    };
    let mut shared: HashMap<&Place, usize> = HashMap::new();
    for rule in rules {
        for place in requirements(rule).flatten().flatten() {
            *shared.entry(place).or_default() += 1;
        }
    }
    let crowd = |place: &Place| {
        let crowd = shared.get(place).copied().unwrap_or(0);
        crowd + if place.1.is_weak() { WEAK } else { 0 }
    };
    let cover = |requirement: &'c Requirement| {
        let mut price = 0;
        let mut cover = Vec::with_capacity(requirement.len());
        for value in requirement {
            let least = value.iter().map(|place| (crowd(place), place));
            let (crowd, place) = least.min_by_key(|(crowd, _)| *crowd)?;
            price = price.max(crowd);
            cover.push(place);
        }
        // Values count too: a long list in many places is a price, but one paid once.
        Some((price + requirement.len() / 16, cover))
    };
    rules
        .iter()
        .map(|rule| {
            let least = requirements(rule)
                .filter_map(cover)
                .min_by_key(|(price, _)| *price);
            least.map(|(_, cover)| cover)
        })
        .collect()
}
