//! `healthCheck`.

use std::{ops::RangeInclusive, time::Duration};

use yaml::{
    Cursor, Error, Object,
    scalar::{checked, parse_number, port, word},
};

use crate::{
    objects::traffic_policy::{HealthCheck, Probe, StatusRange},
    read::{
        duration, field, number,
        virtual_service::{authority, rewritten_path},
    },
};

const FIELDS: &[&str] = &[
    "expectedStatuses",
    "healthyThreshold",
    "host",
    "interval",
    "path",
    "port",
    "protocol",
    "service",
    "timeout",
    "unhealthyThreshold",
];
/// What belongs to some protocols only.
const OF_PROTOCOL: &[&str] = &["expectedStatuses", "host", "path", "service"];

const INTERVAL: Duration = Duration::from_secs(10);
/// More often, and checks are a load of their own; every waypoint asks every endpoint.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
/// More rarely, and they say nothing of now.
const MAX_INTERVAL: Duration = Duration::from_hours(1);
const TIMEOUT: Duration = Duration::from_secs(1);
const UNHEALTHY: u32 = 3;
const HEALTHY: u32 = 2;
const THRESHOLDS: RangeInclusive<u32> = 1..=100;
/// As many as there are status codes.
const MAX_STATUSES: usize = 500;
/// Fits a path of HTTP/2.
const MAX_SERVICE_BYTES: usize = 1024;

const STATUSES: &str = "a status code such as 200, or a range such as 200-299, from 100 to 599";

/// `protocol`, as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Protocol {
    #[default]
    Http,
    Grpc,
    Tcp,
}

pub(super) fn health_check(at: &Cursor<'_>) -> Result<HealthCheck, Error> {
    let object = at.exact_object("a mapping with protocol", FIELDS)?;
    let interval = object.nullable("interval", |at| {
        let interval = duration::positive(at)?;
        if (MIN_INTERVAL..=MAX_INTERVAL).contains(&interval) {
            Ok(interval)
        } else {
            Err(at.unexpected("a duration from 100ms to 1h"))
        }
    })?;
    let interval = interval.unwrap_or(INTERVAL);
    let timeout = object.nullable("timeout", |at| {
        let timeout = duration::positive(at)?;
        if timeout > interval {
            return Err(at.unexpected("a duration that is not longer than `interval`"));
        }
        Ok(timeout)
    })?;
    Ok(HealthCheck {
        probe: probe(&object)?,
        port: object.nullable("port", |at| port(at).map(|port| port.get()))?,
        interval,
        timeout: timeout.unwrap_or(TIMEOUT.min(interval)),
        unhealthy_threshold: threshold(&object, "unhealthyThreshold")?.unwrap_or(UNHEALTHY),
        healthy_threshold: threshold(&object, "healthyThreshold")?.unwrap_or(HEALTHY),
    })
}

fn threshold(object: &Object<'_>, name: &'static str) -> Result<Option<u32>, Error> {
    let expected = "a whole number from 1 to 100";
    object.nullable(name, |at| number::within(at, THRESHOLDS, expected))
}

fn probe(object: &Object<'_>) -> Result<Probe, Error> {
    let protocols = [
        ("http", Protocol::Http),
        ("grpc", Protocol::Grpc),
        ("tcp", Protocol::Tcp),
    ];
    let protocol = object.nullable("protocol", |at| word(at, &protocols))?;
    let protocol = protocol.unwrap_or_default();
    let own: &[&str] = match protocol {
        Protocol::Http => &["expectedStatuses", "host", "path"],
        Protocol::Grpc => &["service"],
        Protocol::Tcp => &[],
    };
    for name in OF_PROTOCOL {
        if !own.contains(name) && field::is_there(object, name)? {
            return field::refuse(object, name, "none with this protocol");
        }
    }
    Ok(match protocol {
        Protocol::Http => Probe::Http {
            path: object
                .nullable("path", path)?
                .unwrap_or_else(|| "/".to_owned()),
            host: object.nullable("host", authority)?,
            expected: statuses(object)?,
        },
        Protocol::Grpc => Probe::Grpc {
            service: object.nullable("service", service)?.unwrap_or_default(),
        },
        Protocol::Tcp => Probe::Tcp,
    })
}

/// A path that can be asked for: it begins with a slash, and a fragment never leaves a client.
fn path(at: &Cursor<'_>) -> Result<String, Error> {
    let path = rewritten_path(at)?;
    if path.starts_with('/')
        && path.parse::<http::uri::PathAndQuery>().is_ok()
        && !path.contains('#')
    {
        Ok(path)
    } else {
        Err(at.unexpected("a path that begins with /, such as /healthz"))
    }
}

/// What `grpc.health.v1` calls a service; it need not be one of protobuf's names.
fn service(at: &Cursor<'_>) -> Result<String, Error> {
    let expected = "the name of a service such as helloworld.Greeter";
    checked(at, expected, |text| {
        text.len() <= MAX_SERVICE_BYTES && !text.chars().any(char::is_control)
    })
    .map(str::to_owned)
}

/// `expectedStatuses`, in order and without overlaps.
fn statuses(object: &Object<'_>) -> Result<Vec<StatusRange>, Error> {
    let expected = "a list of status codes and ranges of them";
    let mut ranges = field::list_up_to(object, "expectedStatuses", expected, MAX_STATUSES, range)?;
    if ranges.is_empty() {
        ranges.push(StatusRange {
            first: 200,
            last: 200,
        });
    }
    ranges.sort_unstable();
    let mut merged: Vec<StatusRange> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(before) if range.first <= before.last.saturating_add(1) => {
                before.last = before.last.max(range.last);
            }
            Some(_) | None => merged.push(range),
        }
    }
    Ok(merged)
}

fn range(at: &Cursor<'_>) -> Result<StatusRange, Error> {
    let text = at.text(STATUSES)?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let code = |text| parse_number(text).filter(|code| (100..=599).contains(code));
    match (code(first), code(last)) {
        (Some(first), Some(last)) if first <= last => Ok(StatusRange { first, last }),
        _ => Err(at.unexpected(STATUSES)),
    }
}
