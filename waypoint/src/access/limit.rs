//! How often requests may come: the last stage of those that decide whether a request is let in.
//!
//! In: the limits of the waypoint and of the port that was called, the rule that the request meets. Out: nothing, or an answer.
//! Never: asks anybody before all that is counted here has tokens; counts a request that lacks what a limit tells requests apart
//! by; waits where a limit is local.
//!
//! Reading order: this file (the order), [`values`] (what tells requests apart), [`counted`] (what is kept of one limit), [`keyed`]
//! (tokens by value), [`known`] (how they outlive a change of configuration), [`global`] (the limits that a service counts),
//! [`metrics`].
//!
//! Tokens are per replica of the waypoint: one bucket for all of its workers, none shared with another replica. A limit of
//! a service has tokens for the service, whichever of its ports is called; one of the waypoint has them for all that it serves.
//!
//! **Cost:** a target without limits costs two looks at empty lists. A local limit without keys costs one look-up without a
//! lock and one atomic exchange; with keys a hash and a lock of one in [`keyed::SHARDS`].
//!
//! Source: Envoy, `envoy.filters.http.local_ratelimit` and `envoy.filters.http.ratelimit`: flags, details, texts and headers.

use std::sync::Arc;

use decision::route::Request as Facts;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use mesh::{
    access::{
        RateLimit,
        limit::{LimitKind, TokenBucket},
    },
    route::Claims,
};
use telemetry::http::{Details, GrpcStatus, ResponseFlag};

use crate::{
    body::Body,
    request::{
        call::Call,
        reply::Reply,
        route::{self, Ruled},
        rules::Rules,
    },
};

mod counted;
mod global;
mod keyed;
mod known;
pub mod metrics;
mod values;

pub use counted::Counts;
pub use known::Limits;

use counted::Counted;
use global::Questions;

/// What a client is told whose tokens are used up here, and the access log. Source: Envoy, the local rate limit filter.
const LOCAL: &str = "local_rate_limited";
/// What the access log calls the way to a service that has no routes. Source: Istio.
const DEFAULT_ROUTE: &str = "default";
/// Parts of a share.
const MILLION: u32 = 1_000_000;

/// Counts a request by all limits that hold for it: those of the settings, then those of the table; those that are counted here
/// before those that somebody is asked for. What a rate limit service says beside its answer is in the request and in
/// `call.response_headers` afterwards.
///
/// # Errors
/// 429, or what the limit says, where it is one too many. 500 where nobody can say, and the limit is closed then.
pub async fn limit(
    call: &mut Call,
    rules: &Rules,
    ruled: Option<&Ruled>,
    request: &mut Request<Body>,
) -> Result<(), Reply> {
    let table = rules.table.as_deref();
    let of_table = table.map_or(&[][..], |table| &table.policies.rate_limits);
    let of_settings = &rules.settings.policies.rate_limits;
    if of_settings.is_empty() && of_table.is_empty() {
        return Ok(());
    }
    let service = table.map(|table| &table.key.service);
    let all = of_settings
        .iter()
        .map(|limit| (None, limit))
        .chain(of_table.iter().map(|limit| (service, limit)));
    let questions = here(call, all, ruled, request)?;
    if questions.is_empty() {
        return Ok(());
    }
    Box::pin(global::ask(call, questions, request)).await
}

/// Takes tokens of all limits that are counted here. Out: what is to be asked of others.
fn here<'a>(
    call: &mut Call,
    limits: impl Iterator<Item = (known::Scope<'a>, &'a Arc<RateLimit>)>,
    ruled: Option<&Ruled>,
    request: &Request<Body>,
) -> Result<Questions<'a>, Reply> {
    let mut questions = Questions::default();
    let session = Arc::clone(&call.session);
    let known = &session.proxy.access.limits;
    let account = &call.account;
    let port = session.target.port();
    let head = route::facts(request, account.named(), account.scheme(), port);
    let claims = call.token.as_ref().map(|token| token as &dyn Claims);
    let facts = Facts::new(head, request.headers()).with_claims(claims);
    let mut refused = Ok(());
    for (scope, limit) in limits {
        let seen = values::Seen {
            session: &session,
            client: call.client,
            token: call.token.as_ref(),
            route: ruled.map_or(DEFAULT_ROUTE, |ruled| &ruled.rule.name),
            request,
        };
        if !seen.is_meant(limit, &facts) {
            continue;
        }
        let Some(values) = seen.values(&limit.keys) else {
            continue;
        };
        if !falls_into(limit.enabled_ppm, &mut call.random) {
            continue;
        }
        let counted = known.of(scope, limit);
        match &limit.kind {
            LimitKind::Global(global) => questions.add(global, limit, counted, values),
            LimitKind::Local(bucket) => {
                let now = known.now();
                if !take(&counted, bucket, &values, now)
                    && is_enforced(limit, &counted, &mut call.random)
                {
                    refused = Err(over(limit, LOCAL.into()).saying(LOCAL));
                    break;
                }
            }
        }
    }
    refused.map(|()| questions)
}

/// Takes a token, and counts that.
fn take(
    counted: &Counted,
    bucket: &TokenBucket,
    values: &[values::Value<'_>],
    now: std::time::Duration,
) -> bool {
    let took = counted.take(bucket, values, now);
    counted.count(|counts| if took { &counts.ok } else { &counts.limited });
    took
}

/// Whether a request over a limit is refused, rather than only counted.
fn is_enforced(limit: &RateLimit, counted: &Counted, random: &mut fastrand::Rng) -> bool {
    let enforced = falls_into(limit.enforced_ppm, random);
    if enforced {
        counted.count(|counts| &counts.enforced);
    }
    enforced
}

/// Whether a request falls into a share.
fn falls_into(share_ppm: u32, random: &mut fastrand::Rng) -> bool {
    share_ppm >= MILLION || random.u32(..MILLION) < share_ppm
}

/// The answer to a request over a limit.
fn over(limit: &RateLimit, details: Details) -> Reply {
    let status = StatusCode::from_u16(limit.status).unwrap_or(StatusCode::TOO_MANY_REQUESTS);
    let mut reply = Reply::new(status, details).flagged(ResponseFlag::RateLimited);
    if limit.resource_exhausted {
        reply = reply.with_grpc(GrpcStatus::RESOURCE_EXHAUSTED);
    }
    for (name, value) in &limit.response_headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            reply = reply.with_header(name, value);
        }
    }
    reply
}

#[cfg(test)]
mod tests;
