//! A line of the waypoint's access log, read back.
//!
//! In: a line in Istio's text format, fields between spaces, some of them between quotes. Out: the fields that are told.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{Waypoint, eventually};

#[cfg(test)]
mod tests;

/// How long a line may take from the end of a request to the log.
const DEADLINE: Duration = Duration::from_secs(20);
/// How many fields a line has. Source: Istio's `EnvoyTextLogFormat`.
const FIELDS: usize = 22;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// As it stands in the log.
    pub(crate) text: String,
    pub(crate) status: String,
    pub(crate) flags: String,
    /// Why the answer is what it is.
    pub(crate) details: String,
    /// The address of the pod that answered.
    pub(crate) host: String,
    /// The backend that the request was meant for.
    pub(crate) cluster: String,
    /// The rule that decided.
    pub(crate) route: String,
}

impl Line {
    /// Reads a line; `None` when it is not one of the access log's.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut fields = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (field, after) = match rest.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => rest.split_once(' ').unwrap_or((rest, "")),
            };
            fields.push(field);
            rest = after.trim_start();
        }
        let told = |index: usize| Some((*fields.get(index)?).to_owned());
        let is_line = fields.len() == FIELDS && fields.first()?.starts_with('[');
        is_line.then_some(())?;
        Some(Self {
            text: text.to_owned(),
            status: told(2)?,
            flags: told(3)?,
            details: told(4)?,
            host: told(15)?,
            cluster: told(16)?,
            route: told(21)?,
        })
    }

    /// Waits for the lines of requests that carry `mark` in their path; there are to be `count` of them.
    pub(crate) fn wait(waypoint: &Waypoint, mark: &str, count: usize) -> Result<Vec<Self>> {
        let what = format!("{count} lines with {mark:?} in the waypoint's access log");
        let lines = eventually(&what, DEADLINE, || {
            let lines: Vec<_> = waypoint
                .log_lines(&[mark])
                .iter()
                .filter_map(|line| Self::parse(line))
                .collect();
            ensure!(
                lines.len() >= count,
                "there are {}; the log ends with\n{}",
                lines.len(),
                waypoint.log_tail()
            );
            Ok(lines)
        })?;
        ensure!(lines.len() == count, "{what}: there are {}", lines.len());
        Ok(lines)
    }

    /// The same for one request.
    pub(crate) fn wait_one(waypoint: &Waypoint, mark: &str) -> Result<Self> {
        let lines = Self::wait(waypoint, mark, 1)?;
        lines.into_iter().next().context("counted above")
    }
}
