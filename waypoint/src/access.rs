//! Who may do what: what is asked of a request or a connection before anything is done for it.
//!
//! ```text
//!             ┌ may somebody else say no? ┐
//!   arrive ─▶ CUSTOM ──▶ tokens ──▶ DENY ──▶ ALLOW ──▶ Admitted ──▶ route ──▶ limits ──▶ …
//!                                    └── dry run, AUDIT: told, and nothing else
//! ```
//! In: what holds for a request ([`crate::request::rules`]), and the request in its one spelling; or a session. Out: a
//! [`Admitted`], without which nothing is sent, or the answer. Never: an identity from anywhere but the certificate; lets pass what
//! cannot be judged; holds a lock while it waits.
//!
//! Reading order: this file (the order); [`connection`] (the same where no request is read); [`facts`] (what policies see), [`grant`] (what is kept of it) and [`flip`] (what becomes of
//! what is open when policies change), [`told`] (metrics, and lines of the log); [`external`] (CUSTOM), [`token`] and [`keys`]
//! (JWT), [`limit`], each with [`ask`] (questions to backends); [`metadata`] (what authorizers say), [`names`] (headers that those who are asked may
//! write), [`shared`]; [`dump`] (what an operator sees of all this).
//!
//! **One request, one snapshot:** what holds is read once, when the request comes; no stage looks at the mesh again but to see that policies have changed.
//!
//! **Costs:** a target without policies: three comparisons, and nothing is kept but the number of the last change. With policies: the facts are borrowed from the request; what policies
//! look at is kept for as long as the request is open.

pub mod ask;
pub mod connection;
pub mod dump;
pub mod external;
pub mod facts;
pub mod flip;
mod form;
pub mod grant;
pub mod keys;
pub mod limit;
pub mod metadata;
mod names;
pub mod needs;
pub mod shared;
pub mod token;
pub mod told;

use std::sync::{Arc, LazyLock};

use decision::access as decide;
use http::{HeaderMap, Request};
use mesh::access::{Policies, Rulebook, external::ExternalAuthorization};

use self::{
    facts::{Asked, Head, KeptHeader, Seen},
    grant::{Admitted, Came, Kept, Terms},
};
use crate::{
    body::Body,
    request::{
        call::Call,
        head,
        reply::Reply,
        rules::{self, Rules},
    },
};

/// Policies of the settings and of the table, which count as one set.
pub(crate) type Set<'p> = [Option<&'p Policies>; 2];

/// Lets a request in, or not.
///
/// # Errors
/// 403 where a policy denies it or cannot be enforced, 503 where it is not known which hold, and what authorizers and tokens come to.
pub async fn admit(
    call: &mut Call,
    rules: &Rules,
    request: &mut Request<Body>,
) -> Result<Admitted, Reply> {
    rules::judge(rules)?;
    let kept = if asks_something(rules.policies()) {
        // Apart: it is large, and most requests do without it.
        Some(Box::pin(judge(call, rules, request)).await?)
    } else {
        None
    };
    rules::enter(call, rules)?;
    let terms = Terms::new(rules.epoch, call.client, kept);
    call.account.let_in(terms);
    Ok(Admitted(()))
}

/// Whether anybody asks who it is. How often is asked later.
fn asks_something(policies: Set<'_>) -> bool {
    let mut all = policies.iter().flatten();
    all.any(|policies| !policies.authorization.is_empty() || !policies.authentication.is_empty())
}

/// CUSTOM, tokens, DENY, ALLOW. Returns what was looked at.
async fn judge(call: &mut Call, rules: &Rules, request: &mut Request<Body>) -> Result<Kept, Reply> {
    let policies = rules.policies();
    let books = books(policies);
    let wanted = wanted(&books, &seen(call, request));
    let authentication =
        policies.map(|policies| policies.map_or(&[][..], |policies| &policies.authentication));
    let has_tokens = authentication.iter().any(|policies| !policies.is_empty());
    // Authorizers and tokens change the head. Whom to ask is a question about the one that came.
    let is_changed = has_tokens || !wanted.is_empty();
    let came = is_changed.then(|| Came {
        line: call.account.asked().owned(),
        headers: kept_headers(rules, request.headers()),
    });
    let asked = external::check(call, &wanted, rules.settings.normalization, request).await?;
    if has_tokens {
        token::verify(call, &authentication, request).await?;
    }
    if is_changed {
        let scheme = head::scheme(request.headers());
        call.account.head(request.uri(), request.headers(), scheme);
    }
    let seen = seen(call, request);
    let verdict = decide::authorize(&books, &seen);
    told::judged(&books, &seen, &verdict);
    if let Some(details) = verdict.enforced.details() {
        return Err(Reply::denied(details.into()));
    }
    let headers = kept_headers(rules, request.headers());
    let token = call.token.clone();
    Ok(Kept {
        headers,
        authentication: authentication.concat().into(),
        token,
        metadata: call.metadata.clone(),
        asked,
        came,
    })
}

/// What policies see of a request on its way.
fn seen<'a>(call: &'a Call, request: &'a Request<Body>) -> Seen<'a> {
    let asked = Asked {
        method: request.method(),
        path: call.account.path(),
        authority: call.account.named().as_str(),
        scheme: call.account.scheme(),
        head: Head::Live(request.headers()),
        token: call.token.as_ref(),
        metadata: &call.metadata,
    };
    Seen::new(&call.session, call.client, Some(asked))
}

/// The rulebooks of both; an empty one for none.
fn books(policies: Set<'_>) -> [&Rulebook; 2] {
    static NONE: LazyLock<Rulebook> = LazyLock::new(Rulebook::default);
    policies.map(|policies| policies.map_or(&*NONE, |policies| &policies.authorization))
}

/// Whom CUSTOM policies ask.
fn wanted(books: &[&Rulebook], seen: &Seen<'_>) -> Vec<Arc<ExternalAuthorization>> {
    let wanted = decide::custom(books, seen);
    wanted
        .into_iter()
        .map(|custom| Arc::clone(custom.external))
        .collect()
}

/// The headers that policies look at.
fn kept_headers(rules: &Rules, headers: &HeaderMap) -> Box<[KeptHeader]> {
    let of_settings = needs::of_settings(&rules.settings);
    let of_table = rules.table.as_ref().map(needs::of_table);
    let of_table = of_table.iter().flat_map(|needs| needs.headers.iter());
    let mut kept: Vec<KeptHeader> = Vec::new();
    for name in of_settings.headers.iter().chain(of_table) {
        if kept.iter().any(|(found, _)| found == name) {
            continue;
        }
        kept.push((name.clone(), facts::joined_value(headers, name)));
    }
    kept.into()
}

#[cfg(test)]
pub(crate) mod testkit;
