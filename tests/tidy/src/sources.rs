//! Rules for Rust files.

use crate::{Complaint, tree::File};

/// A file that is longer holds more than one noun.
pub const MAX_LINES: usize = 500;

/// Where `unsafe` may stand: what talks to the kernel, and what measures or builds machines.
pub const UNSAFE_ISLANDS: [&str; 6] = [
    "common/net/",
    "ebpf/abi/",
    "ebpf/loader/src/syscall.rs",
    "ebpf/programs/",
    "tests/lab/",
    "benches/",
];

/// Opens with `//!`, is short enough, is not called `mod.rs`.
#[must_use]
pub fn shape(file: &File) -> Vec<Complaint> {
    let mut found = Vec::new();
    if !file.text.starts_with("//!") {
        found.push(Complaint::line(
            1,
            "opens without `//!`, expected a sentence that says what the file is for",
        ));
    }
    let lines = file.text.lines().count();
    // What a generator wrote is as long as its definition.
    let generated = file
        .text
        .lines()
        .next()
        .is_some_and(|first| first.contains("generated from") && first.contains("cargo xtask"));
    if lines > MAX_LINES && !generated {
        found.push(Complaint::whole(format!(
            "{lines} lines, expected at most {MAX_LINES}"
        )));
    }
    if file.path.rsplit('/').next() == Some("mod.rs") {
        found.push(Complaint::whole("is a mod.rs, expected x.rs beside x/"));
    }
    found
}

/// No `allow` attribute: a lint is met, or expected with a reason.
#[must_use]
pub fn attributes(file: &File) -> Vec<Complaint> {
    let word = concat!("al", "low(");
    lines(file)
        .filter(|(_, line)| {
            (line.starts_with("#[") || line.starts_with("#![")) && line.contains(word)
        })
        .map(|(number, _)| {
            Complaint::line(
                number,
                "an allow attribute, expected #[expect(lint, reason = \"..\")]",
            )
        })
        .collect()
}

/// No `unsafe` off the islands, in code.
#[must_use]
pub fn safety(file: &File) -> Vec<Complaint> {
    if UNSAFE_ISLANDS
        .iter()
        .any(|island| file.path.starts_with(island))
    {
        return Vec::new();
    }
    let keyword = concat!("un", "safe");
    lines(file)
        .filter(|(_, line)| !line.starts_with("//"))
        .filter(|(_, line)| words(line).any(|word| word == keyword))
        .map(|(number, _)| {
            Complaint::line(
                number,
                format!(
                    "{keyword} code, expected only in {}",
                    UNSAFE_ISLANDS.join(", ")
                ),
            )
        })
        .collect()
}

/// The root of a product crate forbids what has no island there. In a crate with an island of one file the lints of the workspace deny it elsewhere.
#[must_use]
pub fn roots(file: &File) -> Vec<Complaint> {
    let is_root = file.ends_with("/src/lib.rs")
        && (["common/", "ebpf/", "ztunnel/", "deploy/"]
            .iter()
            .any(|folder| file.path.starts_with(folder)));
    let folder = file.path.strip_suffix("src/lib.rs").unwrap_or(&file.path);
    let on_island = UNSAFE_ISLANDS
        .iter()
        .any(|island| file.path.starts_with(island) || island.starts_with(folder));
    let wanted = concat!("#![forbid(un", "safe_code)]");
    if is_root && !on_island && !file.text.contains(wanted) {
        return vec![Complaint::whole(format!("lacks {wanted}"))];
    }
    Vec::new()
}

fn lines(file: &File) -> impl Iterator<Item = (usize, &str)> {
    file.text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
}

/// Identifiers of a line; `unsafe_code` is one word.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
}
