//! What an authorizer says, whichever protocol it speaks.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value};

use super::{DENIED, changes::Changes};
use crate::request::{call::Place, reply::Reply};

/// An answer.
#[derive(Debug)]
pub(super) struct Said {
    /// Yes or no.
    pub(super) verdict: Verdict<Box<Changes>>,
    /// For policies that come after it, and for logs.
    pub(super) metadata: Map<String, Value>,
}

/// Yes or no.
#[derive(Debug)]
pub(super) enum Verdict<C> {
    /// It may pass, changed so.
    Allow(C),
    /// It may not, and its client is told this.
    Deny(Box<Denial>),
}

/// What a client is told.
#[derive(Debug)]
pub(super) struct Denial {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

impl Denial {
    /// One without a word.
    pub(super) fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// Adds a header.
    pub(super) fn add(&mut self, name: HeaderName, value: HeaderValue, place: Place) {
        let is_there = self.headers.iter().any(|(other, _)| *other == name);
        match place {
            Place::Beside => {}
            Place::Instead => self.headers.retain(|(other, _)| *other != name),
            Place::IfAbsent if is_there => return,
            Place::IfAbsent => {}
            Place::IfPresent if is_there => self.headers.retain(|(other, _)| *other != name),
            Place::IfPresent => return,
        }
        self.headers.push((name, value));
    }

    /// As an answer of ours.
    pub(super) fn reply(self) -> Reply {
        let has_body = self.status != StatusCode::NO_CONTENT
            && self.status != StatusCode::NOT_MODIFIED
            && self.status != StatusCode::RESET_CONTENT;
        let mut reply = Reply::new(self.status, DENIED);
        if has_body {
            reply = reply.with_body(self.body);
        }
        reply.headers = self.headers;
        reply
    }
}

/// A status that a client can be answered with; an interim one is none.
pub(super) fn final_status(code: u16) -> Option<StatusCode> {
    StatusCode::from_u16(code)
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()))
}
