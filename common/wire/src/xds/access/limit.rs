//! `ambit.waypoint.v1.RateLimit`: how often.

use std::time::Duration;

use mesh::access::limit::{GlobalLimit, LimitKey, LimitKind, LimitValue, RateLimit, TokenBucket};

use super::{header, header_text, text, time_or, way};
use crate::{
    proto::waypoint as proto,
    xds::{
        error::{Fault, each},
        field,
        names::Names,
        route::{self, scalar},
    },
};

/// What a refused request is answered with. Source: RFC 6585 §4.
const DEFAULT_STATUS: u32 = 429;
/// For the answer of the one who counts for all. Source: Envoy, `RateLimit.timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(20);
/// The shortest time between two fills. Source: Envoy, local rate limit.
const MIN_INTERVAL: Duration = Duration::from_millis(50);
/// All of a whole, in parts per million.
const WHOLE_PPM: u32 = 1_000_000;

pub(super) fn limit(read: &proto::RateLimit, names: &mut Names) -> Result<RateLimit, Fault> {
    use proto::rate_limit::Kind;
    let kind = match &read.kind {
        Some(Kind::Local(read)) => bucket(read)
            .map(LimitKind::Local)
            .map_err(|fault| fault.within("local"))?,
        Some(Kind::Global(read)) => global(read, names)
            .map(LimitKind::Global)
            .map_err(|fault| fault.within("global"))?,
        None => return Err(Fault::missing("", "local or global")),
    };
    let status = match read.status {
        0 => DEFAULT_STATUS,
        given => given,
    };
    Ok(RateLimit {
        name: field::name("name", &read.name)?.into(),
        matches: each("matches", &read.matches, route::http_match)?,
        routes: each("routes", &read.routes, |name| {
            Ok(field::name("", name)?.into())
        })?,
        keys: each("keys", &read.keys, limit_key)?,
        kind,
        status: scalar::status("status", status)?,
        response_headers: each("response_headers", &read.response_headers, header_text)?,
        enabled_ppm: share("enabled_ppm", read.enabled_ppm)?,
        enforced_ppm: share("enforced_ppm", read.enforced_ppm)?,
        resource_exhausted: read.resource_exhausted,
    })
}

fn share(field: &str, ppm: u32) -> Result<u32, Fault> {
    if ppm > WHOLE_PPM {
        let expected = "at most 1000000 parts per million";
        return Err(Fault::new(field, ppm.to_string(), expected));
    }
    Ok(ppm)
}

fn limit_key(read: &proto::LimitKey) -> Result<LimitKey, Fault> {
    use proto::limit_key::Value;
    let told = |field, is_told: bool, value| {
        if is_told {
            Ok(value)
        } else {
            Err(Fault::new(field, "false", "true"))
        }
    };
    let value = match &read.value {
        Some(Value::Header(name)) => header("header", name).map(LimitValue::Header),
        Some(Value::Claim(read)) => way("claim.claim", &read.claim).map(LimitValue::Claim),
        Some(Value::Principal(it)) => told("principal", *it, LimitValue::Principal),
        Some(Value::RemoteAddress(it)) => told("remote_address", *it, LimitValue::RemoteAddress),
        Some(Value::Route(it)) => told("route", *it, LimitValue::Route),
        Some(Value::Constant(read)) => text("constant", read).map(LimitValue::Constant),
        Some(Value::Service(it)) => told("service", *it, LimitValue::Service),
        Some(Value::Path(it)) => told("path", *it, LimitValue::Path),
        Some(Value::Method(it)) => told("method", *it, LimitValue::Method),
        None => Err(Fault::missing("", "where the value comes from")),
    }?;
    Ok(LimitKey {
        name: text("name", &read.name)?,
        value,
    })
}

fn bucket(read: &proto::TokenBucket) -> Result<TokenBucket, Fault> {
    let at_least_one = |field, number: u32| {
        if number == 0 {
            return Err(Fault::new(field, "0", "at least 1"));
        }
        Ok(number)
    };
    let fill_interval = Duration::from_micros(read.fill_interval_us);
    if fill_interval < MIN_INTERVAL {
        let found = read.fill_interval_us.to_string();
        return Err(Fault::new(
            "fill_interval_us",
            found,
            "at least 50000 microseconds",
        ));
    }
    Ok(TokenBucket {
        max_tokens: at_least_one("max_tokens", read.max_tokens)?,
        tokens_per_fill: at_least_one("tokens_per_fill", read.tokens_per_fill)?,
        fill_interval,
    })
}

fn global(read: &proto::GlobalLimit, names: &mut Names) -> Result<GlobalLimit, Fault> {
    let Some(backend) = &read.backend else {
        return Err(Fault::missing("backend", "who answers"));
    };
    Ok(GlobalLimit {
        domain: text("domain", &read.domain)?,
        backend: route::backend(backend, names).map_err(|fault| fault.within("backend"))?,
        timeout: time_or(read.timeout_us, DEFAULT_TIMEOUT),
        fail_closed: read.fail_closed,
    })
}
