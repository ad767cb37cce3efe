//! A `LocalRateLimit` that is inserted among the filters of HTTP.
//!
//! Source: Envoy, `envoy.extensions.filters.http.local_ratelimit.v3`. Its own rules hold: what is absent is what it is there, and
//! what it would not load is refused.

use std::{ops::RangeInclusive, time::Duration};

use yaml::{
    Cursor, Error, Object,
    scalar::{boolean, checked, number, word},
};

use super::this;
use crate::{
    objects::{LocalRateLimit, Share, traffic_policy::limit::TokenBucket},
    read::{
        duration, field, header, number as numbers,
        traffic_policy::{MAX_INTERVAL, MIN_INTERVAL},
    },
};

const NAME: &str = "envoy.filters.http.local_ratelimit";
const KIND: &str =
    "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
const TYPED_STRUCTS: [&str; 2] = [
    "type.googleapis.com/udpa.type.v1.TypedStruct",
    "type.googleapis.com/xds.type.v3.TypedStruct",
];
const FILTER: &str = "a filter with name envoy.filters.http.local_ratelimit and typed_config";
const CONFIG: &str = "a LocalRateLimit, or a TypedStruct of one";
const LIMIT: &str = "a LocalRateLimit with stat_prefix and token_bucket";
const BUCKET: &str = "a mapping with max_tokens and fill_interval";
const TOKENS: RangeInclusive<u32> = 1..=i32::MAX.unsigned_abs();
const NUMBER: &str = "a whole number from 1 to 2147483647";
const MAX_PREFIX_BYTES: usize = 253;
/// Source: Envoy, `response_headers_to_add`.
const MAX_HEADERS: usize = 10;

/// What is read of it.
const KNOWN: &[&str] = &[
    "filter_enabled",
    "filter_enforced",
    "rate_limited_as_resource_exhausted",
    "response_headers_to_add",
    "stat_prefix",
    "status",
    "token_bucket",
];
/// The same, with its type.
const TYPED: &[&str] = &[
    "@type",
    "filter_enabled",
    "filter_enforced",
    "rate_limited_as_resource_exhausted",
    "response_headers_to_add",
    "stat_prefix",
    "status",
    "token_bucket",
];

/// `value`: the filter.
pub(super) fn filter(at: &Cursor<'_>) -> Result<LocalRateLimit, Error> {
    let object = at.exact_object(FILTER, &["name", "typed_config"])?;
    object.required("name", FILTER, |at| this(at, NAME))?;
    object.required("typed_config", FILTER, |at| {
        let kind = at.field("@type", |at| {
            let is_known = |text: &str| text == KIND || TYPED_STRUCTS.contains(&text);
            checked(at, CONFIG, is_known).map(str::to_owned)
        })?;
        match kind.as_deref() {
            None => Err(at.missing("@type", CONFIG)),
            Some(KIND) => limit(&at.exact_object(LIMIT, TYPED)?),
            Some(_) => {
                let object = at.exact_object(CONFIG, &["@type", "type_url", "value"])?;
                object.required("type_url", CONFIG, |at| this(at, KIND))?;
                object.required("value", CONFIG, |at| limit(&at.exact_object(LIMIT, KNOWN)?))
            }
        }
    })
}

fn limit(object: &Object<'_>) -> Result<LocalRateLimit, Error> {
    Ok(LocalRateLimit {
        stat_prefix: object.required("stat_prefix", LIMIT, |at| {
            let expected = "a text of 1 to 253 bytes without control characters";
            checked(at, expected, |text| {
                (1..=MAX_PREFIX_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
            })
            .map(str::to_owned)
        })?,
        bucket: object.required("token_bucket", LIMIT, bucket)?,
        status: object.nullable("status", status)?.unwrap_or(429),
        enabled: object
            .nullable("filter_enabled", share)?
            .unwrap_or_default(),
        enforced: object
            .nullable("filter_enforced", share)?
            .unwrap_or_default(),
        response_headers: response_headers(object)?,
        resource_exhausted: field::switch(object, "rate_limited_as_resource_exhausted")?,
    })
}

fn bucket(at: &Cursor<'_>) -> Result<TokenBucket, Error> {
    let object = at.exact_object(BUCKET, &["fill_interval", "max_tokens", "tokens_per_fill"])?;
    let tokens = |at: &Cursor<'_>| numbers::within(at, TOKENS, NUMBER);
    let per_fill = object.nullable("tokens_per_fill", tokens)?;
    Ok(TokenBucket {
        max_tokens: object.required("max_tokens", BUCKET, tokens)?,
        // Source: Envoy, `envoy.type.v3.TokenBucket`.
        tokens_per_fill: per_fill.unwrap_or(1),
        fill_interval: object.required("fill_interval", BUCKET, interval)?,
    })
}

/// Seconds, as protobuf writes durations in JSON.
fn interval(at: &Cursor<'_>) -> Result<Duration, Error> {
    const SECONDS: &str = "seconds from 0.05s to 86400s, such as 60s";
    let is_seconds = |text: &str| {
        let number = text.strip_suffix('s').unwrap_or_default();
        !number.is_empty()
            && number
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    checked(at, SECONDS, is_seconds)?;
    let interval = duration::positive(at)?;
    if (MIN_INTERVAL..=MAX_INTERVAL).contains(&interval) {
        Ok(interval)
    } else {
        Err(at.unexpected(SECONDS))
    }
}

/// Status codes that Envoy's `HttpStatus` knows by name; below 400 it takes 429 in their place, which nobody asks for on purpose.
fn status(at: &Cursor<'_>) -> Result<u16, Error> {
    const STATUS: &str = "a mapping with code from 400 to 511";
    let object = at.exact_object(STATUS, &["code"])?;
    let names = [
        ("BadRequest", 400),
        ("Forbidden", 403),
        ("TooManyRequests", 429),
        ("ServiceUnavailable", 503),
    ];
    object.required("code", STATUS, |at| {
        if let Ok(status) = word(at, &names) {
            return Ok(status);
        }
        let status: u16 = number(at, STATUS)?;
        if (400..=511).contains(&status) {
            Ok(status)
        } else {
            Err(at.unexpected(STATUS))
        }
    })
}

/// `RuntimeFractionalPercent`. There is no runtime that could change it.
fn share(at: &Cursor<'_>) -> Result<Share, Error> {
    const SHARE: &str = "a mapping with runtime_key and default_value";
    const VALUE: &str = "a mapping with numerator and denominator";
    let object = at.exact_object(SHARE, &["default_value", "runtime_key"])?;
    object.nullable("runtime_key", |at| at.text("a text").map(|_| ()))?;
    object.required("default_value", SHARE, |at| {
        let object = at.exact_object(VALUE, &["denominator", "numerator"])?;
        let numerator = object.nullable("numerator", numbers::count)?;
        let parts = [
            ("HUNDRED", 10_000_u32),
            ("TEN_THOUSAND", 100),
            ("MILLION", 1),
        ];
        let parts = object.nullable("denominator", |at| word(at, &parts))?;
        let parts = parts.unwrap_or(10_000);
        Ok(Share::of_million(
            numerator.unwrap_or_default().saturating_mul(parts),
        ))
    })
}

fn response_headers(object: &Object<'_>) -> Result<Vec<(String, String)>, Error> {
    const OPTION: &str = "a mapping with header, and append or append_action";
    const HEADER: &str = "a header with key and value";
    let mut headers: Vec<(String, String)> = Vec::new();
    let expected = "a list of headers";
    field::list_up_to(
        object,
        "response_headers_to_add",
        expected,
        MAX_HEADERS,
        |at| {
            let option = at.exact_object(OPTION, &["append", "append_action", "header"])?;
            // The answer has no header yet that it could stand beside, or in the place of.
            option.nullable("append", boolean)?;
            let actions = [
                ("APPEND_IF_EXISTS_OR_ADD", ()),
                ("ADD_IF_ABSENT", ()),
                ("OVERWRITE_IF_EXISTS_OR_ADD", ()),
            ];
            option.nullable("append_action", |at| word(at, &actions))?;
            let (name, value) = option.required("header", OPTION, |at| {
                let object = at.exact_object(HEADER, &["key", "value"])?;
                let name = object.required("key", HEADER, |at| {
                    let name = header::editable(at, header::Of::Response)?;
                    if matches!(name.as_str(), "content-type" | "date" | "server") {
                        return Err(
                            at.unexpected("the name of a header that the answer does not have")
                        );
                    }
                    Ok(name)
                })?;
                let value = object.required("value", HEADER, |at| {
                    let value = header::value(at)?;
                    if value.contains('%') {
                        return Err(
                            at.unexpected("a value without %: nothing is put in its place here")
                        );
                    }
                    Ok(value)
                })?;
                Ok((name, value))
            })?;
            if headers.iter().any(|(other, _)| *other == name) {
                return Err(at.unexpected("each header once: their names know no case"));
            }
            headers.push((name, value));
            Ok(())
        },
    )?;
    Ok(headers)
}
