//! Texts that people see again: names of routes, prefixes of metrics.

use yaml::{Cursor, Error, Object, scalar::checked};

use super::field;

/// They go into every line of an access log.
const MAX_BYTES: usize = 1024;

/// A text of one line that may be missing, and is empty then.
pub(super) fn line(object: &Object<'_>, name: &'static str) -> Result<String, Error> {
    let line = field::text(object, name, text)?;
    Ok(line.unwrap_or_default())
}

/// A text of one line.
pub(super) fn text(at: &Cursor<'_>) -> Result<String, Error> {
    let expected = "a text of one line, at most 1024 bytes";
    checked(at, expected, |text| {
        text.len() <= MAX_BYTES && !text.chars().any(char::is_control)
    })
    .map(str::to_owned)
}
