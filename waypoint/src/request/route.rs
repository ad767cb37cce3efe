//! Which rule a request meets.
//!
//! In: the routes of the port that was called, and a head. Out: the rule, ready to be applied. Never: chooses an endpoint.

use std::sync::{Arc, LazyLock};

use decision::route::{Head, Request as Facts};
use http::Request;
use mesh::{
    Name,
    route::{Claims, HttpRule, PathMatch},
};

use crate::{
    body::Body,
    request::{
        call::Call,
        compiled::{self, Compiled},
        head::Named,
        reply::Reply,
        rules::Rules,
    },
};

/// What the access log calls the way to a service that has no routes. Source: Istio.
static DEFAULT_NAME: LazyLock<Name> = LazyLock::new(|| Name::from("default"));

/// The rule that a request meets.
#[derive(Clone, Debug)]
pub struct Ruled {
    /// The rule.
    pub rule: Arc<HttpRule>,
    /// The same, ready.
    pub compiled: Arc<Compiled>,
    /// The condition on the path that held, of which a rewrite may replace what it matched.
    pub matched: Option<PathMatch>,
}

/// Finds the rule. `None`: there are no rules, and the request goes to what was asked for.
///
/// # Errors
/// The answer to a request that no rule matches.
pub fn route(
    call: &mut Call,
    rules: &Rules,
    request: &Request<Body>,
) -> Result<Option<Ruled>, Reply> {
    let session = &call.session;
    let Some(rules) = rules.http_for(&session.identity().namespace) else {
        call.account.routed(DEFAULT_NAME.clone());
        return Ok(None);
    };
    let account = &call.account;
    let facts = Facts::new(
        facts(
            request,
            account.named(),
            account.scheme(),
            session.target.port(),
        ),
        request.headers(),
    )
    .with_claims(call.token.as_ref().map(|token| token as &dyn Claims));
    let Some(found) = decision::route::pick(rules, &facts) else {
        return Err(Reply::no_route());
    };
    call.account.routed(found.rule.name.clone());
    Ok(Some(Ruled {
        rule: Arc::clone(found.rule),
        compiled: compiled::rule(found.rule),
        matched: found.path.cloned(),
    }))
}

/// A head, as rules see it.
#[must_use]
pub fn facts<'a>(
    request: &'a Request<Body>,
    named: &'a Named,
    scheme: &'a str,
    port: u16,
) -> Head<'a> {
    Head {
        method: request.method().as_str(),
        scheme,
        authority: named.as_str(),
        path: request.uri().path(),
        query: request.uri().query(),
        port,
    }
}
