//! CUSTOM policies: an authorizer outside is asked whether a request or a connection may pass.
//!
//! In: a request in its one spelling, or a session, and whom its policies have asked. Out: the request as the authorizer wants it
//! to go on, or the answer. Never: lets pass what nobody has allowed, unless the provider says that it fails open; fails open for
//! what a client can bring about by itself; applies half of an answer.
//!
//! ```text
//!            ┌─ body ─▶ http ──┐            ┌─ yes: changes ─▶ the request, the client's response, metadata
//!   request ─┤                 ├─▶ verdict ─┤
//!            └─ body ─▶ grpc ──┘            └─ no: the authorizer's answer to the client (UAEX, ext_authz_denied)
//!                        │
//!                        └─ failed ─▶ `status_on_error` (UAEX, ext_authz_error), or on it goes
//! ```
//! Source: Envoy's `ext_authz` filters, as Istio sets them up for `envoyExtAuthzHttp` and `envoyExtAuthzGrpc` (AZ-07).

use std::net::IpAddr;

use bytes::Bytes;
use http::{Request, StatusCode};
use mesh::{
    Name,
    access::external::{ExternalAuthorization, HttpCheck, Protocol},
};
use telemetry::http::{Details, ResponseFlag};
use wire::proto::external_auth::CheckRequest;

use crate::{
    access::{ask::AskError, metadata},
    body::Body,
    request::{call::Call, reply::Reply},
    session::Session,
};

mod attributes;
mod body;
mod changes;
mod grpc;
mod http_check;
mod names;
mod query;
mod verdict;

use body::Sample;
use verdict::{Said, Verdict};

/// The longest answer of an authorizer. Reason: it is gathered before anything is done with it; what browsers are shown in the
/// place of a page is much shorter. Units: bytes.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

const DENIED: Details = Details::Word("ext_authz_denied");
const ERROR: Details = Details::Word("ext_authz_error");

/// Why an authorizer has not decided.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// There is no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// gRPC says that there is none.
    #[error("the call failed: {}: {}", .0.code(), .0.message())]
    Grpc(Box<tonic::Status>),
    /// HTTP says that there is none.
    #[error("its answer has status {0}")]
    Status(StatusCode),
    /// It says neither yes nor no.
    #[error("its answer has no status")]
    Silent,
    /// What it wants a header to be is none.
    #[error("it sets the header {0:?}, which is none, or to what is no value")]
    Header(String),
    /// What it wants the target to be is none.
    #[error("it sets {0}, to what is none")]
    Target(&'static str),
    /// The question cannot be written.
    #[error("the question has no path")]
    Path,
    /// HTTP is asked about requests only.
    #[error("it is asked by http, and there is no request")]
    NoRequest,
}

impl Failed {
    /// Whether the client alone can bring it about, so that failing open would leave the choice to it.
    fn is_of_client(&self) -> bool {
        match self {
            Self::Path => true,
            Self::Ask(_)
            | Self::Grpc(_)
            | Self::Status(_)
            | Self::Silent
            | Self::Header(_)
            | Self::Target(_)
            | Self::NoRequest => false,
        }
    }
}

/// Asks one authorizer about a request, and does what it says: changes the request, adds to `call.metadata` and
/// `call.response_headers`. Of a request's body at most as much is read as the provider is to see; it goes on whole. What is told of
/// the request (`call.account`) is the caller's to bring up to date.
///
/// # Errors
/// The answer to a client that may not pass.
pub async fn check(
    call: &mut Call,
    external: &ExternalAuthorization,
    request: &mut Request<Body>,
) -> Result<(), Reply> {
    let sample = match external.include_body {
        Some(limits) => body::sample(request, limits).await?,
        None => None,
    };
    let question = Question::new(call, external, request, sample.as_ref());
    // The provider has what it is to see; the rest is the request's.
    drop(sample);
    let said = match question {
        Ok(question) => question.ask(&call.session, external).await,
        Err(failed) => Err(failed),
    };
    match said {
        Ok(Said { verdict, metadata }) => {
            call.metadata
                .insert(Name::from(metadata::EXTERNAL), metadata);
            match verdict {
                Verdict::Allow(changes) => match changes.apply(call, request) {
                    Ok(()) => Ok(()),
                    Err(failed) => unanswered(external, &failed),
                },
                Verdict::Deny(denial) => Err(denial
                    .reply()
                    .flagged(ResponseFlag::UnauthorizedExternalService)),
            }
        }
        Err(failed) => unanswered(external, &failed),
    }
}

/// What an authorizer is asked.
enum Question<'a> {
    Http(&'a HttpCheck, Box<Request<Bytes>>),
    Grpc(Box<CheckRequest>),
}

impl<'a> Question<'a> {
    fn new(
        call: &Call,
        external: &'a ExternalAuthorization,
        request: &Request<Body>,
        sample: Option<&Sample>,
    ) -> Result<Self, Failed> {
        Ok(match &external.protocol {
            Protocol::Http(how) => {
                Self::Http(how, Box::new(http_check::question(how, request, sample)?))
            }
            Protocol::Grpc => Self::Grpc(Box::new(attributes::of_request(
                call, external, request, sample,
            ))),
        })
    }

    async fn ask(
        self,
        session: &Session,
        external: &ExternalAuthorization,
    ) -> Result<Said, Failed> {
        match self {
            Self::Http(how, question) => http_check::ask(session, external, how, *question).await,
            Self::Grpc(question) => grpc::ask(session, external, *question).await,
        }
    }
}

/// What becomes of a request about which nobody has decided.
fn unanswered(external: &ExternalAuthorization, failed: &Failed) -> Result<(), Reply> {
    let provider = &external.provider;
    if external.fail_open && !failed.is_of_client() {
        tracing::debug!(%provider, error = %failed, "external authorization failed open");
        return Ok(());
    }
    tracing::debug!(%provider, error = %failed, "external authorization failed");
    let status = StatusCode::from_u16(external.status_on_error).unwrap_or(StatusCode::FORBIDDEN);
    let mut reply = Reply::new(status, ERROR).flagged(ResponseFlag::UnauthorizedExternalService);
    // For the log alone.
    reply.transport_failure = Some(format!("{provider}: {failed}"));
    Err(reply)
}

/// Why a connection may not pass.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The authorizer says so.
    #[error("{0} denies it")]
    Denied(Name),
    /// It has not decided, and does not fail open.
    #[error("{provider} has not decided")]
    Undecided {
        /// The authorizer.
        provider: Name,
        /// Why.
        source: Failed,
    },
}

impl Refused {
    /// What the access log says of it, with [`ResponseFlag::UnauthorizedExternalService`].
    #[must_use]
    pub fn details(&self) -> Details {
        match self {
            Self::Denied(_) => DENIED,
            Self::Undecided { .. } => ERROR,
        }
    }
}

/// Asks one authorizer about a connection of which no request is read. What it says beside yes and no has no meaning here.
///
/// # Errors
/// When the connection may not pass. One that is asked by HTTP cannot be asked, and that is no outage: it never fails open.
pub async fn check_connection(
    session: &Session,
    client: IpAddr,
    external: &ExternalAuthorization,
) -> Result<(), Refused> {
    let provider = &external.provider;
    let undecided = |source| Refused::Undecided {
        provider: provider.clone(),
        source,
    };
    match &external.protocol {
        Protocol::Http(_) => return Err(undecided(Failed::NoRequest)),
        Protocol::Grpc => {}
    }
    let question = attributes::of_connection(session, client);
    match grpc::ask(session, external, question).await {
        Ok(said) => match said.verdict {
            Verdict::Allow(_) => Ok(()),
            Verdict::Deny(_) => Err(Refused::Denied(provider.clone())),
        },
        Err(failed) if external.fail_open => {
            tracing::debug!(%provider, error = %failed, "external authorization failed open");
            Ok(())
        }
        Err(failed) => Err(undecided(failed)),
    }
}
