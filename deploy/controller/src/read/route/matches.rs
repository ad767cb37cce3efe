//! What HTTPRoute and GRPCRoute compare: headers, parameters, paths, methods.

use std::collections::{BTreeMap, btree_map::Entry};

use yaml::{
    Cursor, Error, Object,
    scalar::{checked, word},
};

use super::{MAX_ALL_MATCHES, MAX_ITEMS, MAX_MATCHES};
use crate::{
    objects::{
        StringMatch,
        route::{HttpMatch, PathMatch},
    },
    read::{field, header, matching},
};

/// Source: Gateway API v1, `HTTPPathMatch.value`.
const MAX_PATH_BYTES: usize = 1024;

const PATH: &str =
    "a path of at most 1024 bytes that begins with / and has no //, /./, /../, %2f or #";

const METHODS: [(&str, &str); 9] = [
    ("GET", "GET"),
    ("HEAD", "HEAD"),
    ("POST", "POST"),
    ("PUT", "PUT"),
    ("DELETE", "DELETE"),
    ("CONNECT", "CONNECT"),
    ("OPTIONS", "OPTIONS"),
    ("TRACE", "TRACE"),
    ("PATCH", "PATCH"),
];

/// `type` where there are two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Type {
    #[default]
    Exact,
    Regex,
}

/// `matches` of a rule; one that matches everything where there is none.
pub(super) fn matches<T: Default>(
    object: &Object<'_>,
    read: impl FnMut(&Cursor<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let expected = "a list of matches";
    let matches = field::list_up_to(object, "matches", expected, MAX_MATCHES, read)?;
    if matches.is_empty() {
        return Ok(vec![T::default()]);
    }
    Ok(matches)
}

/// All rules together have a limit, too.
pub(super) fn few_enough(object: &Object<'_>, total: usize) -> Result<(), Error> {
    if total > MAX_ALL_MATCHES {
        return field::refuse(object, "rules", "rules of at most 128 matches together");
    }
    Ok(())
}

pub(in crate::read) fn http_match(at: &Cursor<'_>) -> Result<HttpMatch, Error> {
    // Fewer conditions would match more.
    let object = at.exact_object(
        "a match with path, headers, queryParams and method",
        &["headers", "method", "path", "queryParams"],
    )?;
    let method = object.nullable("method", |at| word(at, &METHODS))?;
    Ok(HttpMatch {
        path: object.nullable("path", path)?.unwrap_or_default(),
        headers: headers(&object)?,
        query_params: values(&object, "queryParams", "a list of parameters", |at| {
            checked(at, "the name of a parameter", header::is_name).map(str::to_owned)
        })?,
        method: method.map(str::to_owned),
    })
}

/// `headers` of a match.
pub(super) fn headers(object: &Object<'_>) -> Result<BTreeMap<String, StringMatch>, Error> {
    values(object, "headers", "a list of headers", header::name)
}

fn values(
    object: &Object<'_>,
    field: &'static str,
    expected: &'static str,
    name: impl Fn(&Cursor<'_>) -> Result<String, Error>,
) -> Result<BTreeMap<String, StringMatch>, Error> {
    const VALUE: &str = "a mapping with name and value";
    let mut values = BTreeMap::new();
    field::list_up_to(object, field, expected, MAX_ITEMS, |at| {
        let object = at.exact_object(VALUE, &["name", "type", "value"])?;
        let by = by_type(&object)?;
        let name = object.required("name", VALUE, &name)?;
        let value = object.required("value", VALUE, |at| compared(at, by))?;
        match values.entry(name) {
            Entry::Vacant(place) => {
                place.insert(value);
            }
            Entry::Occupied(_) => {
                at.warn("of several with one name only the first has an effect");
            }
        }
        Ok(())
    })?;
    Ok(values)
}

/// `type: Exact` or `type: RegularExpression`.
pub(super) fn by_type(object: &Object<'_>) -> Result<Type, Error> {
    let types = [("Exact", Type::Exact), ("RegularExpression", Type::Regex)];
    let by = object.nullable("type", |at| word(at, &types))?;
    Ok(by.unwrap_or_default())
}

/// A text that is compared in one of two ways; not empty.
pub(super) fn compared(at: &Cursor<'_>, by: Type) -> Result<StringMatch, Error> {
    match by {
        Type::Exact => {
            let value = matching::value(at)?;
            if value.is_empty() {
                return Err(at.unexpected("a text that is not empty"));
            }
            Ok(StringMatch::Exact(value))
        }
        Type::Regex => matching::regex(at).map(StringMatch::Regex),
    }
}

/// `type`, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PathType {
    Exact,
    Prefix,
    Regex,
}

fn path(at: &Cursor<'_>) -> Result<PathMatch, Error> {
    let object = at.exact_object("a path with type and value", &["type", "value"])?;
    let types = [
        ("Exact", PathType::Exact),
        ("PathPrefix", PathType::Prefix),
        ("RegularExpression", PathType::Regex),
    ];
    let by = object.nullable("type", |at| word(at, &types))?;
    let value = object.nullable("value", |at| {
        Ok(match by.unwrap_or(PathType::Prefix) {
            PathType::Exact => PathMatch::Exact(plain_path(at)?),
            PathType::Prefix => PathMatch::Prefix(prefix(plain_path(at)?)),
            PathType::Regex => PathMatch::Regex(matching::regex(at)?),
        })
    })?;
    Ok(
        value.unwrap_or_else(|| match by.unwrap_or(PathType::Prefix) {
            PathType::Exact => PathMatch::Exact("/".to_owned()),
            PathType::Prefix => PathMatch::default(),
            PathType::Regex => PathMatch::Regex("/".to_owned()),
        }),
    )
}

/// `/abc/` and `/abc` are the same prefix.
fn prefix(path: String) -> String {
    match path.strip_suffix('/') {
        None | Some("") => path,
        Some(shorter) => shorter.to_owned(),
    }
}

/// Source: Gateway API v1, the rules of `HTTPPathMatch`.
fn plain_path(at: &Cursor<'_>) -> Result<String, Error> {
    checked(at, PATH, |text| {
        let never = ["//", "/./", "/../", "%2f", "%2F", "#"];
        text.len() <= MAX_PATH_BYTES
            && text.starts_with('/')
            && !never.iter().any(|part| text.contains(part))
            && !text.ends_with("/..")
            && !text.ends_with("/.")
            && is_path(text)
    })
    .map(str::to_owned)
}

/// Source: RFC 3986 §3.3, `pchar` and slashes.
fn is_path(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let is_escape = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        let good = match byte {
            b'%' => is_escape(bytes.next()) && is_escape(bytes.next()),
            byte => byte.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@".contains(&byte),
        };
        if !good {
            return false;
        }
    }
    true
}
