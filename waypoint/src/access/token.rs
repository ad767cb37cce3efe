//! Tokens of requests: found, verified, and told on.
//!
//! In: a request, and whose tokens its policies believe. Out: `call.token`, and the request as the policies want it to go on; or 401 or
//! 403 in the words of Envoy. Never: lets a token pass that no policy believes, wherever in the request a policy looks for
//! one; leaves a header of a client's where a claim is to be; makes somebody need a token (that is what DENY and ALLOW are for).
//!
//! ```text
//!   request ─▶ find ─┬─ none ─────────────────────────────────▶ on, without a token
//!                    └─ each ─▶ judge ─┬─ one is not believed ─▶ 401, 403
//!                                      └─ all are ─▶ tell ─────▶ on, with the token of the first rule that believes one
//! ```
//! Reading order: this file (the order), [`compiled`] (rules, ready), [`place`] (where tokens are, and how they are taken out), [`judge`]
//! (whose they are), [`mod@tell`] (headers for the application).
//!
//! **Against Envoy:** it passes a request if one token is believed, and looks at no others. Here all that policies look for must be:
//! an application might take the wrong one for the one that was verified.
//!
//! Source: Istio's RequestAuthentication and Envoy's `jwt_authn`, with a CORS preflight passing (AZ-06).

use std::{cell::RefCell, sync::Arc};

use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode,
    header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, WWW_AUTHENTICATE},
};
use jwt::Refusal;
use mesh::access::RequestAuthentication;

use self::{
    compiled::Compiled,
    judge::{Asked, Believed},
    place::Spot,
};
use crate::{
    body::Body,
    request::{call::Call, compiled::Cache, head, reply::Reply},
};

mod compiled;
mod judge;
mod place;
mod tell;

/// The most tokens of a request. Reason: each costs a signature; policies that look in several places find the same one there.
const MAX_TOKENS: usize = 8;
/// How much of a path a refused client is told. Source: Envoy.
const MAX_REALM_PATH: usize = 256;

thread_local! {
    static COMPILED: RefCell<Cache<RequestAuthentication, Compiled>> = RefCell::new(Cache::new());
}

/// Verifies the tokens of a request by all policies that hold: `policies` are those of the settings and those of the
/// table, in this order. Afterwards `call.token` is what the token says; `None`: there is none, which passes. Path and headers may
/// be others.
///
/// # Errors
/// 401 or 403, with the words of Envoy.
pub async fn verify(
    call: &mut Call,
    policies: &[&[Arc<RequestAuthentication>]],
    request: &mut Request<Body>,
) -> Result<(), Reply> {
    let compiled: Vec<Arc<Compiled>> = policies
        .iter()
        .copied()
        .flatten()
        .map(|policy| ready(call, policy))
        .collect();
    let rules: Vec<&compiled::Rule> = compiled.iter().flat_map(|one| &one.rules).collect();
    let found = if is_preflight(request) {
        // A browser sends no token with it.
        Ok(Vec::new())
    } else {
        place::find(&rules, request.uri(), request.headers())
    };
    place::clear_alike(&rules, request.headers_mut());
    // What stands there now somebody made up.
    for rule in &rules {
        tell::clear(rule, request.headers_mut());
    }
    let asked = Asked {
        proxy: &call.session.proxy,
        rules: &rules,
        wall: net::clock::wall(),
        now: net::clock::now(),
    };
    let judged = match found {
        Ok(found) => judge::all(asked, found).await,
        Err(refusal) => Err(refusal),
    };
    let session = Arc::clone(&call.session);
    let counts = session.proxy.telemetry.http().tokens();
    match judged {
        Ok(believed) => {
            if believed.is_empty() {
                counts.absent.increment();
            } else {
                counts.allowed.increment();
            }
            call.token = tell(&rules, believed, request);
            Ok(())
        }
        Err(refusal) => {
            counts.denied.increment();
            Err(refuse(call, request, refusal))
        }
    }
}

fn ready(call: &Call, policy: &Arc<RequestAuthentication>) -> Arc<Compiled> {
    let keys = &call.session.proxy.access.keys;
    COMPILED.with_borrow_mut(|cache| {
        cache.of(policy, |policy| {
            Compiled::new(policy, keys, net::clock::now())
        })
    })
}

/// Source: Envoy `bypass_cors_preflight`, which Istio sets.
fn is_preflight(request: &Request<Body>) -> bool {
    let headers = request.headers();
    let says = |name| {
        let value: Option<&HeaderValue> = headers.get(name);
        value.is_some_and(|value| !value.is_empty())
    };
    request.method() == Method::OPTIONS && says(ORIGIN) && says(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Takes tokens out where their rule wants it, and adds what the rule of the first one tells. Returns that token.
fn tell(
    rules: &[&compiled::Rule],
    believed: Vec<(Spot<'_>, Believed)>,
    request: &mut Request<Body>,
) -> Option<jwt::Verified> {
    for (spot, by) in &believed {
        if !rules.get(by.rule).is_some_and(|rule| rule.forward) {
            place::take_out(*spot, request);
        }
    }
    // The first of the rules; of its tokens the first.
    let (_, first) = believed.into_iter().min_by_key(|(_, by)| by.rule)?;
    if let Some(rule) = rules.get(first.rule) {
        tell::add(rule, &first.token, request.headers_mut());
    }
    Some(first.token)
}

/// Source: Envoy's `jwt_authn`: texts, details and the challenge are its own, but that a query, which may hold a token, is not told.
fn refuse(call: &Call, request: &Request<Body>, refusal: Refusal) -> Reply {
    let status = if refusal.is_forbidden() {
        StatusCode::FORBIDDEN
    } else {
        StatusCode::UNAUTHORIZED
    };
    let words = refusal.to_string();
    let details = format!("jwt_authn_access_denied{{{}}}", words.replace(' ', "_"));
    let reply = Reply::new(status, details.into()).with_body(words);
    let named = call.account.named();
    match challenge(
        named.as_str(),
        request.headers(),
        request.uri().path(),
        refusal,
    ) {
        Some(challenge) => reply.with_header(WWW_AUTHENTICATE, challenge),
        None => reply,
    }
}

/// Source: RFC 6750 §3.
fn challenge(
    authority: &str,
    headers: &HeaderMap,
    path: &str,
    refusal: Refusal,
) -> Option<HeaderValue> {
    let scheme = head::scheme(headers);
    let path: String = path.chars().take(MAX_REALM_PATH).collect();
    let mut realm = String::new();
    for letter in format!("{scheme}://{authority}{path}").chars() {
        if matches!(letter, '"' | '\\') {
            realm.push('\\');
        }
        realm.push(letter);
    }
    let error = if refusal == Refusal::Missing {
        ""
    } else {
        ", error=\"invalid_token\""
    };
    HeaderValue::try_from(format!("Bearer realm=\"{realm}\"{error}")).ok()
}

#[cfg(test)]
mod tests;
