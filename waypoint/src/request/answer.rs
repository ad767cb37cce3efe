//! What becomes of an answer before the client gets it.
//!
//! In: a response of an endpoint, of a rule, or of our own. Out: the response as its rule wants it. Never: touches the body.
//!
//! Order, as Envoy's: what concerns the endpoint's connection goes; headers of the backend, headers of the rule.

use http::{
    HeaderMap, HeaderValue, Request, Response, Version,
    header::{HeaderName, SET_COOKIE},
};
use telemetry::http::Captured;

use crate::{
    body::Body,
    filter::{
        connection::strip_response,
        edits::Edits,
        envoy::{X_ENVOY_UPSTREAM_SERVICE_TIME, service_time},
    },
    request::{
        account::Account,
        arrive::Upgrade,
        call::Call,
        deadline::Deadline,
        exchange::Answered,
        reply::Reply,
        route::Ruled,
        send::To,
        switch::{self, Outcome, Switched},
    },
};

/// An answer on its way to the client.
#[derive(Debug)]
pub struct Answer {
    /// Its head, and a body that streams.
    pub response: Response<Body>,
    /// When all of it must be over.
    pub deadline: Option<Deadline>,
    /// The connection that becomes a WebSocket with it.
    pub switched: Option<Switched>,
    /// Whether it ends when policies do not let it go on: what an endpoint answers.
    pub is_watched: bool,
}

impl From<Response<Body>> for Answer {
    fn from(response: Response<Body>) -> Self {
        Self {
            response,
            deadline: None,
            switched: None,
            is_watched: false,
        }
    }
}

/// What a stage answers in the place of everybody else. `is_head`: only the head is wanted.
#[must_use]
pub fn of_ourselves(call: &mut Call, reply: &Reply, is_head: bool) -> Answer {
    call.account.replied(reply);
    let mut response = reply.response(call.account.is_grpc());
    if is_head {
        *response.body_mut() = Body::Empty;
    }
    response.into()
}

/// What a rule answers.
#[must_use]
pub fn of_rule(
    call: &Call,
    ruled: Option<&Ruled>,
    request: &Request<Body>,
    mut response: Response<Body>,
) -> Answer {
    if let Some(ruled) = ruled {
        let kept = ruled.compiled.keep.take(request.headers());
        let edits = &ruled.compiled.headers.response;
        apply(&call.account, edits, &kept, &mut response);
    }
    if request.method() == http::Method::HEAD {
        *response.body_mut() = Body::Empty;
    }
    response.into()
}

/// What an endpoint answers. `kept` is what edits want to know of the request.
///
/// # Errors
/// The answer to an endpoint that switches protocols where it should not, or does not where it says so.
pub fn of_endpoint(
    call: &mut Call,
    to: To<'_>,
    kept: &Captured,
    cookie: Option<HeaderValue>,
    upgrade: Option<Upgrade>,
    answered: Answered,
) -> Result<Answer, Reply> {
    let Answered {
        mut response,
        deadline,
        permit,
    } = answered;
    let outcome = switch::switched(upgrade, &mut response, permit)?;
    let took = call.account.answered(net::clock::now());
    // The engine writes the client's version.
    *response.version_mut() = Version::HTTP_11;
    let headers = response.headers_mut();
    strip_response(headers);
    headers.insert(X_ENVOY_UPSTREAM_SERVICE_TIME, service_time(took));
    if let Some(cookie) = cookie {
        headers.append(SET_COOKIE, cookie);
    }
    if let Some(choice) = to.choice {
        let edits = &choice.compiled.headers.response;
        apply(&call.account, edits, kept, &mut response);
    }
    if let Some(ruled) = to.ruled {
        let edits = &ruled.compiled.headers.response;
        apply(&call.account, edits, kept, &mut response);
    }
    let (deadline, switched) = match outcome {
        Outcome::Switched(switched) => (None, Some(switched)),
        Outcome::Answer(permit) => {
            call.account.holds(permit);
            (deadline, None)
        }
    };
    Ok(Answer {
        response,
        deadline,
        switched,
        is_watched: true,
    })
}

fn apply(account: &Account, edits: &Edits, kept: &Captured, response: &mut Response<Body>) {
    if edits.is_empty() {
        return;
    }
    let status = response.status();
    let values = edits.evaluate(|| {
        let mut record = account.record();
        record.status = Some(status);
        record.request = kept.into();
        record.response = response.headers().into();
        record
    });
    // A response names nobody.
    drop(edits.apply(values, response.headers_mut()));
}

/// Sets headers in the place of those that there are.
pub fn overlay(headers: &mut HeaderMap, said: HeaderMap) {
    let mut last: Option<HeaderName> = None;
    for (name, value) in said {
        if let Some(name) = name {
            last = Some(name);
        }
        if let Some(name) = &last {
            headers.insert(name.clone(), value);
        }
    }
}
