//! Rules as lists of conditions, each of which is compiled once for all rules that have it.
//!
//! In: rules as delivered. Out: [`Rule`]s and the [`Conditions`] that they name by number.
//! Never: finds rules (that is `index`).
//!
//! **Shape:** a rule is the AND of its conditions. A clause of one match is its fields; a clause of several is one condition.
//! What always holds is gone, and so are rules that never match.

use std::collections::HashMap;

use super::{
    super as data,
    field::{self, Field},
    key::{Attribute, Key},
    query::Query,
};

/// The number of a condition.
pub(super) type Number = usize;

/// A rule that can match.
#[derive(Debug)]
pub(super) struct Rule {
    /// Its policy, by place.
    pub(super) policy: usize,
    /// Its place in the policy.
    pub(super) place: usize,
    /// What must all hold, each once. **Shape:** what asks for something first, then what rules something out.
    pub(super) conditions: Vec<Number>,
}

/// What must hold.
#[derive(Debug)]
enum Condition {
    Field(Field),
    /// One of the matches, each the AND of its fields.
    Either(Vec<Vec<Number>>),
}

/// By what a rule with some condition is found: values of which one must hold, and for each all that must hold for it.
pub(super) type Requirement = Vec<Vec<(Attribute, Key)>>;

/// All conditions, by number.
#[derive(Debug, Default)]
pub(super) struct Conditions(Vec<Condition>);

impl Conditions {
    /// Whether a condition holds.
    pub(super) fn holds(&self, number: Number, query: &Query<'_>) -> bool {
        match self.0.get(number) {
            Some(Condition::Field(field)) => field.holds(query),
            Some(Condition::Either(matches)) => matches
                .iter()
                .any(|fields| fields.iter().all(|field| self.holds(*field, query))),
            None => false,
        }
    }

    /// Whether a rule matches.
    pub(super) fn all_hold(&self, rule: &Rule, query: &Query<'_>) -> bool {
        let mut conditions = rule.conditions.iter();
        conditions.all(|condition| self.holds(*condition, query))
    }
}

/// Compiles rules, and remembers what it has compiled.
#[derive(Debug, Default)]
pub(super) struct Compiler {
    pub(super) conditions: Conditions,
    fields: HashMap<data::Field, Number>,
    either: HashMap<Vec<Vec<Number>>, Number>,
    /// By the number of a condition: by what rules are found that have it. `None`: by nothing.
    requirements: Vec<Option<Requirement>>,
}

impl Compiler {
    /// Compiles a rule; `None`: it never matches.
    pub(super) fn rule(&mut self, policy: usize, place: usize, rule: &data::Rule) -> Option<Rule> {
        let mut conditions = Vec::new();
        for clause in &rule.clauses {
            let matches: Vec<Vec<Number>> = clause
                .matches
                .iter()
                .filter_map(|one| self.one_match(one))
                .collect();
            match <[_; 1]>::try_from(matches) {
                Ok([only]) => conditions.extend(only),
                Err(matches) if matches.is_empty() => return None,
                Err(matches) if matches.iter().any(Vec::is_empty) => {}
                Err(matches) => conditions.push(self.alternatives(matches)),
            }
        }
        // What can be found by is mostly what fails.
        conditions.sort_by_key(|number| (self.requirement(*number).is_none(), *number));
        conditions.dedup();
        Some(Rule {
            policy,
            place,
            conditions,
        })
    }

    /// By what a rule with this condition can be found.
    pub(super) fn requirement(&self, number: Number) -> Option<&Requirement> {
        self.requirements.get(number)?.as_ref()
    }

    /// The fields of a match; `None`: it never holds.
    fn one_match(&mut self, one: &data::Match) -> Option<Vec<Number>> {
        let mut numbers = Vec::new();
        for field in &one.fields {
            let field = field::plain(field);
            match (field::is_empty(&field.test), field.negate) {
                (true, false) => return None,
                (true, true) => {}
                (false, _) => {
                    for part in field::split(field) {
                        numbers.push(self.field(part));
                    }
                }
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        Some(numbers)
    }

    fn field(&mut self, field: data::Field) -> Number {
        if let Some(number) = self.fields.get(&field) {
            return *number;
        }
        let requirement = (!field.negate).then(|| field::keys(&field.test));
        let number = self.add(Condition::Field(Field::new(&field)), requirement);
        self.fields.insert(field, number);
        number
    }

    /// A clause of several matches. It can be found by if each of them can.
    fn alternatives(&mut self, matches: Vec<Vec<Number>>) -> Number {
        if let Some(number) = self.either.get(&matches) {
            return *number;
        }
        let requirement: Option<Vec<&Requirement>> = matches
            .iter()
            .map(|fields| {
                // The one with the fewest values stands for the match; how many others share them is not known yet.
                let of = |field: &Number| self.requirement(*field);
                fields.iter().filter_map(of).min_by_key(|values| {
                    let is_weak =
                        |keys: &Vec<(Attribute, Key)>| keys.iter().all(|(_, key)| key.is_weak());
                    (values.iter().any(is_weak), values.len())
                })
            })
            .collect();
        let requirement = requirement.map(|all| all.into_iter().flatten().cloned().collect());
        let number = self.add(Condition::Either(matches.clone()), requirement);
        self.either.insert(matches, number);
        number
    }

    fn add(&mut self, condition: Condition, requirement: Option<Requirement>) -> Number {
        let number = self.requirements.len();
        self.requirements.push(requirement);
        self.conditions.0.push(condition);
        number
    }
}
