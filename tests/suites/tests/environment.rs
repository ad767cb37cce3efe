//! Documents that say what the code says: the environment's table, and what every folder's README must answer.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// The folders whose README is held to the form.
const FOLDERS: [&str; 12] = [
    "common/mesh",
    "common/decision",
    "common/wire",
    "common/net",
    "common/identity",
    "common/hbone",
    "common/control",
    "common/telemetry",
    "ztunnel",
    "waypoint",
    "tests/lab",
    "tests/fuzz",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// The first table whose header is that of the environment's, as lines from `start` to `end`.
fn table(text: &str) -> Result<std::ops::Range<usize>> {
    let rendered = ztunnel::config::render_table();
    let header = rendered.lines().next().context("a header")?;
    let start = text
        .find(header)
        .with_context(|| format!("no table that begins with {header:?}"))?;
    let rows = text[start..]
        .split_inclusive('\n')
        .take_while(|line| line.starts_with('|'));
    Ok(start..start + rows.map(str::len).sum::<usize>())
}

#[test]
fn the_table_of_variables_in_the_readme_is_the_one_that_the_code_reads() -> Result<()> {
    let path = root().join("ztunnel/README.md");
    let text = read(&path)?;
    let (found, expected) = (table(&text)?, ztunnel::config::render_table());
    if text[found.clone()] == expected {
        return Ok(());
    }
    if std::env::var_os("UPDATE").is_some() {
        let mended = format!("{}{expected}{}", &text[..found.start], &text[found.end..]);
        return fs::write(&path, mended).with_context(|| path.display().to_string());
    }
    let differs = text[found]
        .lines()
        .zip(expected.lines())
        .find(|(found, expected)| found != expected);
    anyhow::bail!(
        "{}: the table differs from ztunnel/src/config/variables.rs, first in {differs:#?}\n\
         UPDATE=1 cargo test -p suites --test environment writes it anew",
        path.display()
    )
}

#[test]
fn every_folder_says_what_it_is_for_who_may_use_it_where_to_begin_how_to_test_it_and_its_limits()
-> Result<()> {
    for folder in FOLDERS {
        let path = root().join(folder).join("README.md");
        let text = read(&path)?;
        let name = folder.rsplit('/').next().unwrap_or(folder);
        let lower = text.to_lowercase();
        let mut lines = text.lines();
        ensure!(
            lines.next() == Some(&format!("# {name}")),
            "{folder}: begins with its name"
        );
        let purpose = lines.find(|line| !line.is_empty()).unwrap_or_default();
        ensure!(
            purpose.starts_with(|c: char| c.is_uppercase()),
            "{folder}: its purpose comes first, not {purpose:?}"
        );
        for part in ["who may depend on it", "test only this", "known limits"] {
            ensure!(
                lower.contains(part),
                "{}: says nothing under {part:?}",
                path.display()
            );
        }
        ensure!(
            text.contains(&format!("cargo test -p {name}")),
            "{folder}: how it is tested alone"
        );
        let sources = sources(&text);
        ensure!(!sources.is_empty(), "{folder}: names no file to begin with");
        for source in sources {
            ensure!(
                root().join(folder).join(source).exists(),
                "{folder}/README.md: there is no {source}"
            );
        }
    }
    Ok(())
}

/// The files and folders of its own crate that a text names in code style.
fn sources(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter(|quoted| quoted.starts_with("src/") && !quoted.contains(['<', '*', ' ']))
        .collect()
}
