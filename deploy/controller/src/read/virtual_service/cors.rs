//! `corsPolicy`.

use std::collections::BTreeSet;

use yaml::{
    Cursor, Error, Object,
    scalar::{checked, word},
};

use crate::{
    objects::{Cors, CorsOrigin, StringMatch, UnmatchedPreflights},
    read::{duration, field, header, matching},
};

const FIELDS: &[&str] = &[
    "allowCredentials",
    "allowHeaders",
    "allowMethods",
    "allowOrigin",
    "allowOrigins",
    "exposeHeaders",
    "maxAge",
    "unmatchedPreflights",
];

/// Each is tried in turn.
const MAX_ORIGINS: usize = 256;
/// They are sent as one header.
const MAX_NAMES: usize = 100;

pub(super) fn cors(at: &Cursor<'_>) -> Result<Cors, Error> {
    let object = at.object("a mapping with allowOrigins", FIELDS)?;
    let preflights = [
        ("UNSPECIFIED", UnmatchedPreflights::Forward),
        ("FORWARD", UnmatchedPreflights::Forward),
        ("IGNORE", UnmatchedPreflights::Ignore),
    ];
    Ok(Cors {
        origins: origins(&object)?,
        methods: methods(&object)?,
        headers: header_names(&object, "allowHeaders")?,
        expose_headers: header_names(&object, "exposeHeaders")?,
        max_age: object.nullable("maxAge", |at| {
            let age = duration::any(at)?;
            if age.subsec_nanos() != 0 {
                return Err(at.unexpected("a duration of whole seconds"));
            }
            Ok(age)
        })?,
        credentials: field::switch(&object, "allowCredentials")?,
        unmatched_preflights: field::text(&object, "unmatchedPreflights", |at| {
            word(at, &preflights)
        })?
        .unwrap_or_default(),
    })
}

fn origins(object: &Object<'_>) -> Result<Vec<CorsOrigin>, Error> {
    let of = |matched| match matched {
        // Source: Envoy, which compares `*` itself before the origin.
        StringMatch::Exact(text) if text == "*" => CorsOrigin::Any,
        matched @ (StringMatch::Exact(_) | StringMatch::Prefix(_) | StringMatch::Regex(_)) => {
            CorsOrigin::Match(matched)
        }
    };
    let expected = "a list of what origins are compared with";
    let mut origins = field::list_up_to(object, "allowOrigins", expected, MAX_ORIGINS, |at| {
        let matched = matching::string_match(at)?;
        let none = || at.unexpected("a mapping with one of exact, prefix and regex");
        matched.map(of).ok_or_else(none)
    })?;
    let expected = "a list of origins";
    let older = field::list_up_to(object, "allowOrigin", expected, MAX_ORIGINS, |at| {
        at.warn("deprecated, allowOrigins takes its place");
        matching::value(at).map(|text| of(StringMatch::Exact(text)))
    })?;
    if origins.is_empty() {
        origins = older;
    }
    Ok(origins)
}

/// `allowMethods`, also of Gateway API.
pub(in crate::read) fn methods(object: &Object<'_>) -> Result<BTreeSet<String>, Error> {
    let expected = "a list of methods";
    let methods = field::list_up_to(object, "allowMethods", expected, MAX_NAMES, |at| {
        let expected = "a method such as GET, or *";
        checked(at, expected, |text| {
            // `*` is a letter of methods, too.
            http::Method::from_bytes(text.as_bytes()).is_ok()
        })
        .map(str::to_owned)
    })?;
    Ok(methods.into_iter().collect())
}

/// A list of names of headers, also of Gateway API.
pub(in crate::read) fn header_names(
    object: &Object<'_>,
    name: &'static str,
) -> Result<BTreeSet<String>, Error> {
    let expected = "a list of names of headers";
    // `*` is a letter of names, too.
    let names = field::list_up_to(object, name, expected, MAX_NAMES, header::name)?;
    Ok(names.into_iter().collect())
}
