//! Responses that belong together.
//!
//! In: responses of a stream. Out: those of one group, once the last is there. Never: a part of a group; more than
//! [`MAX_GROUP_BYTES`] held back. What is held goes with the stream: nothing of it was noted or acknowledged, so that the control
//! plane begins it again. A response is here only once it is decoded: the one that passes the limit is in memory beside what is held.
//!
//! A change of the mesh may be one of resources of several types: a policy that moves from a Gateway to a Service leaves one and
//! comes to another. Between the two it would hold nowhere, and in the other order twice, so the control plane says of each
//! response how many come after it that lead to the same state. A response of a control plane that says nothing is a group of its own.

use std::mem;

use prost::Message as _;
use wire::proto::discovery::DeltaDiscoveryResponse as Response;

use super::client::MAX_RESPONSE_BYTES;

/// How many responses a group may have. Reason: one of each type, and there are five; the others are for those to come.
pub(super) const MAX_GROUP: u32 = 16;
/// What the responses of a group may have together. Units: bytes. Reason: as much as a single one may have.
pub(super) const MAX_GROUP_BYTES: usize = MAX_RESPONSE_BYTES;

/// Why a stream cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum GroupError {
    /// A response is missing, or there is one too many.
    #[error(
        "a response that belongs with others: followed_by: found {found}, expected {expected}, as the one before it said"
    )]
    Order {
        /// What it says.
        found: u32,
        /// What it should say.
        expected: u32,
    },
    /// There would be too many.
    #[error(
        "a response that belongs with others: followed_by: found {found}, expected less than {MAX_GROUP}"
    )]
    Long {
        /// What the first one says.
        found: u32,
    },
    /// They are too large.
    #[error(
        "responses that belong together: found more than {MAX_GROUP_BYTES} bytes, expected no more"
    )]
    Large,
}

/// The group that is coming in. **Shape**: one per stream.
#[derive(Debug, Default)]
pub(super) struct Group {
    held: Vec<Response>,
    bytes: usize,
}

impl Group {
    /// Takes a response; answers all of its group if it is the last.
    ///
    /// # Errors
    /// When it cannot belong where it comes: what is held is not to be used, and the stream is to end.
    pub(super) fn add(&mut self, response: Response) -> Result<Option<Vec<Response>>, GroupError> {
        let found = response.followed_by;
        match self.held.last() {
            Some(before) => {
                let expected = before.followed_by.saturating_sub(1);
                if found != expected {
                    return Err(GroupError::Order { found, expected });
                }
            }
            None if found == 0 => return Ok(Some(vec![response])),
            None if found >= MAX_GROUP => return Err(GroupError::Long { found }),
            None => {}
        }
        self.bytes = self.bytes.saturating_add(response.encoded_len());
        if self.bytes > MAX_GROUP_BYTES {
            return Err(GroupError::Large);
        }
        self.held.push(response);
        if found > 0 {
            return Ok(None);
        }
        self.bytes = 0;
        Ok(Some(mem::take(&mut self.held)))
    }

    /// Whether more is to come.
    pub(super) fn is_open(&self) -> bool {
        !self.held.is_empty()
    }
}

#[cfg(test)]
mod tests;
