//! Rules for FEATURES.md: every row has an ID, a state, and tests that exist.
//!
//! A row is `| ID | what | state | tests |`; tests are `path::name` in backticks, the path from the root. Where
//! nothing is built one row may stand for several IDs.

use std::collections::BTreeSet;

use crate::{Complaint, tree::File};

/// How far a feature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All of it.
    Built,
    /// Some of it; the row says what.
    Partly,
    /// None of it.
    Planned,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its line.
    pub line: usize,
    /// Its ID, such as `HB-03`.
    pub id: String,
    /// How far it is; `None` when the word is not one of the three.
    pub state: Option<State>,
    /// What shows it: path and name.
    pub tests: Vec<(String, String)>,
}

/// The rows of the tables.
#[must_use]
pub fn rows(text: &str) -> Vec<Row> {
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| row(index + 1, line))
        .collect()
}

fn row(line: usize, text: &str) -> Option<Row> {
    let cells: Vec<_> = text
        .strip_prefix('|')?
        .strip_suffix('|')?
        .split('|')
        .map(str::trim)
        .collect();
    let [id, _what, state, tests] = cells.as_slice() else {
        return None;
    };
    if *id == "ID" || id.starts_with('-') {
        return None;
    }
    let state = match *state {
        "built" => Some(State::Built),
        "partly" => Some(State::Partly),
        "planned" => Some(State::Planned),
        _ => None,
    };
    let quoted = tests.split('`').skip(1).step_by(2);
    let tests = quoted
        .map(|test| match test.rsplit_once("::") {
            Some((path, name)) => (path.to_owned(), name.to_owned()),
            None => (test.to_owned(), String::new()),
        })
        .collect();
    Some(Row {
        line,
        id: (*id).to_owned(),
        state,
        tests,
    })
}

/// Rows that cannot be believed; `files` are the Rust files.
#[must_use]
pub fn check(rows: &[Row], files: &[File]) -> Vec<Complaint> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for row in rows {
        let mut complain =
            |text: String| found.push(Complaint::line(row.line, format!("{}: {text}", row.id)));
        let grouped = row.state == Some(State::Planned);
        if !(is_id(&row.id) || grouped && row.id.split(", ").all(is_range)) {
            complain("expected an ID such as HB-03, or where nothing is built a list such as HB-03, RT-01..RT-24".to_owned());
        }
        if !seen.insert(&row.id) {
            complain("is there twice".to_owned());
        }
        match row.state {
            None => complain("expected built, partly or planned".to_owned()),
            Some(State::Planned) if !row.tests.is_empty() => {
                complain("planned, and yet tested".to_owned());
            }
            Some(State::Built | State::Partly) if row.tests.is_empty() => {
                complain("no test shows it".to_owned());
            }
            Some(State::Built | State::Partly | State::Planned) => {}
        }
        for (path, name) in &row.tests {
            match files.iter().find(|file| file.path == *path) {
                None => complain(format!("no file {path}")),
                Some(file) if !has_test(&file.text, name) => {
                    complain(format!("{path} has no test {name}"));
                }
                Some(_) => {}
            }
        }
    }
    found
}

/// `HB-03` or `HB-03..HB-09`.
fn is_range(id: &str) -> bool {
    id.split_once("..")
        .map_or_else(|| is_id(id), |(first, last)| is_id(first) && is_id(last))
}

/// Two to four capitals or digits, a dash, two digits.
fn is_id(id: &str) -> bool {
    id.split_once('-').is_some_and(|(area, number)| {
        (2..=4).contains(&area.len())
            && area
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
            && number.len() == 2
            && number.chars().all(|c| c.is_ascii_digit())
    })
}

/// Whether a file has a function of that name with an attribute that makes it a test.
#[must_use]
pub fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let starts = [format!("fn {name}("), format!("async fn {name}(")];
    lines.iter().enumerate().any(|(index, line)| {
        starts.iter().any(|start| line.starts_with(start.as_str()))
            && lines[..index]
                .iter()
                .rev()
                .take_while(|line| {
                    line.starts_with('#') || line.starts_with("//") || line.starts_with(')')
                })
                .any(|line| line.starts_with("#[test") || line.starts_with("#[tokio::test"))
    })
}
