//! What texts are compared with: `StringMatch` of Istio's API, and regular expressions of both APIs.

use mesh::route::{Pattern, PatternError};
use yaml::{Cursor, Error, scalar::checked};

use super::{field, header};
use crate::objects::{StringMatch, ValueMatches};

/// Source: Istio, validation of `StringMatch.regex`.
pub(super) const MAX_REGEX_BYTES: usize = 1024;
/// More headers than a request may have.
const MAX_VALUES: usize = 100;
/// A value that is compared with a header, which is not longer either.
const MAX_VALUE_BYTES: usize = 8 * 1024;

const MATCH: &str = "a mapping with one of exact, prefix and regex";
const REGEX: &str = "a regular expression (RE2) of 1 to 1024 bytes";
const HEADERS: &str = "a mapping of names of headers to what they are compared with";
const VALUE: &str = "a text of at most 8192 bytes without control characters";

/// One of `exact`, `prefix` and `regex`; `None` for `{}`.
pub(super) fn string_match(at: &Cursor<'_>) -> Result<Option<StringMatch>, Error> {
    // A misspelt word would turn a condition into none.
    let object = at.exact_object(MATCH, &["exact", "prefix", "regex"])?;
    let exact = object.nullable("exact", |at| value(at).map(StringMatch::Exact))?;
    let prefix = object.nullable("prefix", |at| {
        let prefix = value(at)?;
        if prefix.is_empty() {
            return Err(at.unexpected("a prefix that is not empty"));
        }
        Ok(StringMatch::Prefix(prefix))
    })?;
    let regex = object.nullable("regex", |at| regex(at).map(StringMatch::Regex))?;
    let mut all = [exact, prefix, regex].into_iter().flatten();
    let first = all.next();
    if all.next().is_some() {
        return Err(at.unexpected(MATCH));
    }
    Ok(first)
}

/// `headers` and `withoutHeaders`: `{}` asks only that it is there. `other` says of a name and its value whether it has taken
/// them: not all names are of headers.
pub(super) fn headers(
    at: &Cursor<'_>,
    mut other: impl FnMut(&Cursor<'_>, &Cursor<'_>) -> Result<bool, Error>,
) -> Result<ValueMatches, Error> {
    let mut values = ValueMatches::new();
    field::entries_up_to(at, HEADERS, MAX_VALUES, |key, value| {
        if other(key, value)? {
            return Ok(());
        }
        insert(&mut values, header::name(key)?, key, value)
    })?;
    Ok(values)
}

/// `queryParams`.
pub(super) fn query_params(at: &Cursor<'_>) -> Result<ValueMatches, Error> {
    let expected = "a mapping of names of parameters to what they are compared with";
    values(at, expected, |name| {
        let expected = "the name of a parameter: a text that is not empty";
        checked(name, expected, |name| !name.is_empty() && is_value(name)).map(str::to_owned)
    })
}

fn values(
    at: &Cursor<'_>,
    expected: &'static str,
    name: impl Fn(&Cursor<'_>) -> Result<String, Error>,
) -> Result<ValueMatches, Error> {
    let mut values = ValueMatches::new();
    field::entries_up_to(at, expected, MAX_VALUES, |key, value| {
        insert(&mut values, name(key)?, key, value)
    })?;
    Ok(values)
}

fn insert(
    values: &mut ValueMatches,
    name: String,
    key: &Cursor<'_>,
    value: &Cursor<'_>,
) -> Result<(), Error> {
    if values.insert(name, string_match(value)?).is_some() {
        return Err(key.unexpected("each header once: their names know no case"));
    }
    Ok(())
}

/// A text that is compared byte by byte.
pub(super) fn value(at: &Cursor<'_>) -> Result<String, Error> {
    checked(at, VALUE, is_value).map(str::to_owned)
}

fn is_value(text: &str) -> bool {
    text.len() <= MAX_VALUE_BYTES && !text.chars().any(char::is_control)
}

/// A regular expression that the whole of a text has to match. It is compiled by what waypoints compile it with.
pub(super) fn regex(at: &Cursor<'_>) -> Result<String, Error> {
    let pattern = regex_text(at)?;
    Pattern::new(pattern).map_err(|error| not_a_regex(at, &error))?;
    Ok(pattern.to_owned())
}

/// The text of a regular expression, which is not compiled yet.
pub(super) fn regex_text<'t>(at: &Cursor<'t>) -> Result<&'t str, Error> {
    checked(at, REGEX, |text| {
        (1..=MAX_REGEX_BYTES).contains(&text.len())
    })
}

/// The error that the text there cannot be compiled.
pub(super) fn not_a_regex(at: &Cursor<'_>, error: &PatternError) -> Error {
    let text = match error {
        // A drawing of several lines, the last of which says what is wrong.
        PatternError::Compile(error) => error.to_string(),
        PatternError::Long(_) | PatternError::Syntax { .. } => error.to_string(),
    };
    let reason = text.lines().next_back().unwrap_or_default();
    let reason = reason.strip_prefix("error: ").unwrap_or(reason);
    at.unexpected(format!("{REGEX}: {reason}"))
}

#[cfg(test)]
mod tests;
