//! Which levels are shown of whom.
//!
//! **Shape:** a common level and levels of targets; the longest target that a name begins with wins. The access
//! log is the target `access`. Written `access=off,hbone=debug,info`, or with `:` as Istio's tools do.

use std::{collections::BTreeMap, fmt, str::FromStr};

use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::filter::Targets;

/// How many targets may have a level of their own. Who asks through the admin endpoint could else fill memory.
const MAX_TARGETS: usize = 128;

/// The longest name of a target. Units: bytes.
const MAX_TARGET_BYTES: usize = 256;

/// Levels of everything that logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directives {
    common: LevelFilter,
    targets: BTreeMap<String, LevelFilter>,
}

/// Why a text does not set levels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDirective {
    /// A level that is none.
    #[error(
        "{text:?} is not a level: expected off, error, warn, info, debug or trace, or target:level"
    )]
    Level {
        /// The text.
        text: String,
    },
    /// A target that no code can have.
    #[error("{text:?} is not a target: expected letters, digits, '_', '-', '.' and '::'")]
    Target {
        /// The text.
        text: String,
    },
    /// More targets than are kept.
    #[error("more than {MAX_TARGETS} targets with a level of their own")]
    TooMany,
}

impl Default for Directives {
    /// `info` for everything.
    fn default() -> Self {
        Self {
            common: LevelFilter::INFO,
            targets: BTreeMap::new(),
        }
    }
}

impl FromStr for Directives {
    type Err = InvalidDirective;

    /// Reads `RUST_LOG`. What it does not say is as [`Directives::default`] has it.
    fn from_str(text: &str) -> Result<Self, InvalidDirective> {
        Self::default().merged(text)
    }
}

impl Directives {
    /// These levels, changed by what `text` says.
    ///
    /// # Errors
    /// When `text` cannot be read.
    pub fn merged(&self, text: &str) -> Result<Self, InvalidDirective> {
        let mut merged = self.clone();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            match split(part) {
                Some((target, level)) => {
                    let known =
                        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
                    if target.is_empty()
                        || target.len() > MAX_TARGET_BYTES
                        || !target.chars().all(known)
                    {
                        return Err(InvalidDirective::Target {
                            text: shown(target),
                        });
                    }
                    merged.targets.insert(target.to_owned(), level_from(level)?);
                    if merged.targets.len() > MAX_TARGETS {
                        return Err(InvalidDirective::TooMany);
                    }
                }
                None => merged.common = level_from(part)?,
            }
        }
        Ok(merged)
    }

    /// The level in force for `target`.
    #[must_use]
    pub fn level_of(&self, target: &str) -> LevelFilter {
        self.targets
            .iter()
            .filter(|(prefix, _)| target.starts_with(prefix.as_str()))
            .max_by_key(|(prefix, _)| prefix.len())
            .map_or(self.common, |(_, level)| *level)
    }

    /// The same as a filter of `tracing` events.
    pub(crate) fn targets(&self) -> Targets {
        Targets::new().with_default(self.common).with_targets(
            self.targets
                .iter()
                .map(|(target, level)| (target.clone(), *level)),
        )
    }
}

impl fmt::Display for Directives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (target, level) in &self.targets {
            write!(f, "{target}={level},")?;
        }
        write!(f, "{}", self.common)
    }
}

/// Splits `target=level` or `target:level`; the `::` within a target does not count.
fn split(part: &str) -> Option<(&str, &str)> {
    part.rsplit_once('=')
        .or_else(|| {
            part.rsplit_once(':')
                .filter(|(target, _)| !target.ends_with(':'))
        })
        .map(|(target, level)| (target.trim(), level.trim()))
}

fn level_from(text: &str) -> Result<LevelFilter, InvalidDirective> {
    match text.to_ascii_lowercase().as_str() {
        "off" => Ok(LevelFilter::OFF),
        "error" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        _ => Err(InvalidDirective::Level { text: shown(text) }),
    }
}

/// The beginning of a text, fit for an answer.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

/// A level as a number: 1 for errors, 5 for traces.
pub(crate) const fn rank(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

/// A level as log lines write it.
pub(crate) const fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}
