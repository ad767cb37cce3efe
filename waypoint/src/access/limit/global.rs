//! Limits that a service counts for all replicas.
//!
//! In: what tells a request apart, by limits. Out: nothing, or an answer; headers that the service adds. Never: asks one service
//! twice about one request and one domain; lets a request pass whose limit is closed while nobody answers.
//!
//! Source: Envoy, `envoy.service.ratelimit.v3`; flags, details and headers are those of its filter.

use std::sync::Arc;

use grpc::service::rate_limit::rate_limit_service_client::RateLimitServiceClient;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use mesh::access::{
    RateLimit,
    limit::{GlobalLimit, LimitKey},
};
use telemetry::http::ResponseFlag;
use wire::proto::rate_limit::{
    HeaderValue as Said, RateLimitDescriptor, RateLimitRequest, RateLimitResponse,
    rate_limit_descriptor::Entry, rate_limit_response::Code,
};

use super::{Counted, is_enforced, over, values::Value};
use crate::{
    access::{
        ask::{AskError, Grpc},
        names::is_removable,
    },
    body::Body,
    request::{
        call::{Call, Place, ResponseHeader},
        reply::Reply,
    },
    session::Session,
};

/// For the access log. Source: Envoy, the rate limit filter.
const OVER: &str = "request_rate_limited";
const ERROR: &str = "rate_limiter_error";
/// Tells proxies before us that it was a limit. Source: Envoy.
const X_ENVOY_RATELIMITED: HeaderName = HeaderName::from_static("x-envoy-ratelimited");
/// Of an answer. Reason: some headers and a status for each descriptor; a server that sends more is none.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Headers that an answer may add. Reason: as many as a head of a reasonable size has.
const MAX_HEADERS: usize = 64;

/// What is to be asked about one request.
#[derive(Debug, Default)]
pub(super) struct Questions<'a>(Vec<Question<'a>>);

#[derive(Debug)]
struct Question<'a> {
    whom: &'a GlobalLimit,
    /// **Shape:** one for each of `descriptors`.
    limits: Vec<(&'a RateLimit, Arc<Counted>)>,
    descriptors: Vec<RateLimitDescriptor>,
}

impl<'a> Questions<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a limit to the question for its service, or makes one.
    pub(super) fn add(
        &mut self,
        whom: &'a GlobalLimit,
        limit: &'a RateLimit,
        counted: Arc<Counted>,
        values: Vec<Value<'_>>,
    ) {
        let descriptor = descriptor(limit, values);
        match self.0.iter_mut().find(|it| it.whom == whom) {
            Some(question) => {
                question.limits.push((limit, counted));
                question.descriptors.push(descriptor);
            }
            None => self.0.push(Question {
                whom,
                limits: vec![(limit, counted)],
                descriptors: vec![descriptor],
            }),
        }
    }
}

fn descriptor(limit: &RateLimit, values: Vec<Value<'_>>) -> RateLimitDescriptor {
    let entry = |(key, value): (&LimitKey, Value<'_>)| Entry {
        key: key.name.to_string(),
        value: value.into_owned(),
    };
    let mut entries: Vec<_> = limit.keys.iter().zip(values).map(entry).collect();
    if entries.is_empty() {
        // A descriptor without entries is none. Source: Envoy's `generic_key`.
        entries.push(Entry {
            key: "generic_key".to_owned(),
            value: limit.name.to_string(),
        });
    }
    RateLimitDescriptor { entries }
}

/// Asks all questions, one after the other, until one of them refuses.
///
/// # Errors
/// What is answered in the place of the request's backend.
pub(super) async fn ask(
    call: &mut Call,
    questions: Questions<'_>,
    request: &mut Request<Body>,
) -> Result<(), Reply> {
    let session = Arc::clone(&call.session);
    for question in questions.0 {
        let Question {
            whom,
            limits,
            descriptors,
        } = question;
        match answer(&session, whom, descriptors).await {
            Ok(answer) => {
                let back = limits.iter().any(|(_, counted)| counted.comes_back());
                if back {
                    tracing::info!(domain = %whom.domain, service = %whom.backend.service, "rate limit service answers again");
                }
                judge(call, &limits, answer, request)?;
            }
            Err(error) => unanswered(whom, &limits, &error)?,
        }
    }
    Ok(())
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("gRPC status {}: {}", .0.code() as i32, .0.message())]
    Status(#[source] Box<tonic::Status>),
    #[error("the answer says neither OK nor OVER_LIMIT")]
    Unclear,
}

async fn answer(
    session: &Session,
    whom: &GlobalLimit,
    descriptors: Vec<RateLimitDescriptor>,
) -> Result<RateLimitResponse, Unanswered> {
    let grpc = Grpc::new(&session.proxy, &session.worker, &whom.backend, whom.timeout)?;
    let question = RateLimitRequest {
        domain: whom.domain.to_string(),
        descriptors,
        hits_addend: 0,
    };
    let answer = RateLimitServiceClient::new(grpc)
        .max_decoding_message_size(MAX_ANSWER_BYTES)
        .should_rate_limit(question)
        .await
        .map_err(|status| Unanswered::Status(Box::new(status)))?
        .into_inner();
    match answer.overall_code() {
        Code::Ok | Code::OverLimit => Ok(answer),
        Code::Unknown => Err(Unanswered::Unclear),
    }
}

/// What happens while nobody answers.
fn unanswered(
    whom: &GlobalLimit,
    limits: &[(&RateLimit, Arc<Counted>)],
    error: &Unanswered,
) -> Result<(), Reply> {
    let mut is_new = false;
    for (_, counted) in limits {
        is_new |= counted.goes_down();
        counted.count(|counts| &counts.error);
        if !whom.fail_closed {
            counted.count(|counts| &counts.failure_mode_allowed);
        }
    }
    let (domain, service) = (&whom.domain, &whom.backend.service);
    if is_new {
        let closed = whom.fail_closed;
        tracing::warn!(%domain, %service, closed, error = error as &dyn std::error::Error, "rate limit service does not answer");
    } else {
        tracing::debug!(%domain, %service, error = error as &dyn std::error::Error, "rate limit service does not answer");
    }
    if !whom.fail_closed {
        return Ok(());
    }
    Err(Reply::new(StatusCode::INTERNAL_SERVER_ERROR, ERROR.into())
        .flagged(ResponseFlag::RateLimitServiceError))
}

/// What an answer comes to.
fn judge(
    call: &mut Call,
    limits: &[(&RateLimit, Arc<Counted>)],
    answer: RateLimitResponse,
    request: &mut Request<Body>,
) -> Result<(), Reply> {
    let is_over = |index: usize| {
        let status = answer.statuses.get(index);
        status.is_some_and(|status| status.code() == Code::OverLimit)
    };
    let any_over = answer.overall_code() == Code::OverLimit;
    // A service may leave out which of them it is.
    let is_said = (0..limits.len()).any(is_over);
    let mut refused = None;
    for (index, (limit, counted)) in limits.iter().enumerate() {
        let is_over = any_over && (!is_said || is_over(index));
        counted.count(|counts| if is_over { &counts.limited } else { &counts.ok });
        if is_over && refused.is_none() && is_enforced(limit, counted, &mut call.random) {
            refused = Some(*limit);
        }
    }
    let Some(limit) = refused else {
        for (name, value) in headers(&answer.request_headers_to_add) {
            request.headers_mut().append(name, value);
            call.is_head_changed = true;
        }
        let for_client = headers(&answer.response_headers_to_add);
        let for_client = for_client.map(|(name, value)| ResponseHeader {
            name,
            value,
            place: Place::Beside,
        });
        call.response_headers.extend(for_client);
        return Ok(());
    };
    let mut reply = over(limit, OVER.into());
    for (name, value) in headers(&answer.response_headers_to_add) {
        reply = reply.with_header(name, value);
    }
    let yes = HeaderValue::from_static("true");
    Err(reply
        .with_header(X_ENVOY_RATELIMITED, yes)
        .with_body(answer.raw_body))
}

/// Headers that a service adds. Those that say where a message ends, or whom it is for, are not its to say.
fn headers(said: &[Said]) -> impl Iterator<Item = (HeaderName, HeaderValue)> + '_ {
    said.iter().take(MAX_HEADERS).filter_map(|header| {
        let name = HeaderName::from_bytes(header.key.as_bytes()).ok()?;
        let value = match header.value.as_bytes() {
            [] => &header.raw_value,
            value => value,
        };
        let value = HeaderValue::from_bytes(value).ok()?;
        is_removable(&name).then_some((name, value))
    })
}

#[cfg(test)]
mod tests;
