//! YAML within a text: a field of a ConfigMap, an annotation.
//!
//! In: the field that holds it. Out: what is read of it. Errors and warnings name the line of the field, and the path within. Never: passes
//! over a key that comes twice.

use yaml::{Cursor, Document, Error, Node, cursor::Unknown};

/// Reads the text at `at`, which people call `called`; `None` where it says nothing.
///
/// # Errors
/// It is not YAML, or `read` fails.
pub(super) fn embedded<T>(
    at: &Cursor<'_>,
    called: &'static str,
    read: impl FnOnce(&Cursor<'_>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let text = at.text(format!("{called} as a text"))?;
    let node = Node::parse(text).map_err(|malformed| {
        let yaml::Position { line, column } = malformed.position;
        at.unexpected(format!(
            "{called} as YAML (line {line}, column {column} of it: {})",
            malformed.message
        ))
    })?;
    let document = Document::new("", Unknown::Warn);
    let top = document.top(&node);
    if top.is_null() {
        return Ok(None);
    }
    let read = top.keys_once().and_then(|()| read(&top));
    for warning in document.into_warnings() {
        at.warn(warning.to_string());
    }
    read.map(Some).map_err(|error| outer(at, called, error))
}

/// An error within the text, as one of the field that holds it.
fn outer(at: &Cursor<'_>, called: &'static str, error: Error) -> Error {
    match error {
        Error::Field { field, problem, .. } => Error::Field {
            file: at.unexpected(called).file().to_owned(),
            position: at.position(),
            field: format!("{}: {field}", at.path()),
            problem,
        },
        Error::Yaml { message, .. } => at.unexpected(format!("{called} as YAML ({message})")),
    }
}
