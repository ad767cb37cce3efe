//! Names and values of headers, and what is done to them: `headers` of VirtualService, header filters of Gateway API.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use yaml::{Cursor, Error, Object, scalar::checked};

use super::field;
use crate::objects::{HeaderEdit, HeaderEdits};

/// Source: Gateway API, `HeaderName`.
const MAX_NAME_BYTES: usize = 256;
/// Source: Gateway API, `HTTPHeader.value`.
const MAX_VALUE_BYTES: usize = 4096;
/// More headers than a message may have.
const MAX_EDITS: usize = 100;
/// Source: Gateway API, `HTTPHeaderFilter`.
const MAX_FILTER_EDITS: usize = 16;

/// What `host` is called in HTTP/2, and here.
pub(super) const AUTHORITY: &str = ":authority";

const NAME: &str =
    "the name of a header: at most 256 letters, digits and the signs !#$%&'*+-.^_`|~";
const VALUE: &str = "the value of a header: at most 4096 bytes without control characters";
const EDITABLE: &str = "the name of a header that can be changed: not of the message's framing, and of those with a \
                        colon only :authority, of a request, and not removed";

/// The name of a header, in lower case.
pub(super) fn name(at: &Cursor<'_>) -> Result<String, Error> {
    checked(at, NAME, is_name).map(str::to_ascii_lowercase)
}

/// Whether it names a header. Source: RFC 9110 §5.1.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES && http::HeaderName::from_bytes(text.as_bytes()).is_ok()
}

pub(super) fn value(at: &Cursor<'_>) -> Result<String, Error> {
    checked(at, VALUE, |text| {
        text.len() <= MAX_VALUE_BYTES && http::HeaderValue::from_bytes(text.as_bytes()).is_ok()
    })
    .map(str::to_owned)
}

/// Whose headers are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Request,
    Response,
}

/// `headers` of VirtualService.
pub(super) fn edits(at: &Cursor<'_>) -> Result<HeaderEdits, Error> {
    let object = at.object(
        "a mapping with request and response",
        &["request", "response"],
    )?;
    let edit = |name, of| {
        let edit = object.nullable(name, |at| operations(at, of))?;
        Ok::<_, Error>(edit.unwrap_or_default())
    };
    Ok(HeaderEdits {
        request: edit("request", Of::Request)?,
        response: edit("response", Of::Response)?,
    })
}

/// `set`, `add` and `remove` as mappings and a list.
fn operations(at: &Cursor<'_>, of: Of) -> Result<HeaderEdit, Error> {
    let object = at.object(
        "a mapping with set, add and remove",
        &["add", "remove", "set"],
    )?;
    let pairs = |name: &'static str| {
        let mut pairs = BTreeMap::new();
        object.nullable(name, |at| {
            let expected = "a mapping of names of headers to values";
            field::entries_up_to(at, expected, MAX_EDITS, |key, at| {
                if pairs.insert(editable(key, of)?, value(at)?).is_some() {
                    return Err(key.unexpected("each header once: their names know no case"));
                }
                Ok(())
            })
        })?;
        Ok::<_, Error>(pairs)
    };
    let edit = HeaderEdit {
        set: pairs("set")?,
        add: pairs("add")?,
        remove: removed(&object, MAX_EDITS)?,
    };
    one_authority(&object, edit)
}

/// `requestHeaderModifier` or `responseHeaderModifier`: `set` and `add` as lists, of which the first of a name counts.
pub(super) fn modifier(at: &Cursor<'_>, of: Of) -> Result<HeaderEdit, Error> {
    let object = at.object(
        "a mapping with set, add and remove",
        &["add", "remove", "set"],
    )?;
    let pairs = |field: &'static str| {
        let mut pairs = BTreeMap::new();
        let expected = "a list of headers with name and value";
        field::list_up_to(&object, field, expected, MAX_FILTER_EDITS, |at| {
            let header = at.object("a header with name and value", &["name", "value"])?;
            let name = header.required("name", NAME, |at| editable(at, of))?;
            let value = header.required("value", VALUE, value)?;
            match pairs.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(value);
                }
                Entry::Occupied(_) => {
                    at.warn("of several with one name only the first has an effect");
                }
            }
            Ok(())
        })?;
        Ok::<_, Error>(pairs)
    };
    let edit = HeaderEdit {
        set: pairs("set")?,
        add: pairs("add")?,
        remove: removed(&object, MAX_FILTER_EDITS)?,
    };
    if edit.is_empty() {
        return Err(at.unexpected("a mapping with at least one of set, add and remove"));
    }
    one_authority(&object, edit)
}

fn removed(object: &Object<'_>, max: usize) -> Result<BTreeSet<String>, Error> {
    let expected = "a list of names of headers";
    let names = field::list_up_to(object, "remove", expected, max, |at| {
        // What a response cannot set, no message can lose.
        editable(at, Of::Response)
    })?;
    Ok(names.into_iter().collect())
}

/// The name of a header that can be changed. `host` is `:authority`.
pub(super) fn editable(at: &Cursor<'_>, of: Of) -> Result<String, Error> {
    let text = at.text(NAME)?.to_ascii_lowercase();
    match text.as_str() {
        AUTHORITY | "host" => match of {
            Of::Request => Ok(AUTHORITY.to_owned()),
            Of::Response => Err(at.unexpected(EDITABLE)),
        },
        // A wrong length is how one request becomes two.
        "content-length" | "transfer-encoding" => Err(at.unexpected(EDITABLE)),
        text if text.starts_with(':') => Err(at.unexpected(EDITABLE)),
        _ => name(at),
    }
}

/// There is one `:authority`: to add it is to set it.
fn one_authority(object: &Object<'_>, mut edit: HeaderEdit) -> Result<HeaderEdit, Error> {
    if let Some(added) = edit.add.remove(AUTHORITY)
        && edit.set.insert(AUTHORITY.to_owned(), added).is_some()
    {
        return field::refuse(object, "add", "no other :authority than that of set");
    }
    Ok(edit)
}

#[cfg(test)]
mod tests;
