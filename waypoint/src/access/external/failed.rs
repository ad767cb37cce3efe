//! Why an authorizer has not decided, and whether that may let anything by.
//!
//! In: what went wrong. Out: whether the authorizer alone can have brought it about. Never: takes for the authorizer's own failing what a client
//! can cause by what it sends, by how much, or by how often: a provider that fails open would leave the choice to it.
//!
//! **The authorizer's own failings**, with which a provider that fails open lets by:
//!
//! | by HTTP | by gRPC | on the way |
//! |---|---|---|
//! | 500, 502, 503, 504 | UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL, DATA_LOSS, UNIMPLEMENTED; an answer without a status | no such service, no endpoint, no connection, a stream that nobody looked at, no answer in time |
//!
//! **Everything else is a refusal**, whatever the provider says. Why a client can cause it:
//! RESOURCE_EXHAUSTED, OUT_OF_RANGE and INVALID_ARGUMENT (servers say so of a question that is too long, or that they do not like); UNKNOWN (what a
//! handler's error becomes where nobody chose a code: often that a token or a cookie cannot be read); PERMISSION_DENIED and UNAUTHENTICATED (a no of
//! those who know no better); 501 (a method that nobody knows); a stream that is reset, a connection that ends or breaks the protocol after the question was sent
//! (HTTP/2 ENHANCE_YOUR_CALM and its kin, for heads and bodies that are too long); an answer that is too long or sets a header to
//! what is no value (it may repeat what the client said); a limit of our own connection pool, or no room in it for half of the time or more (any flood brings that about); a question that cannot be written.
//!
//! **A connection that ends** after the question was sent may be either: an authorizer that has just gone, or one that got rid of the question. So a provider
//! that fails open is asked again, once ([`Failed::is_broken`]): who has gone has no connection to offer; who ends the next one, too, refuses. Providers that do not fail
//! open are not asked again: what is asked by HTTP may be acted on, as a login's callback is.
//!
//! **What cannot be told apart:** 500 and INTERNAL are also what some frameworks make of a question that their handler trips over, and an authorizer that a question kills
//! is as gone as one that is replaced. Who can send such a question is let by where the provider fails open, as by Envoy.
//!
//! The body of a request is gathered before the authorizer's time begins, so a client that is slow runs out of its own time (408).
//!
//! Source: none; Envoy's `failure_mode_allow` lets by whatever fails.

use h2::Reason;
use http::StatusCode;

use crate::{
    access::ask::{self, AskError},
    body::BodyError,
    upstream::{SendError, error::Cause},
};

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
    /// Whether the connection ended after the question was sent.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        let of_ask = |error: &AskError| {
            matches!(error, AskError::Send(SendError::Closed { sent: true, .. }))
        };
        match self {
            Self::Ask(error) => of_ask(error),
            Self::Grpc(status) => below::<AskError>(status).is_some_and(of_ask),
            Self::Status(_)
            | Self::Silent
            | Self::Header(_)
            | Self::Target(_)
            | Self::Path
            | Self::NoRequest => false,
        }
    }

    /// Whether the authorizer alone can have brought it about.
    #[must_use]
    pub fn is_its_own(&self) -> bool {
        match self {
            Self::Ask(error) => of_ask(error),
            Self::Grpc(status) => of_grpc(status),
            Self::Status(status) => of_status(*status),
            Self::Silent => true,
            Self::Header(_) | Self::Target(_) | Self::Path | Self::NoRequest => false,
        }
    }
}

fn of_status(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

fn of_ask(error: &AskError) -> bool {
    match error {
        AskError::Unknown { .. }
        | AskError::NoHost(_)
        | AskError::NotHttp2(_)
        | AskError::TimedOut(_) => true,
        AskError::Send(error) => of_send(error),
        AskError::Status(status) => of_status(*status),
        AskError::Body(error) => ask::is_late(error),
        AskError::Overflow(_)
        | AskError::NoRoom(_)
        | AskError::TooLong(_)
        | AskError::Question(_)
        | AskError::Ended => false,
    }
}

fn of_send(error: &SendError) -> bool {
    match error {
        SendError::Connect { .. } => true,
        SendError::Closed { sent, .. } => !sent,
        SendError::Refused { source, .. } => match source {
            // A GOAWAY with another reason speaks of what it was sent.
            Cause::Http2(error) => matches!(
                error.reason(),
                None | Some(Reason::REFUSED_STREAM | Reason::NO_ERROR)
            ),
            Cause::Http1(_) | Cause::Local => true,
        },
        SendError::Overflow(_)
        | SendError::Reset { .. }
        | SendError::Protocol { .. }
        | SendError::Request(_)
        | SendError::Head(_) => false,
    }
}

/// What went wrong below a stub, which gives it a code of its own.
fn below<E: std::error::Error + 'static>(status: &tonic::Status) -> Option<&E> {
    let below = std::iter::successors(std::error::Error::source(status), |error| error.source());
    below.into_iter().find_map(|error| error.downcast_ref())
}

fn of_grpc(status: &tonic::Status) -> bool {
    if let Some(error) = below::<AskError>(status) {
        return of_ask(error);
    }
    if let Some(error) = below::<BodyError>(status) {
        return ask::is_late(error);
    }
    match status.code() {
        tonic::Code::Unavailable
        | tonic::Code::DeadlineExceeded
        | tonic::Code::Internal
        | tonic::Code::DataLoss
        | tonic::Code::Unimplemented => true,
        tonic::Code::Ok
        | tonic::Code::Cancelled
        | tonic::Code::Unknown
        | tonic::Code::InvalidArgument
        | tonic::Code::NotFound
        | tonic::Code::AlreadyExists
        | tonic::Code::PermissionDenied
        | tonic::Code::ResourceExhausted
        | tonic::Code::FailedPrecondition
        | tonic::Code::Aborted
        | tonic::Code::OutOfRange
        | tonic::Code::Unauthenticated => false,
    }
}

#[cfg(test)]
mod tests;
