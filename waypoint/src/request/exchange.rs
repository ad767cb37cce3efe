//! A request and the endpoints that it is sent to, one after the other, until one answers.
//!
//! In: a head, a body that may be sent twice, what the rule says of time and retries. Out: the head of an answer whose
//! body streams. Never: sends a request again once its answer goes to the client, once more of its body went by than is
//! kept, or for a client that has gone.
//!
//! ```text
//!            ┌──────────────── wait ◀── yes ──┐
//!            ▼                                │
//!   pick ─▶ send ─▶ answer or failure ─▶ again? ── no ──▶ to the client
//!            │
//!            └── time is over: of this try ─▶ again?   of the request ─▶ 504
//! ```
//! Source: Envoy's router; RS-01 to RS-03.

use std::{sync::Arc, time::Duration};

use decision::retry::{self, Failure, Outcome};
use http::{HeaderName, Response, request};
use mesh::route::Retry;
use telemetry::http::{GrpcStatus, ResponseFlag};

use crate::{
    access::grant::Admitted,
    body::{Body, BodyError},
    filter::envoy::{X_ENVOY_ATTEMPT_COUNT, attempt_count},
    http1::Refusal,
    request::{
        account::{Account, GRPC_STATUS},
        call::Call,
        deadline::{Deadline, passed},
        reply::Reply,
        upload::Upload,
    },
    session::Session,
    upstream::{Ask, Cluster, Host, Pick, RequestPermit, RetryPermit, SendError, Sent},
};

const X_ENVOY_RATELIMITED: HeaderName = HeaderName::from_static("x-envoy-ratelimited");

/// What is to be sent, and how hard to try.
#[derive(Debug)]
pub struct Plan<'p> {
    /// To whom.
    pub cluster: &'p Arc<Cluster>,
    /// The head; its extensions are not sent.
    pub head: request::Parts,
    /// Whether its headers are those that policies saw.
    pub is_intact: bool,
    /// The body.
    pub upload: Upload,
    /// When to try again; `None`: never.
    pub retry: Option<&'p Retry>,
    /// For all of it, from the end of the request to the end of the answer.
    pub timeout: Option<Duration>,
    /// For one try.
    pub try_timeout: Option<Duration>,
    /// What decides about the endpoint.
    pub hash: Option<u64>,
}

/// An endpoint's answer.
#[derive(Debug)]
pub struct Answered {
    /// Its head, and a body that streams.
    pub response: Response<Body>,
    /// When all of it must be over.
    pub deadline: Option<Deadline>,
    /// The request's place among those under way, until the answer has ended.
    pub permit: RequestPermit,
}

/// How one try ended.
enum Tried {
    Answered(Sent),
    Failed(SendError),
    /// The time of this try is over.
    Late,
    /// The time of the request is over.
    TooLate,
}

/// Sends a request until an endpoint answers, for as long as policies let it.
///
/// # Errors
/// The answer to a request that no endpoint answered.
pub async fn exchange(
    call: &mut Call,
    _admitted: &Admitted,
    plan: Plan<'_>,
) -> Result<Answered, Reply> {
    let Call {
        session,
        account,
        random,
        client,
        ..
    } = call;
    let by = session.on_behalf(*client);
    let Plan {
        cluster,
        mut head,
        is_intact,
        upload,
        retry,
        timeout,
        try_timeout,
        hash,
    } = plan;
    let permit = cluster.request().map_err(|_| Reply::overflow())?;
    let mut deadline = timeout.map(|limit| Deadline::new(limit, upload.clone()));
    tokio::select! {
        biased;
        () = cluster.warmed() => {}
        () = passed(&mut deadline) => return Err(Reply::timed_out()),
    }
    // The first attempt has nothing to repeat.
    let mut body = upload.attempt().ok_or_else(Reply::gone)?;
    let mut again: Option<RetryPermit> = None;
    let mut tried = Vec::new();
    let mut number = 0;
    loop {
        number += 1;
        let pick = pick(session, cluster, hash, retry, &tried)?;
        let host = Arc::clone(pick.host());
        account.tried(&host);
        head.headers
            .insert(X_ENVOY_ATTEMPT_COUNT, attempt_count(number));
        let mut late = try_timeout.map(|limit| Deadline::new(limit, upload.clone()));
        let mut reached = None;
        let live = is_intact.then_some(&head.headers);
        let ended = tokio::select! {
            biased;
            // First: a body that waits for it must not be taken for one that broke off.
            lost = account.lost(live, &upload) => return Err(lost.reply()),
            sent = cluster.send_noting(by, pick, &head, body, &mut reached) => match sent {
                Ok(sent) => Tried::Answered(sent),
                Err(error) => Tried::Failed(error),
            },
            () = passed(&mut deadline) => Tried::TooLate,
            () = passed(&mut late) => Tried::Late,
        };
        let is_late = matches!(ended, Tried::Late | Tried::TooLate);
        // It is no fault of an endpoint's that it was not asked: there was no connection to it yet.
        if is_late && reached.is_some() {
            cluster.timed_out(&host);
        }
        if matches!(ended, Tried::TooLate) {
            cluster.stats().upstream_rq_timeout.increment();
        }
        // The place of this try is given back: it has its answer.
        drop(again.take());
        let wanted = retry.filter(|retry| is_wanted(retry, &ended));
        let next = wanted.filter(|_| upload.is_repeatable());
        let Some((retry, place, whole)) = next.and_then(|retry| {
            let place = place(account, cluster, retry, number)?;
            // The try that failed may still be sending. It ends here, and nothing is read until the next one.
            let whole = upload.attempt()?;
            Some((retry, place, whole))
        }) else {
            if number > 1 && wanted.is_none() && matches!(ended, Tried::Answered(_)) {
                cluster.stats().upstream_rq_retry_success.increment();
            }
            upload.answered(|| account.basis());
            return settle(account, ended, &upload, number, permit, deadline);
        };
        again = Some(place);
        body = whole;
        drop(ended);
        tried.push(host);
        let wait = retry::backoff(retry, number - 1, random.u64(..));
        tokio::select! {
            biased;
            () = passed(&mut deadline) => return Err(Reply::timed_out()),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// The place of one more try after `number`, where there may be one.
fn place(
    account: &mut Account,
    cluster: &Arc<Cluster>,
    retry: &Retry,
    number: u32,
) -> Option<RetryPermit> {
    if number > retry.attempts {
        account.flag(ResponseFlag::UpstreamRetryLimitExceeded);
        return None;
    }
    match cluster.retry() {
        Ok(place) => Some(place),
        Err(_overflow) => {
            account.flag(ResponseFlag::UpstreamOverflow);
            None
        }
    }
}

fn pick(
    session: &Session,
    cluster: &Arc<Cluster>,
    hash: Option<u64>,
    retry: Option<&Retry>,
    tried: &[Arc<Host>],
) -> Result<Pick, Reply> {
    // A request that has a key stays with its endpoint.
    let others = retry.is_some_and(|retry| retry.other_hosts) && hash.is_none();
    let ask = Ask {
        hash,
        tried: if others { tried } else { &[] },
        remote_localities: retry.is_some_and(|retry| retry.remote_localities),
        original_destination: session.destination,
    };
    cluster.pick(&ask).map_err(|_| Reply::no_host())
}

fn is_wanted(retry: &Retry, ended: &Tried) -> bool {
    match ended {
        Tried::Answered(sent) => {
            let headers = sent.response.headers();
            // One look at all: an answer has few, and these two seldom. The first of several counts.
            let (mut grpc_status, mut rate_limited) = (None, false);
            for (name, value) in headers {
                rate_limited |= *name == X_ENVOY_RATELIMITED;
                if *name == GRPC_STATUS {
                    grpc_status.get_or_insert(value);
                }
            }
            let answer = retry::Answer {
                status: sent.response.status().as_u16(),
                grpc_status: grpc_status
                    .and_then(GrpcStatus::read)
                    .map(GrpcStatus::number),
                rate_limited,
                header: &|wanted| {
                    let joined = decision::route::Headers::joined(headers, &wanted.name);
                    wanted.holds(joined.as_deref())
                },
            };
            retry::is_wanted(retry, &Outcome::Answer(answer))
        }
        Tried::Failed(error) => error
            .failure()
            .is_some_and(|failure| retry::is_wanted(retry, &Outcome::Failure(failure))),
        Tried::Late => retry::is_wanted(retry, &Outcome::Failure(Failure::TimedOut)),
        Tried::TooLate => false,
    }
}

/// What the client gets, now that there is no other try.
fn settle(
    account: &mut Account,
    ended: Tried,
    upload: &Upload,
    number: u32,
    permit: RequestPermit,
    deadline: Option<Deadline>,
) -> Result<Answered, Reply> {
    match ended {
        Tried::Answered(sent) => {
            upload.release();
            account.connected(sent.local);
            Ok(Answered {
                response: sent.response,
                deadline,
                permit,
            })
        }
        Tried::Failed(error) => Err(failed(&error, number > 1)),
        Tried::Late => Err(Reply::attempt_timed_out()),
        Tried::TooLate => Err(Reply::timed_out()),
    }
}

fn failed(error: &SendError, retried: bool) -> Reply {
    match error {
        SendError::Request(broken) => match Refusal::of(broken) {
            // What came after the head was no HTTP.
            Some(refusal) => Reply::refused(refusal),
            None => match broken {
                BodyError::Downstream(_) => Reply::gone(),
                BodyError::Upstream(_) | BodyError::Filter(_) => Reply::malformed_body(),
            },
        },
        SendError::Overflow(_)
        | SendError::Connect { .. }
        | SendError::Refused { .. }
        | SendError::Reset { .. }
        | SendError::Closed { .. }
        | SendError::Protocol { .. }
        | SendError::Head(_) => Reply::failed(error, retried),
    }
}
