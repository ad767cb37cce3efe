//! What went wrong, in words that are fit for a log line.

use std::error::Error;

use tonic::{Code, Status};

/// The most characters of a server's words that are passed on.
const MAX_WORDS: usize = 500;

/// An error with its causes, each once.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // Some libraries repeat their source.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

/// A status as one line: its code by name, then the words, cut and without control characters.
#[must_use]
pub fn words(status: &Status) -> String {
    let code = name(status.code());
    let said = status.message();
    let source = status
        .source()
        .map(chain)
        .filter(|source| !source.is_empty() && !said.ends_with(source.as_str()));
    let mut text = String::from(code);
    for part in [Some(said), source.as_deref()].into_iter().flatten() {
        if !part.is_empty() {
            text.push_str(": ");
            text.extend(
                part.chars()
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .take(MAX_WORDS),
            );
        }
    }
    text
}

/// The name of a code. Source: gRPC status codes.
#[must_use]
pub fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
