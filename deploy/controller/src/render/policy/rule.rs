//! One rule of a policy as rules of a node proxy.
//!
//! A rule is `from` AND `to` AND each `when`, and `from` and `to` are ORs: so it is the OR of each source with each
//! operation. That is what attributes are taken from, one such pair at a time, and what decides when nothing is left.
//! As much of it as can be said in one resource rule stays in one.

use wire::proto::security::{Action, Clause, Match, Rule};

use super::{
    condition::Notes,
    part::{self, Context, Part},
};
use crate::objects::PolicyRule;

/// What is left of the rule with this index: an OR, empty where nothing is left.
pub(super) fn rules(
    rule: &PolicyRule,
    index: usize,
    context: &Context<'_>,
    notes: &mut Notes,
) -> Vec<Rule> {
    let has_http = note_http(rule, notes);
    if has_http && context.action == Action::Allow {
        return Vec::new();
    }
    let Some(when) = When::new(rule, context, notes) else {
        return Vec::new();
    };
    let from = rule.from.iter().map(|it| part::source(it, context, notes));
    let from = choices(from.collect());
    let to = choices(rule.to.iter().map(part::operation).collect());

    // A rule that had nothing to begin with is for every connection.
    let is_left = |to: &Choice, from: &Choice| {
        to.says_something || from.says_something || when.says_something || !has_http
    };
    let (every_to, every_from) = (without_clauses(&to), without_clauses(&from));
    let mut rules = Vec::new();
    for (to, from) in to
        .iter()
        .flat_map(|to| from.iter().map(move |from| (to, from)))
    {
        if !is_left(to, from) {
            notes.idle(index);
            continue;
        }
        // What asks for less, and for nothing else, makes this one needless.
        let wider = [
            (Some(to), every_from),
            (every_to, Some(from)),
            (every_to, every_from),
        ];
        let is_needless = wider.into_iter().any(|wider| match wider {
            (Some(wide_to), Some(wide_from)) => {
                let is_same = std::ptr::eq(wide_to, to) && std::ptr::eq(wide_from, from);
                !is_same && is_left(wide_to, wide_from)
            }
            (None, _) | (_, None) => false,
        });
        if !is_needless {
            let clauses = [&to.clauses, &from.clauses, &when.clauses];
            rules.push(Rule {
                clauses: clauses.into_iter().flatten().cloned().collect(),
            });
        }
    }
    rules
}

/// The choice that holds always; there is at most one.
fn without_clauses(choices: &[Choice]) -> Option<&Choice> {
    choices.iter().find(|it| it.clauses.is_empty())
}

/// One of the choices that `from` or `to` leaves.
#[derive(Debug, Default)]
struct Choice {
    /// AND; none holds always.
    clauses: Vec<Clause>,
    /// Whether it asks for anything; what was taken from it does not count.
    says_something: bool,
}

/// The parts of `from` or of `to`: an OR of choices, none where it cannot hold.
fn choices(parts: Vec<Part>) -> Vec<Choice> {
    if parts.is_empty() {
        return vec![Choice::default()];
    }
    let (mut simple, mut choices) = (Vec::new(), Vec::new());
    let mut is_stripped = false;
    for part in parts {
        match part {
            Part::Never => {}
            Part::Stripped => is_stripped = true,
            // It holds whatever the others say.
            Part::Always => {
                return vec![Choice {
                    says_something: true,
                    ..Choice::default()
                }];
            }
            Part::Matches(mut matches) => match matches.pop() {
                Some(one) if matches.is_empty() => simple.push(one),
                Some(last) => {
                    matches.push(last);
                    choices.push(Choice {
                        clauses: matches.into_iter().map(|it| any_of(vec![it])).collect(),
                        says_something: true,
                    });
                }
                None => {}
            },
        }
    }
    if !simple.is_empty() {
        let choice = Choice {
            clauses: vec![any_of(simple)],
            says_something: true,
        };
        choices.insert(0, choice);
    }
    if is_stripped {
        choices.push(Choice::default());
    }
    choices
}

/// What all of `when` come to.
#[derive(Debug, Default)]
struct When {
    clauses: Vec<Clause>,
    says_something: bool,
}

impl When {
    /// `None` where they cannot all hold.
    fn new(rule: &PolicyRule, context: &Context<'_>, notes: &mut Notes) -> Option<Self> {
        let mut all = Self::default();
        for when in &rule.when {
            match part::condition(when, context, notes) {
                Part::Never => return None,
                Part::Stripped => {}
                Part::Always => all.says_something = true,
                Part::Matches(matches) => {
                    all.says_something = true;
                    let clauses = matches.into_iter().map(|it| any_of(vec![it]));
                    all.clauses.extend(clauses);
                }
            }
        }
        Some(all)
    }
}

fn any_of(matches: Vec<Match>) -> Clause {
    Clause { matches }
}

/// Notes all attributes that are not those of a connection; whether there are any.
fn note_http(rule: &PolicyRule, notes: &mut Notes) -> bool {
    let mut is_there = false;
    let mut note = |attribute: &str| {
        is_there = true;
        notes.http(attribute);
    };
    let conditions = rule.when.iter().map(|it| it.key.as_str());
    conditions
        .filter(|key| !part::is_of_connection(key))
        .for_each(&mut note);
    let sources = rule.from.iter().flat_map(part::http_of_source);
    let operations = rule.to.iter().flat_map(part::http_of_operation);
    sources.chain(operations).for_each(&mut note);
    is_there
}
