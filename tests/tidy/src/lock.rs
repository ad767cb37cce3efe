//! Rules for dependencies: nothing that `deny.toml` forbids is built.
//!
//! `cargo deny` checks more than this; this part needs no tool and no network.

use std::collections::BTreeSet;

use crate::Complaint;

/// A ban: a crate, and the version below which it is banned, or every version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The crate.
    pub name: String,
    /// Versions below this are banned; without it, all are.
    pub below: Option<String>,
}

/// The bans of `deny.toml`: entries `crate = "name"` and `crate = "name:<version"`.
#[must_use]
pub fn bans(deny: &str) -> Vec<Ban> {
    let entries = deny.lines().filter_map(|line| {
        let line = line.trim();
        if line.starts_with('#') {
            return None;
        }
        line.split_once("crate = \"")?
            .1
            .split_once('"')
            .map(|(entry, _)| entry)
    });
    let ban = |entry: &str| match entry.split_once(":<") {
        Some((name, below)) => Ban {
            name: name.to_owned(),
            below: Some(below.to_owned()),
        },
        None => Ban {
            name: entry.to_owned(),
            below: None,
        },
    };
    entries.map(ban).collect()
}

/// What is banned of the crates that are built, given as name and version.
pub fn check<'a>(
    built: impl IntoIterator<Item = (&'a str, &'a str)>,
    bans: &[Ban],
) -> Vec<Complaint> {
    let mut found = Vec::new();
    for (name, version) in built {
        for ban in bans.iter().filter(|ban| ban.name == name) {
            match &ban.below {
                None => found.push(Complaint::whole(format!("{name} {version}, expected none"))),
                Some(below) if numbers(version) < numbers(below) => {
                    found.push(Complaint::whole(format!(
                        "{name} {version}, expected {below} or later"
                    )));
                }
                Some(_) => {}
            }
        }
    }
    found
}

/// Names and versions in the lines of `cargo tree --prefix none`, each once.
#[must_use]
pub fn built(tree: &str) -> BTreeSet<(&str, &str)> {
    tree.lines()
        .filter_map(|line| {
            let (name, rest) = line.split_once(" v")?;
            Some((name, rest.split(' ').next()?))
        })
        .collect()
}

/// `0.4.20` as numbers; what is no number counts as 0.
fn numbers(version: &str) -> Vec<u64> {
    version
        .split(['.', '-', '+'])
        .map(|part| part.parse().unwrap_or(0))
        .collect()
}
