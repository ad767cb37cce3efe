//! `rateLimits`.

use std::{collections::HashMap, ops::RangeInclusive, time::Duration};

use yaml::{
    Cursor, Error, Object, Position,
    scalar::{checked, port, word},
};

use super::key::keys;
use crate::{
    objects::{
        Share,
        traffic_policy::{
            RateLimit,
            limit::{GlobalLimit, LimitKind, TokenBucket},
        },
    },
    read::{
        duration, field, header, name, number,
        route::{MAX_MATCHES, http_match},
    },
};

const FIELDS: &[&str] = &[
    "enabled",
    "enforced",
    "global",
    "grpcStatus",
    "key",
    "local",
    "matches",
    "name",
    "responseHeaders",
    "routes",
    "status",
];

/// Every request of a target looks at each of them.
const MAX_LIMITS: usize = 32;
/// As many as an HTTPRoute has rules, of several routes.
const MAX_ROUTES: usize = 64;
/// Fits any name that a route can have.
const MAX_ROUTE_BYTES: usize = 1024;
/// As many as a filter of an HTTPRoute may set.
const MAX_HEADERS: usize = 16;
/// Source: Envoy, `TokenBucket.fill_interval` of local rate limits.
pub(in crate::read) const MIN_INTERVAL: Duration = Duration::from_millis(50);
/// A quota for longer is nothing that replicas which come and go can count.
pub(in crate::read) const MAX_INTERVAL: Duration = Duration::from_hours(24);
const TIMEOUT: Duration = Duration::from_millis(100);
/// Every request waits for the answer.
const MAX_TIMEOUT: Duration = Duration::from_secs(10);
/// Source: Envoy, `TooManyRequests`.
const STATUS: u16 = 429;
const STATUSES: RangeInclusive<u32> = 400..=599;
const TOKENS: RangeInclusive<u32> = 1..=i32::MAX.unsigned_abs();
const MAX_DOMAIN_BYTES: usize = 253;

const LIMITS: &str = "a list of limits with name, and local or global";
const LOCAL: &str = "a mapping with requests and interval";
const GLOBAL: &str = "a mapping with domain, service and port";
const NUMBER: &str = "a whole number from 1 to 2147483647";

/// `rateLimits`, each name once.
pub(super) fn rate_limits(object: &Object<'_>) -> Result<Vec<RateLimit>, Error> {
    let mut first_by_name: HashMap<String, Position> = HashMap::new();
    field::list_up_to(object, "rateLimits", LIMITS, MAX_LIMITS, |at| {
        let limit = rate_limit(at)?;
        if let Some(first) = first_by_name.insert(limit.name.clone(), at.position()) {
            return Err(at.duplicate(&limit.name, first, "each name of a limit once"));
        }
        Ok(limit)
    })
}

fn rate_limit(at: &Cursor<'_>) -> Result<RateLimit, Error> {
    let object = at.exact_object("a limit with name, and local or global", FIELDS)?;
    let share = |name| {
        let share = object.nullable(name, number::percent)?;
        Ok::<_, Error>(share.unwrap_or(Share::ALL))
    };
    Ok(RateLimit {
        name: object.required("name", "the name of the limit", |at| {
            name::label(at).map(str::to_owned)
        })?,
        matches: field::list_up_to(
            &object,
            "matches",
            "a list of matches",
            MAX_MATCHES,
            http_match,
        )?,
        routes: field::list_up_to(
            &object,
            "routes",
            "a list of names of routes",
            MAX_ROUTES,
            route,
        )?,
        keys: keys(&object)?,
        kind: kind(&object)?,
        status: status(&object)?,
        response_headers: response_headers(&object)?,
        resource_exhausted: object
            .nullable("grpcStatus", |at| {
                word(at, &[("UNAVAILABLE", false), ("RESOURCE_EXHAUSTED", true)])
            })?
            .unwrap_or_default(),
        enabled: share("enabled")?,
        enforced: share("enforced")?,
    })
}

fn route(at: &Cursor<'_>) -> Result<String, Error> {
    let expected = "the name of a route, as the access log shows it";
    checked(at, expected, |text| {
        (1..=MAX_ROUTE_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
    })
    .map(str::to_owned)
}

fn kind(object: &Object<'_>) -> Result<LimitKind, Error> {
    let local = object.nullable("local", local)?;
    let global = object.nullable("global", global)?;
    match (local, global) {
        (Some(bucket), None) => Ok(LimitKind::Local(bucket)),
        (None, Some(global)) => Ok(LimitKind::Global(global)),
        (Some(_), Some(_)) => field::refuse(object, "global", "either this or local"),
        (None, None) => Err(object.missing("local", "this or global")),
    }
}

fn local(at: &Cursor<'_>) -> Result<TokenBucket, Error> {
    let object = at.exact_object(LOCAL, &["burst", "interval", "requests"])?;
    let requests = object.required("requests", NUMBER, |at| number::within(at, TOKENS, NUMBER))?;
    let interval = object.required("interval", LOCAL, |at| {
        let interval = duration::positive(at)?;
        if (MIN_INTERVAL..=MAX_INTERVAL).contains(&interval) {
            Ok(interval)
        } else {
            Err(at.unexpected("a duration from 50ms to 24h"))
        }
    })?;
    let burst = object.nullable("burst", |at| {
        let burst = number::within(at, TOKENS, NUMBER)?;
        if burst < requests {
            // What comes at once would not fit, and nobody would ever get it.
            return Err(at.unexpected("a number that is not less than `requests`"));
        }
        Ok(burst)
    })?;
    Ok(TokenBucket {
        max_tokens: burst.unwrap_or(requests),
        tokens_per_fill: requests,
        fill_interval: interval,
    })
}

fn global(at: &Cursor<'_>) -> Result<GlobalLimit, Error> {
    let fields = &["domain", "failClosed", "port", "service", "timeout"];
    let object = at.exact_object(GLOBAL, fields)?;
    let timeout = object.nullable("timeout", |at| {
        let timeout = duration::positive(at)?;
        if timeout > MAX_TIMEOUT {
            return Err(at.unexpected("a duration from 1ms to 10s"));
        }
        Ok(timeout)
    })?;
    Ok(GlobalLimit {
        domain: object.required("domain", GLOBAL, |at| {
            let expected = "a text of 1 to 253 bytes without control characters";
            checked(at, expected, |text| {
                (1..=MAX_DOMAIN_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
            })
            .map(str::to_owned)
        })?,
        service: object.required("service", GLOBAL, name::hostname)?,
        port: object.required("port", GLOBAL, |at| port(at).map(|port| port.get()))?,
        timeout: timeout.unwrap_or(TIMEOUT),
        fail_closed: field::switch(&object, "failClosed")?,
    })
}

fn status(object: &Object<'_>) -> Result<u16, Error> {
    let expected = "a status code from 400 to 599";
    let status = object.nullable("status", |at| number::within(at, STATUSES, expected))?;
    Ok(status
        .and_then(|status| u16::try_from(status).ok())
        .unwrap_or(STATUS))
}

fn response_headers(object: &Object<'_>) -> Result<Vec<(String, String)>, Error> {
    const HEADER: &str = "a header with name and value";
    let mut headers: Vec<(String, String)> = Vec::new();
    let expected = "a list of headers with name and value";
    field::list_up_to(object, "responseHeaders", expected, MAX_HEADERS, |at| {
        let object = at.exact_object(HEADER, &["name", "value"])?;
        let name = object.required("name", HEADER, |at| {
            header::editable(at, header::Of::Response)
        })?;
        let value = object.required("value", HEADER, header::value)?;
        if headers.iter().any(|(other, _)| *other == name) {
            return Err(at.unexpected("each header once: their names know no case"));
        }
        headers.push((name, value));
        Ok(())
    })?;
    Ok(headers)
}
