//! Fields of which absence, `null` and the empty value are one, as Kubernetes has them.

use yaml::{Cursor, Error, Object, scalar};

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
    at.is_null() || matches!(&at.node().value, yaml::Value::Scalar(text) if text.is_empty())
}

/// Reads a switch that is off where it is missing.
pub(crate) fn switch(object: &Object<'_>, name: &'static str) -> Result<bool, Error> {
    object
        .nullable(name, scalar::boolean)
        .map(Option::unwrap_or_default)
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
