//! What `dig` says.
//!
//! In: a machine and dig's arguments. Out: the status and the records of the answer.

use anyhow::{Context as _, Result};
use lab::Machine;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `NOERROR`, `NXDOMAIN`, `SERVFAIL`.
    pub status: String,
    /// The records, in order.
    pub records: Vec<Record>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its owner, with the dot at the end.
    pub name: String,
    /// `A`, `AAAA`, `CNAME`.
    pub kind: String,
    /// The data as dig prints it.
    pub data: String,
}

impl Answer {
    /// The data of the records of a kind.
    pub fn data(&self, kind: &str) -> Vec<String> {
        let records = self.records.iter().filter(|record| record.kind == kind);
        records.map(|record| record.data.clone()).collect()
    }
}

/// Asks once; `arguments` are dig's: `["@10.96.0.10", "+tcp", "web.default.svc.cluster.local", "AAAA"]`.
///
/// # Errors
///
/// When nobody answers.
pub fn dig(from: &Machine, arguments: &[&str]) -> Result<Answer> {
    let fixed = [
        "dig",
        "+tries=1",
        "+time=10",
        "+noall",
        "+comments",
        "+answer",
    ];
    let line = fixed.into_iter().chain(arguments.iter().copied());
    let text = from.exec(line)?.ok()?;
    let status = text
        .split_once("status: ")
        .and_then(|(_, rest)| rest.split_once(','))
        .with_context(|| format!("dig says no status: {text}"))?;
    let records = text.lines().filter(|line| !line.starts_with(';'));
    let records = records.filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        let kind = words.nth(2)?.to_owned();
        let data = words.collect::<Vec<_>>().join(" ");
        Some(Record { name, kind, data })
    });
    Ok(Answer {
        status: status.0.to_owned(),
        records: records.collect(),
    })
}
