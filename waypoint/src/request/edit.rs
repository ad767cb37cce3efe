//! What a rule changes in the head of a request.
//!
//! In: a head, the rule and the backend that was chosen. Out: the head as the endpoint gets it. Never: touches the body.
//!
//! Order, as Envoy's: headers of the backend, headers of the rule, authority, path.

use bytes::Bytes;
use http::{HeaderValue, Request, uri::PathAndQuery};
use mesh::route::PathRewrite;
use telemetry::http::Captured;

use crate::{
    body::Body,
    filter::{edits::Edits, envoy::X_ENVOY_ORIGINAL_PATH},
    request::{
        account::Account,
        call::Call,
        head::{self, set_authority, set_path},
        reply::Reply,
        route::Ruled,
        send::{self, To},
    },
};

/// Changes the head. Returns what edits of the response will want to know of it.
///
/// # Errors
/// The answer to a request whose path cannot be rewritten.
pub fn edit(call: &mut Call, to: To<'_>, request: &mut Request<Body>) -> Result<Captured, Reply> {
    let account = &mut *call.account;
    let keep = to.ruled.map(|ruled| &ruled.compiled.keep);
    let edited = to.ruled.filter(|ruled| send::changes(ruled, to.choice));
    if edited.is_none() && !call.is_head_changed {
        // What was told when it came is what goes on.
        return Ok(keep
            .map(|keep| keep.take(request.headers()))
            .unwrap_or_default());
    }
    call.is_head_changed = true;
    account.keep_asked();
    let scheme = head::scheme(request.headers());
    if let Some(ruled) = edited {
        if let Some(choice) = to.choice {
            apply(account, &choice.compiled.headers.request, request);
        }
        apply(account, &ruled.compiled.headers.request, request);
        let own = to.choice.filter(|choice| choice.backend.rewrite.is_some());
        let (rewrite, authority) = match own {
            Some(choice) => (&choice.backend.rewrite, &choice.compiled.authority),
            None => (&ruled.rule.rewrite, &ruled.compiled.authority),
        };
        if let Some(authority) = authority {
            name(request, authority.clone());
        }
        if let Some(path) = rewrite.as_ref().and_then(|rewrite| rewrite.path.as_ref()) {
            rewritten(account, path, ruled, request)?;
        }
    }
    let kept = keep
        .map(|keep| keep.take(request.headers()))
        .unwrap_or_default();
    account.head(request.uri(), request.headers(), scheme);
    Ok(kept)
}

fn apply(account: &Account, edits: &Edits, request: &mut Request<Body>) {
    if edits.is_empty() {
        return;
    }
    let values = edits.evaluate(|| {
        let mut record = account.record();
        record.request = request.headers().into();
        record
    });
    if let Some(authority) = edits.apply(values, request.headers_mut()) {
        name(request, authority);
    }
}

fn name(request: &mut Request<Body>, authority: HeaderValue) {
    let mut uri = std::mem::take(request.uri_mut());
    set_authority(&mut uri, request.headers_mut(), authority);
    *request.uri_mut() = uri;
}

fn rewritten(
    account: &mut Account,
    rewrite: &PathRewrite,
    ruled: &Ruled,
    request: &mut Request<Body>,
) -> Result<(), Reply> {
    let uri = request.uri();
    let path = decision::route::rewrite::path_and_query(
        rewrite,
        ruled.matched.as_ref(),
        uri.path(),
        uri.query(),
    )
    .map_err(|_| Reply::malformed_path())?;
    let before = head::path_and_query(uri);
    if before.as_str() == path {
        return Ok(());
    }
    let path =
        PathAndQuery::from_maybe_shared(Bytes::from(path)).map_err(|_| Reply::malformed_path())?;
    if let Ok(before) = HeaderValue::from_str(before.as_str()) {
        request.headers_mut().insert(X_ENVOY_ORIGINAL_PATH, before);
    }
    account.rewritten(path.clone());
    set_path(request.uri_mut(), path);
    Ok(())
}
