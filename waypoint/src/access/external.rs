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
//!                        └─ failed ─▶ `status_on_error` (UAEX, ext_authz_error), or on it goes, see [`failed`]
//! ```
//! **Whom to ask is found out once**, by the client's own head, before anybody has changed it. Each provider is asked once, however many policies name it: what it
//! makes of the request is for the next ones, for tokens, and for DENY and ALLOW to see, and asks nobody anew.
//!
//! Source: Envoy's `ext_authz` filters, as Istio sets them up for `envoyExtAuthzHttp` and `envoyExtAuthzGrpc` (AZ-07).

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{Request, StatusCode};
use mesh::{
    Name,
    access::external::{ExternalAuthorization, HttpCheck, Protocol},
    settings::Normalization,
};
use telemetry::http::{AnswerCounts, Answers, Details, ResponseFlag};
use wire::proto::external_auth::CheckRequest;

use crate::{
    access::metadata,
    body::Body,
    request::{call::Call, reply::Reply},
    session::Session,
};

mod attributes;
mod body;
mod changes;
mod failed;
mod grpc;
mod held;
mod http_check;
mod query;
mod verdict;

pub use failed::Failed;

use body::{Held, Sample};
use verdict::{Said, Verdict};

/// The longest answer of an authorizer. Reason: it is gathered before anything is done with it; what browsers are shown in the
/// place of a page is much shorter. Units: bytes.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

const DENIED: Details = Details::Word("ext_authz_denied");
const ERROR: Details = Details::Word("ext_authz_error");

/// An authorizer that let something by.
#[derive(Clone, Debug)]
pub struct LetBy {
    /// Whom, and how it was asked.
    pub external: Arc<ExternalAuthorization>,
    /// Whether it said yes. If not it had not decided, and failed open.
    pub said_yes: bool,
}

impl LetBy {
    /// Whether what it was let by with would do for `wanted`, without another question.
    ///
    /// A yes counts as long as the same authorizer would be asked: the provider, and who answers for it. To have failed open is no yes: it counts only where
    /// the provider is what it was in all, so that it would fail open again.
    #[must_use]
    pub fn counts_for(&self, wanted: &ExternalAuthorization) -> bool {
        if self.said_yes {
            self.external.provider == wanted.provider && self.external.backend == wanted.backend
        } else {
            wanted.fail_open && *self.external == *wanted
        }
    }
}

/// Asks authorizers about a request, one after the other, until one refuses, and does what they say: changes the request, adds to `call.metadata` and
/// `call.response_headers`. Each sees what the one before has made of the request. Of its body at most as much is read as they are to see; it goes on whole. What is
/// told of the request (`call.account`) is the caller's to bring up to date. `spelling` is for paths that they set.
///
/// # Errors
/// The answer to a client that may not pass.
pub async fn check(
    call: &mut Call,
    wanted: &[Arc<ExternalAuthorization>],
    spelling: Normalization,
    request: &mut Request<Body>,
) -> Result<Box<[LetBy]>, Reply> {
    let mut held = Held::default();
    let mut asked = Vec::with_capacity(wanted.len());
    for external in wanted {
        let counts = answers(&call.session, external);
        let said_yes = match one(call, external, spelling, &mut held, request).await? {
            Ok(Verdict::Allow(())) => {
                counts.http.ok.increment();
                true
            }
            Ok(Verdict::Deny(denial)) => {
                counts.http.denied.increment();
                return Err(denial
                    .reply()
                    .flagged(ResponseFlag::UnauthorizedExternalService));
            }
            Err(failed) if fails_open(external, &counts.http, &failed) => false,
            Err(failed) => return Err(undecided(external, &failed)),
        };
        asked.push(LetBy {
            external: Arc::clone(external),
            said_yes,
        });
    }
    Ok(asked.into())
}

/// Asks one, and lets it change the request.
async fn one(
    call: &mut Call,
    external: &ExternalAuthorization,
    spelling: Normalization,
    held: &mut Held,
    request: &mut Request<Body>,
) -> Result<Result<Verdict<()>, Failed>, Reply> {
    let sample = match external.include_body {
        Some(limits) => body::sample(request, limits, held).await?,
        None => None,
    };
    // For as long as it is asked.
    let _copies = match &sample {
        Some(sample) => Some(sample.copied(copies(external))?),
        None => None,
    };
    let question = Question::new(call, external, request, sample.as_ref());
    let mut said = ask(&call.session, external, question).await;
    if asks_again(external, &said) {
        let question = Question::new(call, external, request, sample.as_ref());
        said = ask(&call.session, external, question).await;
    }
    drop(sample);
    let Said { verdict, metadata } = match said {
        Ok(said) => said,
        Err(failed) => return Ok(Err(failed)),
    };
    call.metadata
        .insert(Name::from(metadata::EXTERNAL), metadata);
    Ok(match verdict {
        Verdict::Allow(changes) => changes.apply(call, spelling, request).map(Verdict::Allow),
        Verdict::Deny(denial) => Ok(Verdict::Deny(denial)),
    })
}

async fn ask(
    session: &Session,
    external: &ExternalAuthorization,
    question: Result<Question<'_>, Failed>,
) -> Result<Said, Failed> {
    question?.ask(session, external).await
}

/// Whether an authorizer is asked once more; why and when: [`failed`].
fn asks_again(external: &ExternalAuthorization, said: &Result<Said, Failed>) -> bool {
    external.fail_open && said.as_ref().is_err_and(Failed::is_broken)
}

/// How often a question holds what it shows of a body beside the request's own: once as the message that is sent, and once as text that it is made of.
fn copies(external: &ExternalAuthorization) -> usize {
    match &external.protocol {
        // It is the request's own, by reference.
        Protocol::Http(_) => 0,
        Protocol::Grpc if external.include_body.is_some_and(|body| body.as_bytes) => 1,
        Protocol::Grpc => 2,
    }
}

fn answers(session: &Session, external: &ExternalAuthorization) -> Arc<Answers> {
    let http = session.proxy.telemetry.http();
    http.external().of(external.provider.as_str())
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

/// Whether something about which nobody has decided may pass. Counts that.
fn fails_open(external: &ExternalAuthorization, counts: &AnswerCounts, failed: &Failed) -> bool {
    let open = external.fail_open && failed.is_its_own();
    let provider = &external.provider;
    if open {
        counts.failure_mode_allowed.increment();
        tracing::debug!(%provider, error = %failed, "external authorization failed open");
    } else {
        counts.error.increment();
        tracing::debug!(%provider, error = %failed, "external authorization failed");
    }
    open
}

/// The answer to a request about which nobody has decided.
fn undecided(external: &ExternalAuthorization, failed: &Failed) -> Reply {
    let status = StatusCode::from_u16(external.status_on_error).unwrap_or(StatusCode::FORBIDDEN);
    let mut reply = Reply::new(status, ERROR).flagged(ResponseFlag::UnauthorizedExternalService);
    // For the log alone.
    reply.transport_failure = Some(format!("{}: {failed}", external.provider));
    reply
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

/// Asks authorizers about a connection of which no request is read, one after the other, until one refuses. What they say beside yes and no has no
/// meaning here.
///
/// # Errors
/// When the connection may not pass. One that is asked by HTTP cannot be asked, and that is no outage: it never fails open.
pub async fn check_connection(
    session: &Session,
    client: IpAddr,
    wanted: &[Arc<ExternalAuthorization>],
) -> Result<Box<[LetBy]>, Refused> {
    let mut asked = Vec::with_capacity(wanted.len());
    for external in wanted {
        let provider = &external.provider;
        let counts = &answers(session, external).tcp;
        let answered = match &external.protocol {
            Protocol::Http(_) => Err(Failed::NoRequest),
            Protocol::Grpc => {
                let question = || attributes::of_connection(session, client);
                let mut said = grpc::ask(session, external, question()).await;
                if asks_again(external, &said) {
                    said = grpc::ask(session, external, question()).await;
                }
                said
            }
        };
        let said_yes = match answered.map(|said| said.verdict) {
            Ok(Verdict::Allow(_)) => {
                counts.ok.increment();
                true
            }
            Ok(Verdict::Deny(_)) => {
                counts.denied.increment();
                return Err(Refused::Denied(provider.clone()));
            }
            Err(failed) if fails_open(external, counts, &failed) => false,
            Err(source) => {
                return Err(Refused::Undecided {
                    provider: provider.clone(),
                    source,
                });
            }
        };
        asked.push(LetBy {
            external: Arc::clone(external),
            said_yes,
        });
    }
    Ok(asked.into())
}
