//! Fields of which absence, `null` and the empty value are one, as Kubernetes has them.

use yaml::{Cursor, Error, Object, Value, scalar};

/// Reads every item of a list that may be missing.
pub(crate) fn list<T>(
    object: &Object<'_>,
    name: &'static str,
    expected: &'static str,
    read: impl FnMut(&Cursor<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    object
        .nullable(name, |at| at.list(expected, read))
        .map(Option::unwrap_or_default)
}

/// Reads every item of a list that may be missing, and holds no more than `max`.
pub(crate) fn list_up_to<T>(
    object: &Object<'_>,
    name: &'static str,
    expected: &'static str,
    max: usize,
    read: impl FnMut(&Cursor<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    object
        .nullable(name, |at| items_up_to(at, expected, max, read))
        .map(Option::unwrap_or_default)
}

/// Reads every item of a list that holds no more than `max`, which is known before the first is read.
pub(crate) fn items_up_to<T>(
    at: &Cursor<'_>,
    expected: &'static str,
    max: usize,
    read: impl FnMut(&Cursor<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    match &at.node().value {
        Value::List(items) if items.len() > max => {
            Err(at.unexpected(format!("{expected}, at most {max}")))
        }
        Value::Null | Value::Scalar(_) | Value::List(_) | Value::Mapping(_) => {
            at.list(expected, read)
        }
    }
}

/// Visits every entry of a mapping that holds no more than `max`.
pub(crate) fn entries_up_to(
    at: &Cursor<'_>,
    expected: &'static str,
    max: usize,
    read: impl FnMut(&Cursor<'_>, &Cursor<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    match &at.node().value {
        Value::Mapping(entries) if entries.len() > max => {
            Err(at.unexpected(format!("{expected}, at most {max}")))
        }
        Value::Null | Value::Scalar(_) | Value::List(_) | Value::Mapping(_) => {
            at.entries(expected, read)
        }
    }
}

/// Whether a field is there, and not `null`; nothing of it is read.
pub(crate) fn is_there(object: &Object<'_>, name: &'static str) -> Result<bool, Error> {
    object.nullable(name, |_| Ok(())).map(|it| it.is_some())
}

/// Reads a text that may be missing: an empty one is as if it were.
pub(crate) fn text<T>(
    object: &Object<'_>,
    name: &'static str,
    read: impl FnOnce(&Cursor<'_>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    object
        .nullable(name, |at| {
            if is_empty(at) {
                Ok(None)
            } else {
                read(at).map(Some)
            }
        })
        .map(Option::flatten)
}

/// Whether it says nothing: `null` or an empty text.
pub(crate) fn is_empty(at: &Cursor<'_>) -> bool {
    at.is_null() || matches!(&at.node().value, Value::Scalar(text) if text.is_empty())
}

/// Reads a switch that is off where it is missing.
pub(crate) fn switch(object: &Object<'_>, name: &'static str) -> Result<bool, Error> {
    object
        .nullable(name, scalar::boolean)
        .map(Option::unwrap_or_default)
}

/// An error without the place in the file, which a warning has already.
pub(crate) fn reason(error: Error) -> String {
    match error {
        Error::Field { field, problem, .. } => format!("{field}: {problem}"),
        Error::Yaml { message, .. } => message,
    }
}

/// The same without the field, for a warning about it.
pub(crate) fn problem(error: &Error) -> String {
    match error {
        Error::Field { problem, .. } => problem.to_string(),
        Error::Yaml { message, .. } => message.clone(),
    }
}

/// The error that a field which `object` may have is not what it must be, considering others.
pub(crate) fn refuse<T>(
    object: &Object<'_>,
    name: &'static str,
    expected: &'static str,
) -> Result<T, Error> {
    match object.nullable(name, |at| Err::<T, _>(at.unexpected(expected)))? {
        Some(value) => Ok(value),
        None => Err(object.missing(name, expected)),
    }
}
