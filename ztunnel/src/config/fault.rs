//! What is wrong with an environment, and what is merely not honoured in it.

use std::fmt;

/// Why ztunnel does not start. **Shape:** at least one fault; all that were found, not only the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// In the order in which they were found.
    pub faults: Vec<Fault>,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A value that cannot be used.
    #[error("{variable}={value:?} is not {expected}")]
    Invalid {
        /// Its name.
        variable: String,
        /// What it was set to.
        value: String,
        /// What it may be set to.
        expected: &'static str,
    },
    /// Something without which ztunnel cannot work.
    #[error("{variable} must be set to {expected}")]
    Missing {
        /// Its name, or the names of which one is needed.
        variable: &'static str,
        /// What it should be set to.
        expected: &'static str,
    },
    /// Two settings that contradict each other.
    #[error("{one} and {other} are both set, only one may be")]
    Conflict {
        /// The name of one.
        one: &'static str,
        /// The name of the other.
        other: &'static str,
    },
    /// A demand on security that is not built yet, and that must not be dropped in silence.
    #[error("{variable} is set, but {reason}")]
    Refused {
        /// Its name.
        variable: &'static str,
        /// What is missing.
        reason: &'static str,
    },
}

/// A setting that is known but not honoured. The value is left out: it may be a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The variable's name.
    pub variable: String,
    /// What happens instead.
    pub instead: &'static str,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} asks for something that is not built yet: {}",
            self.variable, self.instead
        )
    }
}
