//! The filter `CORS`.

use std::time::Duration;

use yaml::{Cursor, Error, scalar::checked};

use crate::{
    objects::{Cors, CorsOrigin, StringMatch, UnmatchedPreflights},
    read::{
        field, number,
        virtual_service::{header_names, methods},
    },
};

const FIELDS: &[&str] = &[
    "allowCredentials",
    "allowHeaders",
    "allowMethods",
    "allowOrigins",
    "exposeHeaders",
    "maxAge",
];

/// Source: Gateway API v1, `HTTPCORSFilter`.
const MAX_ORIGINS: usize = 64;
const MAX_ORIGIN_BYTES: usize = 253;
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(5);

const ORIGIN: &str = "an origin such as https://example.com, https://*.example.com or *";

pub(super) fn cors(at: &Cursor<'_>) -> Result<Cors, Error> {
    let object = at.object("a mapping with allowOrigins", FIELDS)?;
    let max_age = object.nullable("maxAge", |at| {
        let seconds = number::within(at, 1..=i32::MAX.unsigned_abs(), "a whole number of seconds")?;
        Ok(Duration::from_secs(u64::from(seconds)))
    })?;
    Ok(Cors {
        origins: field::list_up_to(
            &object,
            "allowOrigins",
            "a list of origins",
            MAX_ORIGINS,
            origin,
        )?,
        methods: methods(&object)?,
        headers: header_names(&object, "allowHeaders")?,
        expose_headers: header_names(&object, "exposeHeaders")?,
        max_age: Some(max_age.unwrap_or(DEFAULT_MAX_AGE)),
        credentials: field::switch(&object, "allowCredentials")?,
        unmatched_preflights: UnmatchedPreflights::Ignore,
    })
}

/// A scheme, a host, whose first label may be `*`, and perhaps a port.
fn origin(at: &Cursor<'_>) -> Result<CorsOrigin, Error> {
    let text = checked(at, ORIGIN, |text| {
        text == "*" || (text.len() <= MAX_ORIGIN_BYTES && is_origin(text))
    })?;
    if text == "*" {
        return Ok(CorsOrigin::Any);
    }
    let Some((before, after)) = text.split_once('*') else {
        return Ok(CorsOrigin::Match(StringMatch::Exact(text.to_owned())));
    };
    // `*` is one label or more, and nothing that ends a host.
    let pattern = format!("{}[^/:]+{}", regex::escape(before), regex::escape(after));
    mesh::route::Pattern::new(&pattern).map_err(|_| at.unexpected(ORIGIN))?;
    Ok(CorsOrigin::Match(StringMatch::Regex(pattern)))
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let is_scheme = scheme
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let host = authority.strip_prefix("*.").unwrap_or(authority);
    let host = if authority == "*" { "any" } else { host };
    let is_host = !host.contains(['*', '@'])
        && host
            .parse::<http::uri::Authority>()
            .is_ok_and(|it| !it.host().is_empty());
    is_scheme && is_host
}
