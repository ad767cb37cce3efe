//! Filters as the stages of a request apply them.
//!
//! In: a request and its rule. Out: the request, changed; an answer in its place; what the response is to say. Never: does
//! what a filter does; see [`crate::filter`].

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, Request, Response};
use telemetry::http::{Details, ResponseFlag};

use crate::{
    body::Body,
    filter::{
        affinity::{self, Affinity},
        cors, fault, grpc_web,
        mirror::{self, Shadow, Tap},
    },
    request::{
        aim::Choice,
        call::Call,
        head::Named,
        reply::{self, Reply},
        route::Ruled,
        rules::Rules,
    },
    upstream::Cluster,
};

/// Finds out whether the client speaks gRPC-Web, where the port asks for that: it is answered so, whatever becomes of it.
pub fn recognize(call: &mut Call, rules: &Rules, headers: &HeaderMap) {
    if !rules.translates_grpc_web() {
        return;
    }
    call.web = grpc_web::wanted(headers);
    if call.web.is_some() {
        call.account.set_grpc();
    }
}

/// Makes gRPC of gRPC-Web. Not before the route is known: rules see what the client sent.
pub fn translate(call: &mut Call, request: &mut Request<Body>) {
    if let Some(web) = call.web {
        web.request(request);
        call.is_head_changed = true;
    }
}

/// Delays the request and fails it, where the rule says so.
///
/// # Errors
/// The failure on purpose.
pub async fn faults(call: &mut Call, ruled: Option<&Ruled>) -> Result<(), Reply> {
    let Some(fault) = ruled.and_then(|ruled| ruled.rule.fault.as_ref()) else {
        return Ok(());
    };
    let verdict = fault::draw(fault, &mut call.random);
    if let Some(delay) = verdict.delay {
        call.account.flag(ResponseFlag::DelayInjected);
        tokio::time::sleep(delay).await;
    }
    match verdict.abort {
        Some(status) => Err(Reply::aborted(status)),
        None => Ok(()),
    }
}

/// Answers a preflight, or notes what the response is to say to another origin.
#[must_use]
pub fn origins(
    call: &mut Call,
    ruled: Option<&Ruled>,
    request: &Request<Body>,
) -> Option<Response<Body>> {
    let cors = ruled?.rule.cors.as_ref()?;
    match cors::judge(cors, request.method(), request.headers()) {
        cors::Verdict::Pass => None,
        cors::Verdict::Allow(said) => {
            call.cors = Some(said);
            None
        }
        cors::Verdict::Answer(said) => {
            call.account.because(Details::CORS_RESPONSE);
            Some(reply::preflight(said))
        }
    }
}

/// Finds what decides about the endpoint.
#[must_use]
pub fn key(call: &mut Call, cluster: &Arc<Cluster>, request: &Request<Body>) -> Affinity {
    let policy = cluster.policy();
    let Some(hash) = &policy.load_balancer.hash else {
        return Affinity::default();
    };
    let named = Named::of(request.uri(), request.headers());
    let client: IpAddr = call.client.to_canonical();
    let parts = affinity::Parts {
        headers: request.headers(),
        authority: named.as_str(),
        query: request.uri().query(),
        client,
    };
    affinity::of(&hash.key, &parts, &mut call.random)
}

/// Draws who gets a copy.
#[must_use]
pub fn mirrors(
    call: &mut Call,
    ruled: Option<&Ruled>,
    choice: Option<Choice<'_>>,
    body: &Body,
) -> (Vec<Shadow>, Vec<Tap>) {
    let of_rule = ruled.map(|ruled| &*ruled.rule.mirrors).unwrap_or_default();
    let of_backend = choice
        .map(|choice| &*choice.backend.mirrors)
        .unwrap_or_default();
    let all = of_backend.iter().chain(of_rule);
    mirror::draw(&call.session, all, body, &mut call.random)
}
