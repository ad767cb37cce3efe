//! Everything that a run has measured: the JSON file as it is, the tables in extracts.

mod block;
mod held;
mod outcome;

use serde::Serialize;

pub(crate) use self::block::Block;
pub(crate) use self::held::{Held, Idle, Memory};
pub(crate) use self::outcome::{Outcome, Program};

use crate::goals::{self, Goal};
use crate::host::Host;
use crate::load::{ANSWER, CHUNK, REQUEST};
use crate::{tunables, waypoint};

/// One run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Record {
    /// Where.
    pub(crate) host: Host,
    /// How.
    pub(crate) method: Method,
    /// What was compared, in the order of measuring.
    pub(crate) parts: Vec<Outcome>,
    /// The waypoints, if they were measured.
    pub(crate) waypoint: Option<waypoint::record::Outcome>,
    /// Where ours stands.
    pub(crate) goals: Vec<Goal>,
}

/// What all parts have in common.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Method {
    /// `GLIBC_TUNABLES` of everything that ran.
    pub(crate) glibc_tunables: String,
    /// Bytes of a bulk write.
    pub(crate) chunk_bytes: usize,
    /// Bytes of a request.
    pub(crate) request_bytes: usize,
    /// Bytes of an answer.
    pub(crate) answer_bytes: usize,
}

impl Record {
    /// Puts a run together.
    pub(crate) fn new(
        host: Host,
        parts: Vec<Outcome>,
        waypoint: Option<waypoint::record::Outcome>,
    ) -> Self {
        let method = Method {
            glibc_tunables: tunables::current(),
            chunk_bytes: CHUNK,
            request_bytes: REQUEST,
            answer_bytes: ANSWER,
        };
        let mut record = Self {
            host,
            method,
            parts,
            waypoint,
            goals: Vec::new(),
        };
        record.goals = goals::of(&record);
        record
    }
}
