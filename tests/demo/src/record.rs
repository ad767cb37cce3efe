//! Lines of the access log, read back.
//!
//! In: a line `time, level, access, message, key=value ..` with tabs between the parts. Out: its keys and values.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, Result};
use lab::{Ztunnel, eventually};

#[cfg(test)]
mod tests;

/// How long a line may take from the end of a connection to the log.
const DEADLINE: Duration = Duration::from_secs(20);

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record(BTreeMap<String, String>);

/// Which line is looked for: that of a client's connection to a pod.
#[derive(Debug)]
pub(crate) struct Search {
    /// The client's address.
    pub(crate) client: IpAddr,
    /// What the tunnel leads to.
    pub(crate) hbone: SocketAddr,
}

impl Record {
    /// Reads a line; `None` when it is not one of the access log's.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut parts = line.splitn(5, '\t');
        let (_time, _level, scope, _message) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let mut rest = parts.next()?.trim();
        if scope != "access" {
            return None;
        }
        let mut fields = BTreeMap::new();
        while let Some((key, after)) = rest.split_once('=') {
            let (value, after) = value(after)?;
            fields.insert(key.to_owned(), value);
            rest = after.trim_start();
        }
        Some(Self(fields))
    }

    /// A value; empty when the line does not have it.
    pub(crate) fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    fn matches(&self, search: &Search, direction: &str) -> bool {
        let client = self
            .get("src.addr")
            .parse::<SocketAddr>()
            .map(|address| address.ip());
        self.get("direction") == direction
            && client == Ok(search.client)
            && self.get("dst.hbone_addr").parse() == Ok(search.hbone)
    }

    fn bytes(&self) -> u64 {
        let count = |key| self.get(key).parse::<u64>().unwrap_or(0);
        count("bytes_sent") + count("bytes_recv")
    }
}

impl Search {
    /// The newest line; waits for it.
    pub(crate) fn find(&self, ztunnel: &Ztunnel, direction: &str) -> Result<Record> {
        self.find_where(ztunnel, direction, |_| true)
    }

    /// A line with at least so many bytes, both directions together.
    pub(crate) fn most_bytes(
        &self,
        ztunnel: &Ztunnel,
        direction: &str,
        bytes: u64,
    ) -> Result<Record> {
        self.find_where(ztunnel, direction, |record| record.bytes() >= bytes)
    }

    fn find_where(
        &self,
        ztunnel: &Ztunnel,
        direction: &str,
        wanted: impl Fn(&Record) -> bool,
    ) -> Result<Record> {
        eventually(
            &format!("an {direction} line of {self:?} in the access log"),
            DEADLINE,
            || {
                let log = ztunnel.log();
                let mut records = log.lines().rev().filter_map(Record::parse);
                records
                    .find(|record| record.matches(self, direction) && wanted(record))
                    .with_context(|| format!("the log ends with\n{}", ztunnel.log_tail()))
            },
        )
    }
}

/// A value, bare or in quotes, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, after) = text.split_once(' ').unwrap_or((text, ""));
        return Some((value.to_owned(), after));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}
