//! Every variable that ztunnel knows: name, meaning, default. The parser takes its defaults from here, and the
//! tables of the documents are rendered from here, so that neither can drift.

use std::fmt::Write as _;

mod table;

pub use table::VARIABLES;

/// One variable. Its `name` may end in `*`, which stands for any name that begins so.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Other names for the same; where both are set, these win (Istio puts proxy metadata before its own default).
    pub aliases: &'static [&'static str],
    /// What holds when it is not set, written as one would set it.
    pub default: Option<&'static str>,
    /// What it does.
    pub meaning: &'static str,
    /// Whether it does that yet.
    pub state: State,
}

/// Whether a variable is honoured.
#[derive(Clone, Copy, Debug)]
pub enum State {
    /// It is.
    Built,
    /// It is known, and what it says changes nothing here.
    NoEffect,
    /// It warns, where it asks for what is not built.
    Unbuilt {
        /// Which values ask.
        asks: Asks,
        /// What happens instead.
        instead: &'static str,
    },
    /// It stops the start: to go on would be less safe than what was asked for.
    Refused {
        /// Why.
        reason: &'static str,
    },
}

/// Which values of a variable ask for what is not built.
#[derive(Clone, Copy, Debug)]
pub enum Asks {
    /// All of them.
    Anything,
    /// This side of a flag.
    Flag(bool),
    /// One of two words.
    Choice {
        /// The word that asks.
        unbuilt: &'static str,
        /// The word that does not.
        built: &'static str,
        /// Both, for the error.
        expected: &'static str,
    },
}

const fn built(
    name: &'static str,
    default: Option<&'static str>,
    meaning: &'static str,
) -> Variable {
    Variable {
        name,
        aliases: &[],
        default,
        meaning,
        state: State::Built,
    }
}

const fn aliased(
    name: &'static str,
    aliases: &'static [&'static str],
    default: Option<&'static str>,
    meaning: &'static str,
) -> Variable {
    Variable {
        name,
        aliases,
        default,
        meaning,
        state: State::Built,
    }
}

const fn unbuilt(
    name: &'static str,
    asks: Asks,
    meaning: &'static str,
    instead: &'static str,
) -> Variable {
    Variable {
        name,
        aliases: &[],
        default: None,
        meaning,
        state: State::Unbuilt { asks, instead },
    }
}

const fn no_effect(name: &'static str, meaning: &'static str) -> Variable {
    Variable {
        name,
        aliases: &[],
        default: None,
        meaning,
        state: State::NoEffect,
    }
}

/// The table as Markdown, for the documents.
#[must_use]
pub fn render_table() -> String {
    let mut table = String::from("| variable | default | meaning |\n|---|---|---|\n");
    for variable in VARIABLES {
        let mut names = format!("`{}`", variable.name);
        for alias in variable.aliases {
            // Writing into a String cannot fail.
            let _ = write!(names, ", `{alias}`");
        }
        let default = variable
            .default
            .map_or_else(String::new, |default| format!("`{default}`"));
        let state = match variable.state {
            State::Built => String::new(),
            State::NoEffect => " No effect yet.".to_owned(),
            State::Unbuilt { instead, .. } => format!(" Not built, warns: {instead}."),
            State::Refused { reason } => format!(" Stops the start: {reason}."),
        };
        let _ = writeln!(
            table,
            "| {names} | {default} | {}{state} |",
            variable.meaning
        );
    }
    table
}
