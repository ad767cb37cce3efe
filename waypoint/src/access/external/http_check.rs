//! An authorizer that is asked by HTTP.
//!
//! In: a request. Out: the head of it as a request to the authorizer, and what the answer means. Never: copies what concerns the
//! connection to the authorizer; a header of the client's where the provider has one of its own.
//!
//! Source: Envoy's `ext_authz` with an `http_service`: 200 lets pass, what begins with 5 is no answer, everything else refuses and
//! is what the client gets.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, HOST, LOCATION, WWW_AUTHENTICATE},
    uri::PathAndQuery,
};
use mesh::access::external::{ExternalAuthorization, HttpCheck};
use serde_json::Map;

use super::{
    Failed, MAX_ANSWER_BYTES,
    body::Sample,
    changes::Changes,
    verdict::{Denial, Said, Verdict, final_status},
};
use crate::{
    access::{
        ask,
        facts::joined_value,
        names::{HEADERS_TO_REMOVE, PARTIAL_BODY, covers, is_of_hop, is_removable},
    },
    body::Body,
    filter::connection,
    request::{
        call::{Place, ResponseHeader},
        head::{self, Named},
    },
    session::Session,
};

/// Headers that a request can be told to lose by one answer. Reason: it has a hundred at most.
const MAX_REMOVED: usize = 256;

/// The question about a request.
pub(super) fn question(
    how: &HttpCheck,
    request: &Request<Body>,
    sample: Option<&Sample>,
) -> Result<Request<Bytes>, Failed> {
    let path = head::path_and_query(request.uri());
    let path = if how.path_prefix.is_empty() {
        path
    } else {
        PathAndQuery::try_from(format!("{}{path}", how.path_prefix)).map_err(|_| Failed::Path)?
    };
    let body = sample
        .map(|sample| sample.bytes.clone())
        .unwrap_or_default();
    let mut question = Request::new(body);
    question.method_mut().clone_from(request.method());
    *question.uri_mut() = path.into();
    let length = question.body().len();
    let headers = question.headers_mut();
    let named = Named::of(request.uri(), request.headers());
    let named = HeaderValue::from_str(named.as_str());
    headers.insert(HOST, named.map_err(|_| Failed::Path)?);
    for name in request.headers().keys() {
        let is_asked = *name == AUTHORIZATION || covers(&how.include_headers, name);
        if is_asked && *name != HOST && *name != PARTIAL_BODY && !is_of_hop(name) {
            // Joined, as Envoy does: whoever reads one value must not see less than the backend.
            if let Some(value) = joined_value(request.headers(), name) {
                headers.insert(name.clone(), value);
            }
        }
    }
    if let Some(sample) = sample {
        headers.insert(PARTIAL_BODY, partial(sample));
    }
    for (name, value) in &how.additional_headers {
        let (name, value) = header(name, value)?;
        if !is_of_hop(&name) {
            headers.insert(name, value);
        }
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    Ok(question)
}

/// The value of [`PARTIAL_BODY`].
pub(super) fn partial(sample: &Sample) -> HeaderValue {
    HeaderValue::from_static(if sample.is_partial { "true" } else { "false" })
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Failed> {
    let bad = || Failed::Header(name.to_owned());
    Ok((
        HeaderName::try_from(name).map_err(|_| bad())?,
        HeaderValue::from_str(value).map_err(|_| bad())?,
    ))
}

/// Asks.
pub(super) async fn ask(
    session: &Session,
    external: &ExternalAuthorization,
    how: &HttpCheck,
    question: Request<Bytes>,
) -> Result<Said, Failed> {
    let answer = ask::http(
        &session.proxy,
        &session.worker,
        &external.backend,
        question,
        external.timeout,
    )
    .await?;
    let (mut head, body) = answer.into_parts();
    let body = match ask::collect(body, external.timeout, MAX_ANSWER_BYTES).await {
        Ok(body) => body,
        // The status says no already. What would have explained it is not whole.
        Err(_) if is_no(head.status) => {
            head.headers.remove(CONTENT_ENCODING);
            Bytes::new()
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Said {
        verdict: read(how, Response::from_parts(head, body))?,
        metadata: Map::new(),
    })
}

/// Whether a status refuses.
fn is_no(status: StatusCode) -> bool {
    let is_answer = !status.is_server_error() && final_status(status.as_u16()).is_some();
    is_answer && status != StatusCode::OK
}

/// What an answer means.
fn read(how: &HttpCheck, answer: Response<Bytes>) -> Result<Verdict<Box<Changes>>, Failed> {
    let (mut answer, body) = answer.into_parts();
    let status = answer.status;
    if status.is_server_error() || final_status(status.as_u16()).is_none() {
        return Err(Failed::Status(status));
    }
    let headers = &mut answer.headers;
    connection::strip_response(headers);
    let removed = removed(headers);
    headers.remove(HEADERS_TO_REMOVE);
    if status == StatusCode::OK {
        let mut changes = Changes {
            remove: removed,
            ..Changes::default()
        };
        for name in headers.keys().filter(|name| !is_of_hop(name)) {
            if *name != HOST && covers(&how.upstream_on_allow, name) {
                // Of several the last one stays, as in Envoy.
                changes.request.extend(all(headers, name, Place::Instead));
            }
            if covers(&how.downstream_on_allow, name) {
                changes.response.extend(all(headers, name, Place::Beside));
            }
        }
        return Ok(Verdict::Allow(Box::new(changes)));
    }
    let mut denial = Denial::new(status);
    for (name, value) in headers.iter() {
        if !is_of_hop(name) && is_told(how, name) {
            denial.add(name.clone(), value.clone(), Place::Beside);
        }
    }
    denial.body = body;
    Ok(Verdict::Deny(Box::new(denial)))
}

/// All values of a header.
fn all(headers: &HeaderMap, name: &HeaderName, place: Place) -> Vec<ResponseHeader> {
    let one = |value: &HeaderValue| ResponseHeader {
        name: name.clone(),
        value: value.clone(),
        place,
    };
    headers.get_all(name).iter().map(one).collect()
}

/// Whether the client of a request that is refused gets a header. Without a list it gets all of them.
fn is_told(how: &HttpCheck, name: &HeaderName) -> bool {
    if how.downstream_on_deny.is_empty() {
        return *name != HOST;
    }
    *name == LOCATION || *name == WWW_AUTHENTICATE || covers(&how.downstream_on_deny, name)
}

/// The headers that the request is to lose.
fn removed(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(HEADERS_TO_REMOVE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .filter(is_removable)
        .take(MAX_REMOVED)
        .collect()
}

#[cfg(test)]
mod tests;
