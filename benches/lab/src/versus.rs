//! A further subject of a comparison: `NAME=command with arguments`.
//!
//! In: one argument. Out: the name and the command's words, split as a shell does it (blanks, quotes,
//! backslashes). Never: a variable, a wildcard or any other expansion.

use std::str::FromStr;

use anyhow::{Error, Result, bail};

/// The longest name: it heads a column.
const MAX_NAME: usize = 16;

/// Another program in ztunnel's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Versus {
    /// Its name in the table.
    pub(crate) name: String,
    /// The program and its arguments.
    pub(crate) words: Vec<String>,
}

impl FromStr for Versus {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((name, command)) = text.split_once('=') else {
            bail!("{text:?} has no `=`, expected NAME=command");
        };
        let valid = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(valid) {
            bail!(
                "the name is {name:?}, expected 1 to {MAX_NAME} letters, digits, `.`, `_` or `-`"
            );
        }
        let words = split(command)?;
        if words.first().is_none_or(String::is_empty) {
            bail!("{name} has no command, expected NAME=command");
        }
        Ok(Self {
            name: name.to_owned(),
            words,
        })
    }
}

/// Splits a command line. Source: POSIX shell, 2.2 Quoting: single quotes keep everything, double
/// quotes all but `\` before `"`, `\`, `$` and `` ` ``, a bare backslash keeps the next character.
fn split(line: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    // `None` between words: `''` is a word, a blank is not.
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        match c {
            '\'' => loop {
                match chars.next() {
                    Some('\'') => break,
                    Some(c) => word.push(c),
                    None => bail!("a single quote is not closed in {line:?}"),
                }
            },
            '"' => double_quoted(&mut chars, word, line)?,
            '\\' => match chars.next() {
                Some(c) => word.push(c),
                None => bail!("{line:?} ends with a backslash"),
            },
            c => word.push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn double_quoted(chars: &mut std::str::Chars<'_>, word: &mut String, line: &str) -> Result<()> {
    loop {
        match chars.next() {
            Some('"') => return Ok(()),
            Some('\\') => match chars.next() {
                Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                Some(c) => word.extend(['\\', c]),
                None => bail!("a double quote is not closed in {line:?}"),
            },
            Some(c) => word.push(c),
            None => bail!("a double quote is not closed in {line:?}"),
        }
    }
}

#[cfg(test)]
mod tests;
