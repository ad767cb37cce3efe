//! Rules for every text file: what must not be committed.

use crate::{Complaint, tree::File};

/// Words that promise work; each needs an issue, as in `(#12)`.
const OPEN: [&str; 4] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
];

/// Folders of one machine.
const MACHINE: [&str; 3] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
];

/// Talk about how the text came to be, instead of about the thing.
const AUTHORSHIP: [&str; 10] = [
    concat!("cl", "aude"),
    concat!("anth", "ropic"),
    concat!("chat", "gpt"),
    concat!("open", "ai"),
    concat!("language ", "model"),
    concat!("as an ", "ai"),
    concat!("co-", "authored-by"),
    concat!("this ", "session"),
    concat!("previous ", "session"),
    concat!("sub", "agent"),
];

/// Work that is left, without an issue.
#[must_use]
pub fn open_tasks(file: &File) -> Vec<Complaint> {
    check(file, |line| {
        let word = OPEN.iter().find(|open| has_word(line, open))?;
        (!names_issue(line)).then(|| format!("{word} without an issue, expected {word}(#12)"))
    })
}

/// Paths of somebody's machine.
#[must_use]
pub fn machine_paths(file: &File) -> Vec<Complaint> {
    check(file, |line| {
        let path = MACHINE.iter().find(|path| begins_path(line, path))?;
        Some(format!("{path} is a folder of one machine"))
    })
}

/// Talk about authorship.
#[must_use]
pub fn authorship(file: &File) -> Vec<Complaint> {
    check(file, |line| {
        let line = line.to_lowercase();
        let word = AUTHORSHIP.iter().find(|word| line.contains(**word))?;
        Some(format!(
            "{word:?}: expected text about the thing, not about who wrote it and how"
        ))
    })
}

fn check(file: &File, rule: impl Fn(&str) -> Option<String>) -> Vec<Complaint> {
    let numbered = file.text.lines().enumerate();
    numbered
        .filter_map(|(index, line)| Some(Complaint::line(index + 1, rule(line)?)))
        .collect()
}

/// Whether a path that begins so stands in a line: `"$place"` in front of it makes it another's.
fn begins_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"._-}~*".contains(c))
    })
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !joins(line[..at].chars().next_back()) && !joins(line[at + word.len()..].chars().next())
    })
}

fn names_issue(line: &str) -> bool {
    line.match_indices('#')
        .any(|(at, _)| line[at + 1..].starts_with(|c: char| c.is_ascii_digit()))
}
