//! Rules for documents: what they point at is there.

use std::path::Path;

use crate::{Complaint, tree::File};

/// The places at the root that a path in a document may begin with.
const TOPS: [&str; 10] = [
    "common", "ztunnel", "waypoint", "ebpf", "deploy", "tests", "benches", "scripts", ".ci",
    "target",
];

/// Every relative link leads to a file or folder, and its `#part` to a heading of that document.
#[must_use]
pub fn links(file: &File, root: &Path) -> Vec<Complaint> {
    let folder = root.join(file.path.rsplit_once('/').map_or("", |(folder, _)| folder));
    let mut found = Vec::new();
    for (line, target) in targets(&file.text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (path, part) = target
            .split_once('#')
            .map_or((target, None), |(path, part)| (path, Some(part)));
        let place = if path.is_empty() {
            root.join(&file.path)
        } else {
            folder.join(path)
        };
        if !place.exists() {
            found.push(Complaint::line(
                line,
                format!("a link to {target}, which is not there"),
            ));
            continue;
        }
        let text = std::fs::read_to_string(&place).unwrap_or_default();
        if let Some(part) = part
            && path
                .rsplit('.')
                .next()
                .is_none_or(|end| end == "md" || path.is_empty())
            && !headings(&text).any(|heading| heading == part)
        {
            found.push(Complaint::line(
                line,
                format!("a link to {target}, which has no such heading"),
            ));
        }
    }
    found
}

/// Every path in backticks that begins at the root, or at the document's own folder, is there.
#[must_use]
pub fn paths(file: &File, root: &Path) -> Vec<Complaint> {
    let own = root.join(file.path.rsplit_once('/').map_or("", |(folder, _)| folder));
    let is_there = |path: &str| root.join(path).exists() || own.join(path).exists();
    let mut found = Vec::new();
    for (line, text) in prose(&file.text) {
        for quoted in text.split('`').skip(1).step_by(2) {
            let path = quoted
                .split("::")
                .next()
                .unwrap_or_default()
                .trim_end_matches('/');
            let top = path.split('/').next().unwrap_or_default();
            let plain = path
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            // What is built is not there before it is built.
            if path.contains('/')
                && plain
                && TOPS.contains(&top)
                && top != "target"
                && !is_there(path)
            {
                found.push(Complaint::line(
                    line,
                    format!("the path {path} is not there"),
                ));
            }
        }
    }
    found
}

/// The targets of `[text](target)`.
fn targets(text: &str) -> impl Iterator<Item = (usize, &str)> {
    prose(text).flat_map(|(line, text)| {
        let rest = text.split("](").skip(1);
        rest.filter_map(move |rest| Some((line, rest.split_once(')')?.0.trim())))
    })
}

/// The lines that are not inside a code block.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if line.trim_start().starts_with("```") {
            code = !code;
            return None;
        }
        (!code).then_some((index + 1, line))
    })
}

/// The anchors of a document's headings, as forges make them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    prose(text)
        .filter(|(_, line)| line.starts_with('#'))
        .map(|(_, line)| {
            let kept = line.trim_start_matches('#').trim().to_lowercase();
            kept.chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
}
