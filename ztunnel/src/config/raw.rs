//! The environment as text, and the faults that are found while it is read.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{
    duration,
    fault::{Fault, Warning},
    variables::{Asks, State, VARIABLES, Variable},
};

/// Values by variable, and what was wrong so far.
pub(super) struct Raw {
    value_by_name: BTreeMap<String, String>,
    faults: Vec<Fault>,
}

impl Raw {
    pub(super) fn new(variables: impl Iterator<Item = (String, String)>) -> Self {
        Self {
            value_by_name: variables.filter(|(_, value)| !value.is_empty()).collect(),
            faults: Vec::new(),
        }
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// The value that was given, under the variable's name or an older one, with the name that it was given by.
    fn given(&self, variable: &Variable) -> Option<(&'static str, &str)> {
        variable
            .aliases
            .iter()
            .copied()
            .chain([variable.name])
            .find_map(|name| {
                self.value_by_name
                    .get(name)
                    .map(|value| (name, value.as_str()))
            })
    }

    /// The text that was given, else the default of the table; `None` where there is neither.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let variable = VARIABLES.iter().find(|variable| variable.name == name);
        debug_assert!(
            variable.is_some(),
            "{name} is missing in the table of variables"
        );
        let variable = variable?;
        let given = self.given(variable).map(|(_, value)| value);
        given.or(variable.default).map(str::to_owned)
    }

    /// What was given or is the default, parsed. `None` where there is neither, or after noting the fault.
    pub(super) fn parse<T>(
        &mut self,
        name: &str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.text(name)?;
        let parsed = parse(&value);
        if parsed.is_none() {
            let variable = VARIABLES.iter().find(|variable| variable.name == name);
            let variable = variable
                .and_then(|it| self.given(it))
                .map_or(name, |(given, _)| given)
                .to_owned();
            self.fault(Fault::Invalid {
                variable,
                value,
                expected,
            });
        }
        parsed
    }

    /// What was given under names that begin so: the rest of each name, and the value.
    pub(super) fn by_prefix(&self, prefix: &str) -> Vec<(String, String)> {
        debug_assert!(
            VARIABLES
                .iter()
                .any(|variable| variable.name.strip_suffix('*') == Some(prefix)),
            "{prefix}* is missing in the table of variables"
        );
        self.value_by_name
            .range(prefix.to_owned()..)
            .take_while(|(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name[prefix.len()..].to_owned(), value.clone()))
            .collect()
    }

    /// Whether the variable was given a value.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.value_by_name.contains_key(name)
    }

    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        self.parse(name, FLAG, parse_flag)
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    pub(super) fn number(
        &mut self,
        name: &str,
        expected: &'static str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        self.parse(name, expected, |text| {
            text.parse().ok().filter(|number| range.contains(number))
        })
    }

    pub(super) fn duration(
        &mut self,
        name: &str,
        expected: &'static str,
        range: std::ops::RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.parse(name, expected, |text| {
            duration::parse(text).filter(|duration| range.contains(duration))
        })
    }

    /// Refuses what must not be dropped in silence, and says what else is not honoured.
    pub(super) fn refuse_or_warn(&mut self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut faults = Vec::new();
        for variable in VARIABLES {
            match variable.state {
                State::Built | State::NoEffect => {}
                State::Refused { reason } => {
                    if self.given(variable).is_some() {
                        faults.push(Fault::Refused {
                            variable: variable.name,
                            reason,
                        });
                    }
                }
                State::Unbuilt { asks, instead } => {
                    for (name, value) in self.given_by_pattern(variable) {
                        match asked(asks, value) {
                            Some(false) => {}
                            Some(true) => warnings.push(Warning {
                                variable: name.to_owned(),
                                instead,
                            }),
                            None => faults.push(Fault::Invalid {
                                variable: name.to_owned(),
                                value: value.to_owned(),
                                expected: expectation(asks),
                            }),
                        }
                    }
                }
            }
        }
        self.faults.append(&mut faults);
        warnings
    }

    /// Like `given`, for names that may end in `*`.
    fn given_by_pattern<'a>(&'a self, variable: &'a Variable) -> Vec<(&'a str, &'a str)> {
        match variable.name.strip_suffix('*') {
            None => self.given(variable).into_iter().collect(),
            Some(prefix) => self
                .value_by_name
                .range(prefix.to_owned()..)
                .take_while(|(name, _)| name.starts_with(prefix))
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect(),
        }
    }
}

const FLAG: &str = "true or false";

fn parse_flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// Whether the value asks for what is not built; `None` where it is no value at all.
fn asked(asks: Asks, value: &str) -> Option<bool> {
    match asks {
        Asks::Anything => Some(true),
        Asks::Flag(unbuilt) => parse_flag(value).map(|flag| flag == unbuilt),
        Asks::Choice { unbuilt, built, .. } => {
            if value == unbuilt {
                Some(true)
            } else {
                (value == built).then_some(false)
            }
        }
    }
}

fn expectation(asks: Asks) -> &'static str {
    match asks {
        Asks::Anything => "a text",
        Asks::Flag(_) => FLAG,
        Asks::Choice { expected, .. } => expected,
    }
}
