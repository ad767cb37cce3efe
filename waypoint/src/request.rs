//! One request, from its head to the end of its answer: which stage comes after which.
//!
//! In: a request of a [`Session`], and what the connection's guard says of it. Out: the response, whose body streams.
//! Never: leaves a stage out; sends a request of which a stage says no; answers without telling.
//!
//! ```text
//!   engine ─▶ arrive ─▶ admit ─▶ route ─▶ limit ─▶ gRPC-Web ─▶ faults ─▶ CORS ─▶ aim ─▶ edit ─▶ exchange ─▶ endpoint
//!                │        │        │        │                   │         │      │      │         │
//!                └────────┴────────┴────────┴── an answer of our own or of the rule ────┴─────────┤
//!                                                                                                 ▼
//!   engine ◀── download ◀── gRPC-Web ◀── server ◀── CORS ◀── authorizers ◀── headers of the rule ◀── answer
//!                 └─▶ account: metrics and one line of the access log
//! ```
//! Reading order: this file; [`rules`], [`arrive`], [`crate::access`] (who may do what, and how often), [`route`], [`aim`], [`edit`], [`send`], [`exchange`], [`answer`] (a
//! stage each); [`apply`] (filters as stages, see [`crate::filter`]); [`call`] (what stages hand on), [`account`] (what is
//! told), [`reply`] (what a stage says that finds something wrong).

use std::sync::Arc;

use http::{Method, Request, Response};

use crate::{
    access::{self, limit},
    body::Body,
    filter::envoy,
    http1::Refusal,
    session::Session,
};

pub mod account;
pub mod aim;
pub mod answer;
pub mod apply;
pub mod arrive;
pub mod call;
pub mod client;
pub mod compiled;
pub mod deadline;
pub mod download;
pub mod edit;
pub mod exchange;
pub mod head;
pub mod messages;
pub mod reply;
pub mod route;
pub mod rules;
pub mod send;
pub mod switch;
pub mod upload;

use aim::Aim;
use answer::Answer;
use call::Call;
use download::Download;
use reply::Reply;
use send::To;

/// Serves one request of a session. `refusal` is what the connection's guard found wrong with it. Dropping the future, or
/// the body of the response before its end, means that the client has gone.
pub async fn serve(
    session: &Arc<Session>,
    request: Request<Body>,
    refusal: Option<Refusal>,
) -> Response<Body> {
    let (version, is_head) = (request.version(), request.method() == Method::HEAD);
    let mut call = Call::open(session, &request);
    let answer = match stages(&mut call, request, refusal).await {
        Ok(answer) => answer,
        Err(reply) => answer::of_ourselves(&mut call, &reply, is_head),
    };
    close(call, answer, version)
}

/// The stages, in their order. Who asks, and for which service, stands in the session.
async fn stages(
    call: &mut Call,
    mut request: Request<Body>,
    refusal: Option<Refusal>,
) -> Result<Answer, Reply> {
    let rules = rules::rules(call)?;
    apply::recognize(call, &rules, request.headers());
    let upgrade = arrive::arrive(call, &rules, &mut request, refusal)?;
    let admitted = access::admit(call, &rules, &mut request).await?;
    let ruled = route::route(call, &rules, &request)?;
    let ruled = ruled.as_ref();
    limit::limit(call, &rules, ruled, &mut request).await?;
    apply::translate(call, &mut request);
    apply::faults(call, ruled).await?;
    if let Some(preflight) = apply::origins(call, ruled, &request) {
        return Ok(preflight.into());
    }
    let (cluster, choice) = match aim::aim(call, ruled, &request)? {
        Aim::Send { cluster, choice } => (cluster, choice),
        Aim::Answer(response) => return Ok(answer::of_rule(call, ruled, &request, *response)),
    };
    let to = To {
        cluster: &cluster,
        ruled,
        choice,
    };
    let kept = edit::edit(call, to, &mut request)?;
    let affinity = apply::key(call, &cluster, &request);
    let plan = send::plan(call, &rules, to, upgrade.as_ref(), request, affinity.hash)?;
    let answered = exchange::exchange(call, &admitted, plan).await?;
    answer::of_endpoint(call, to, &kept, affinity.cookie, upgrade, answered)
}

/// What every response goes through.
fn close(call: Call, answer: Answer, version: http::Version) -> Response<Body> {
    let Call {
        mut account,
        web,
        cors,
        response_headers,
        ..
    } = call;
    let Answer {
        mut response,
        deadline,
        switched,
        is_watched,
    } = answer;
    for header in response_headers {
        header.add_to(response.headers_mut());
    }
    if let Some(said) = cors {
        answer::overlay(response.headers_mut(), said);
    }
    envoy::finish_response(response.headers_mut());
    if let Some(switched) = switched {
        switch::tell(version, &mut response);
        account.responds(response.status(), response.headers());
        switched.start(account);
        return response;
    }
    account.responds(response.status(), response.headers());
    let response = response.map(|body| Download::body(body, account, deadline, is_watched));
    match web {
        Some(web) => web.response(response),
        None => response,
    }
}

#[cfg(test)]
mod tests;
