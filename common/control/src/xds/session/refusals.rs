//! What is refused of one response, worded for the control plane.

use std::collections::HashSet;

use wire::proto::discovery::Status;

/// The longest reason that is sent. Units: bytes. Reason: it is for a log line of the control plane's.
const MAX_DETAIL_BYTES: usize = 4096;
/// Source: google.rpc.Code, `INVALID_ARGUMENT`.
const INVALID_ARGUMENT: i32 = 3;

/// The resources that were refused, and why.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Their names as the control plane wrote them.
    pub(super) names: HashSet<Box<str>>,
    count: usize,
    /// The reasons of as many as fit.
    reasons: String,
    told: usize,
}

impl Refusals {
    /// One more, with a reason that names the resource.
    pub(super) fn add(&mut self, reason: &str) {
        self.count += 1;
        if self.told + 1 == self.count && self.reasons.len() + reason.len() + 2 <= MAX_DETAIL_BYTES
        {
            if self.told > 0 {
                self.reasons.push_str("; ");
            }
            self.reasons.push_str(reason);
            self.told += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What the refusal says; `None` where nothing was refused.
    pub(super) fn detail(self) -> Option<Status> {
        if self.is_empty() {
            return None;
        }
        let mut message = self.reasons;
        let untold = self.count - self.told;
        if untold > 0 {
            message.push_str(&format!("; and {untold} more"));
        }
        Some(Status {
            code: INVALID_ARGUMENT,
            message,
        })
    }
}

/// What the refusal of a response says whose type nobody asked for.
pub(super) fn unknown_type(type_url: &str) -> Status {
    let shown: String = type_url.escape_debug().take(200).collect();
    Status {
        code: INVALID_ARGUMENT,
        message: format!("type_url: \"{shown}\", expected a type that was asked for"),
    }
}
