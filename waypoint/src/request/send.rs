//! How a request is to be sent.
//!
//! In: a request as the endpoint is to get it, and its rule. Out: the [`Plan`] of its exchange, with copies under way. Never:
//! waits.

use std::sync::Arc;

use http::{Request, Version};
use mesh::route::Retry;

use crate::{
    body::Body,
    filter::grpc_timeout,
    request::{
        aim::Choice, apply, arrive::Upgrade, call::Call, exchange::Plan, reply::Reply,
        route::Ruled, rules::Rules, switch, upload::Upload,
    },
    upstream::Cluster,
};

/// Where a request goes, and what its rule says of that.
#[derive(Clone, Copy, Debug)]
pub struct To<'a> {
    /// The backend.
    pub cluster: &'a Arc<Cluster>,
    /// The rule; `None`: there are none.
    pub ruled: Option<&'a Ruled>,
    /// The rule's backend.
    pub choice: Option<Choice<'a>>,
}

/// Plans the exchange of a request that was let in. `hash` decides about the endpoint.
///
/// # Errors
/// The answer to who wants a WebSocket of a backend of HTTP/2.
pub fn plan<'a>(
    call: &mut Call,
    rules: &'a Rules,
    to: To<'a>,
    upgrade: Option<&Upgrade>,
    request: Request<Body>,
    hash: Option<u64>,
) -> Result<Plan<'a>, Reply> {
    let is_intact = upgrade.is_none() && !call.is_head_changed;
    let rule = to.ruled.map(|ruled| &ruled.rule);
    let retry = rule
        .and_then(|rule| rule.retry.as_ref())
        .or(rules.settings.default_retry.as_ref())
        .filter(|retry| retry.attempts > 0);
    let (mut head, body) = request.into_parts();
    if let Some(upgrade) = upgrade {
        if to.cluster.version(Version::HTTP_11) == Version::HTTP_2 {
            return Err(Reply::no_tunnel());
        }
        switch::ask(upgrade, &mut head, &mut call.random);
    }
    // Nobody would answer to what a copy of a WebSocket says.
    let (shadows, taps) = match upgrade {
        None => apply::mirrors(call, to.ruled, to.choice, &body),
        Some(_) => Default::default(),
    };
    for shadow in shadows {
        // Without it there is no copy.
        if let Some(basis) = call.account.basis() {
            shadow.send(basis, call.client, &head, is_intact);
        }
    }
    // Where it is not known, none is current.
    let seen = call.account.seen().unwrap_or(u64::MAX);
    let upload = Upload::new(body, retry.is_some(), call.account.is_grpc(), taps)
        .guarded(&call.session, seen);
    call.account.uploads(upload.clone());
    let of_rule = rule.and_then(|rule| rule.timeout);
    let of_client = if call.account.is_grpc() {
        grpc_timeout::of(&head.headers)
    } else {
        None
    };
    let timeout = [of_rule, of_client].into_iter().flatten().min();
    Ok(Plan {
        cluster: to.cluster,
        head,
        is_intact,
        upload,
        retry,
        timeout,
        try_timeout: try_timeout(to.choice, retry),
        hash,
    })
}

/// Whether a rule changes anything of a head.
pub(super) fn changes(ruled: &Ruled, choice: Option<Choice<'_>>) -> bool {
    let of_rule = &ruled.compiled.headers.request;
    let of_backend = choice.map(|choice| &choice.compiled.headers.request);
    !of_rule.is_empty()
        || of_backend.is_some_and(|edits| !edits.is_empty())
        || ruled.rule.rewrite.is_some()
        || choice.is_some_and(|choice| choice.backend.rewrite.is_some())
}

/// The shorter of what the backend and the retries say of one try.
fn try_timeout(choice: Option<Choice<'_>>, retry: Option<&Retry>) -> Option<std::time::Duration> {
    let of_backend = choice.and_then(|choice| choice.backend.timeout);
    let of_retry = retry.and_then(|retry| retry.per_try_timeout);
    [of_backend, of_retry].into_iter().flatten().min()
}
