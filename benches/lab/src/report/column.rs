//! A column of a part's table: a subject's own figures, or how two stand to each other.

use std::fmt;

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// A subject's own.
    Own(String),
    /// One over another.
    Ratio {
        /// Whose figure is divided.
        over: String,
        /// By whose.
        under: String,
    },
    /// What one adds to a base over what another adds.
    Added {
        /// Who adds.
        over: String,
        /// Who else does.
        under: String,
        /// To whose figure.
        base: String,
    },
}

impl Column {
    /// A subject's own figures.
    pub(crate) fn own(name: &str) -> Self {
        Self::Own(name.to_owned())
    }

    /// One over another.
    pub(crate) fn ratio(over: &str, under: &str) -> Self {
        Self::Ratio {
            over: over.to_owned(),
            under: under.to_owned(),
        }
    }

    /// What one adds to a base over what another adds.
    pub(crate) fn added([over, under]: [&str; 2], base: &str) -> Self {
        Self::Added {
            over: over.to_owned(),
            under: under.to_owned(),
            base: base.to_owned(),
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(name) => f.write_str(name),
            Self::Ratio { over, under } => write!(f, "{over} / {under}"),
            Self::Added { over, under, .. } => write!(f, "added: {over} / {under}"),
        }
    }
}
