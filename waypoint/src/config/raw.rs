//! The environment as text, and the faults that are found while it is read.

use std::collections::BTreeMap;

use super::{Fault, VARIABLES};

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

    /// What was given, of any variable.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        self.value_by_name.get(name).map(String::as_str)
    }

    /// The text that was given, else the default of the table; `None` where there is neither.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let row = VARIABLES.iter().find(|(variable, ..)| *variable == name);
        debug_assert!(row.is_some(), "{name} is missing in the table of variables");
        let default = row.and_then(|(_, default, _)| *default);
        self.given(name).or(default).map(str::to_owned)
    }

    /// What was given; a fault where nothing was.
    pub(super) fn required(
        &mut self,
        variable: &'static str,
        expected: &'static str,
    ) -> Option<String> {
        let text = self.text(variable);
        if text.is_none() {
            self.faults.push(Fault::Missing { variable, expected });
        }
        text
    }

    /// What was given or is the default, parsed. `None` where there is neither, or after noting the fault.
    pub(super) fn parse<T>(
        &mut self,
        variable: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.text(variable)?;
        let parsed = parse(&value);
        if parsed.is_none() {
            self.faults.push(Fault::Invalid {
                variable,
                value,
                expected,
            });
        }
        parsed
    }
}
