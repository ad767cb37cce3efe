//! What a ztunnel has written since a moment, and its lines taken apart as strictly as a collector would.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use lab::{Ztunnel, eventually};

use super::PATIENCE;

/// A moment in a ztunnel's log.
#[derive(Clone, Copy, Debug)]
pub struct Mark(usize);

impl Mark {
    /// Now.
    pub fn now(ztunnel: &Ztunnel) -> Self {
        Self(ztunnel.log().len())
    }

    /// The lines since then that hold all of `texts`.
    pub fn lines(self, ztunnel: &Ztunnel, texts: &[&str]) -> Vec<String> {
        let log = ztunnel.log();
        let since = log.get(self.0..).unwrap_or_default();
        since
            .lines()
            .filter(|line| texts.iter().all(|text| line.contains(text)))
            .map(str::to_owned)
            .collect()
    }

    /// Waits for so many such lines, and returns them.
    ///
    /// # Errors
    ///
    /// When there are fewer after a while, or more.
    pub fn wait(self, ztunnel: &Ztunnel, texts: &[&str], count: usize) -> Result<Vec<String>> {
        eventually(
            &format!("{count} log lines with {texts:?}"),
            PATIENCE,
            || {
                let lines = self.lines(ztunnel, texts);
                ensure!(
                    lines.len() >= count,
                    "there are {}; the log ends with\n{}",
                    lines.len(),
                    ztunnel.log_tail()
                );
                Ok(lines)
            },
        )
        .and_then(|lines| {
            ensure!(
                lines.len() == count,
                "expected {count} lines with {texts:?}, found {lines:#?}"
            );
            Ok(lines)
        })
    }
}

/// `src.addr=ADDRESS `, as a text line has it: the space keeps 10.0.0.1:80 apart from 10.0.0.1:8080.
pub fn source(address: SocketAddr) -> String {
    format!("src.addr={address} ")
}

/// One text line, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// RFC 3339 with microseconds and `Z`.
    pub time: String,
    /// `info`, `error`, and so on.
    pub level: String,
    /// `access` for the access log.
    pub scope: String,
    /// What happened.
    pub message: String,
    /// Keys and values in the order of the line; values without their quotes.
    pub fields: Vec<(String, String)>,
}

impl Fields {
    /// Takes a line apart.
    ///
    /// # Errors
    ///
    /// When anything in it is not as it must be.
    pub fn parse(line: &str) -> Result<Self> {
        let parts: Vec<&str> = line.split('\t').collect();
        let [time, level, scope, message, rest] = parts[..] else {
            bail!("expected five parts between tabs: {line:?}");
        };
        ensure!(is_time(time), "{time:?} is no time: {line}");
        Ok(Self {
            time: time.to_owned(),
            level: level.to_owned(),
            scope: scope.to_owned(),
            message: message.to_owned(),
            fields: fields(rest).with_context(|| line.to_owned())?,
        })
    }

    /// The keys, in order.
    pub fn keys(&self) -> Vec<&str> {
        self.fields.iter().map(|(key, _)| key.as_str()).collect()
    }

    /// A value.
    ///
    /// # Errors
    ///
    /// When the line does not have the key.
    pub fn get(&self, key: &str) -> Result<&str> {
        let field = self.fields.iter().find(|(name, _)| name == key);
        let (_, value) = field.with_context(|| format!("no {key} in {self:?}"))?;
        Ok(value)
    }
}

/// `2026-01-31T12:34:56.123456Z`.
pub fn is_time(text: &str) -> bool {
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    shape == "0000-00-00T00:00:00.000000Z"
}

fn fields(mut rest: &str) -> Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let (key, after) = rest
            .split_once('=')
            .with_context(|| format!("expected key=value at {rest:?}"))?;
        let well_formed = key
            .chars()
            .all(|c| c.is_ascii_lowercase() || c == '.' || c == '_');
        ensure!(well_formed && !key.is_empty(), "{key:?} is no key");
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(' ').unwrap_or(after.len());
                let (bare, after) = after.split_at(end);
                ensure!(
                    !bare.is_empty() && !bare.contains('"'),
                    "{bare:?} after {key}="
                );
                (bare.to_owned(), after)
            }
        };
        fields.push((key.to_owned(), value));
        rest = match after.strip_prefix(' ') {
            Some(next) if !next.is_empty() => next,
            None if after.is_empty() => after,
            Some(_) | None => bail!("expected one space and a field after {key}, found {after:?}"),
        };
    }
    Ok(fields)
}

/// The value up to the closing quote, and what follows it.
fn unquote(text: &str) -> Result<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                Some((_, other)) => bail!("escape of {other:?}"),
                None => bail!("escape of nothing"),
            },
            c if c.is_control() => bail!("control character {c:?}"),
            c => value.push(c),
        }
    }
    bail!("no closing quote")
}
